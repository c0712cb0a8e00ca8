//! How often the headline is right: studies with a known speedup, drawn again and again.

use rayon::prelude::*;
use speedlab::random::{Draws, Stream};
use speedlab::report::{
    Band, Cost, Estimate, Evaluation, FittedCurve, Interval, NoFit, Run, Unknown, over_band, to_last_quality,
    until_decided,
};
use speedlab::spec::BandShares;

pub(super) const STUDIES: u64 = 2000;
/// A study with a look after every seed is dearer.
const PROFILES: u64 = 500;
pub(super) const IMAGES: f64 = 64_000.0;

/// FID = floor + amplitude * x^-power at a share x of the training, times what scatters.
pub(super) struct World {
    pub(super) name: &'static str,
    floor: f64,
    amplitude: f64,
    power: f64,
    /// Standard deviation of ln FID by sampling, at FID 1.3 and its power of FID.
    noise: (f64, f64),
    pub(super) evaluations: u32,
    /// The share of training at which an evaluation `index / evaluations` stands is that to this power.
    uneven: f64,
}

pub(super) const FLAT: World =
    World { name: "flat", floor: 1.0, amplitude: 0.3, power: 1.0, noise: (0.03, 0.0), evaluations: 20, uneven: 1.0 };

pub(super) const STEEP: World = World { name: "steep", floor: 0.3, amplitude: 1.0, power: 1.2, ..FLAT };

const WORLDS: [World; 7] = [
    FLAT,
    STEEP,
    World { name: "flat, noise grows as FID falls", noise: (0.03, -2.0), ..FLAT },
    World { name: "steep, noise grows as FID falls", noise: (0.03, -0.7), ..STEEP },
    World { name: "flat, 8 % noise", noise: (0.08, 0.0), ..FLAT },
    World { name: "flat, 8 evaluations", evaluations: 8, ..FLAT },
    World { name: "flat, most evaluations early", uneven: 2.5, ..FLAT },
];

/// Hardly anything happens in their second halves.
const LEVELLING: [World; 2] = [
    World { name: "levels off slowly", amplitude: 0.05, power: 2.0, ..FLAT },
    World { name: "levels off", amplitude: 0.01, power: 3.0, ..FLAT },
];

impl World {
    /// The evaluations of a run whose ln x is shifted by `shift` and by what is its own.
    pub(super) fn evaluations(&self, shift: f64, speed: f64, normals: &mut impl FnMut() -> f64) -> Vec<Evaluation> {
        let own = 0.04 * normals();
        let mut wander = 0.02 * normals();
        (1..=self.evaluations)
            .map(|index| {
                let share = (f64::from(index) / f64::from(self.evaluations)).powf(self.uneven);
                let fid = self.floor + self.amplitude * (share * speed * (shift + own).exp()).powf(-self.power);
                // An autoregressive wander with a standard deviation of 2 %.
                wander = 0.8 * wander + 0.6 * 0.02 * normals();
                let noise = self.noise.0 * (fid / 1.3).powf(self.noise.1) * normals();
                Evaluation {
                    step: u64::from(index),
                    images_seen: (share * IMAGES) as u64,
                    train_seconds: share,
                    value: fid * (wander + noise).exp(),
                }
            })
            .collect()
    }

    fn run(&self, seed: u64, shift: f64, speed: f64, normals: &mut impl FnMut() -> f64) -> Run {
        let evaluations = self.evaluations(shift, speed, normals);
        Run { seed, curve: FittedCurve::of(&evaluations), diverged: false, ended: true }
    }

    /// The baseline's runs and the candidate's.
    fn study(&self, number: u64, seeds: u64, speed: f64) -> (Vec<Run>, Vec<Run>) {
        let mut values = vec![0f32; 65_536];
        Draws::new(number, Stream::Noise, seeds).fill_normal(&mut values);
        let mut values = values.into_iter().map(f64::from);
        let mut normals = || values.next().expect("there are enough");
        (0..seeds)
            .map(|seed| {
                let shift = 0.08 * normals();
                (self.run(seed, shift, 1.0, &mut normals), self.run(seed, shift, speed, &mut normals))
            })
            .unzip()
    }
}

/// What became of many studies, in shares of those asked.
#[derive(Default)]
pub(super) struct Tally {
    asked: f64,
    measured: f64,
    covers: f64,
    decided: f64,
    ln_bias: f64,
}

impl Tally {
    pub(super) fn of(estimates: &[Estimate], truth: f64) -> Self {
        let mut tally = Self::default();
        estimates.iter().for_each(|estimate| tally.add(estimate, truth));
        tally
    }

    pub(super) fn add(&mut self, estimate: &Estimate, truth: f64) {
        self.asked += 1.0;
        let Estimate::Measured { speedup, interval: Some(Interval { low, high }), .. } = *estimate else { return };
        self.measured += 1.0;
        self.covers += f64::from(low <= truth && truth <= high);
        self.decided += f64::from(low > 1.0 || high < 1.0);
        self.ln_bias += (speedup / truth).ln();
    }

    fn share(count: f64, of: f64) -> String {
        if of > 0.0 { format!("{:.1} %", 100.0 * count / of) } else { "–".to_owned() }
    }

    pub(super) fn answered(&self) -> String {
        Self::share(self.measured, self.asked)
    }

    pub(super) fn intervals(&self) -> String {
        format!("{} | {}", Self::share(self.covers, self.measured), Self::share(self.decided, self.measured))
    }

    pub(super) fn bias(&self) -> String {
        if self.measured > 0.0 { format!("{:.3}", (self.ln_bias / self.measured).exp()) } else { "–".to_owned() }
    }
}

/// Prints the table that `scripts/simulate-band.sh` keeps.
#[test]
#[ignore = "minutes; scripts/simulate-band.sh runs it"]
fn coverage_of_the_band() {
    println!(
        "| world | seeds | true speedup | answered | covers | excludes 1 | bias | to the last FID: answered | covers | excludes 1 | bias |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for world in &WORLDS {
        for seeds in [3, 5, 10] {
            for speed in [1.0, 1.3, 2.0] {
                let one = |number: u64| {
                    let (baseline, candidate) = world.study(number, seeds, speed);
                    let band = Band::of(&baseline, IMAGES, BandShares::default()).expect("a baseline that improves");
                    let cost = Cost::ImagesSeen;
                    let headline = over_band(&band, &baseline, &candidate, cost, 0.0).estimate;
                    let hard = to_last_quality(&baseline, &candidate, cost, 0.0).expect("all runs have ended").1;
                    (headline, hard)
                };
                let (headlines, hard): (Vec<Estimate>, Vec<Estimate>) = (0..STUDIES).into_par_iter().map(one).unzip();
                let (headline, hard) = (Tally::of(&headlines, speed), Tally::of(&hard, speed));
                println!(
                    "| {} | {seeds} | {speed:.1}x | {} | {} | {} | {} | {} | {} |",
                    world.name,
                    headline.answered(),
                    headline.intervals(),
                    headline.bias(),
                    hard.answered(),
                    hard.intervals(),
                    hard.bias()
                );
            }
        }
    }
}

/// What makes a study harder than `WORLDS` do.
#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    None,
    /// The arms share no seeds.
    Unpaired,
    /// One run in ten diverges somewhere on its way.
    Diverging,
}

impl World {
    fn troubled(&self, number: u64, seeds: u64, speed: f64, trouble: Trouble) -> (Vec<Run>, Vec<Run>) {
        let (baseline, mut candidate) = self.study(number, seeds, speed);
        match trouble {
            Trouble::None => (baseline, candidate),
            Trouble::Unpaired => {
                // The candidate's runs of another study, with that study's shifts.
                (_, candidate) = self.study(number + (1 << 32), seeds, speed);
                candidate.iter_mut().for_each(|run| run.seed += seeds);
                (baseline, candidate)
            }
            Trouble::Diverging => {
                let mut draws = Draws::new(number, Stream::Timesteps, seeds);
                let mut diverge = |run: Run| match draws.uniform() < 0.1 {
                    true => Run { diverged: true, curve: Err(NoFit::TooFew), ..run },
                    false => run,
                };
                let mut arm = |runs: Vec<Run>| -> Vec<Run> { runs.into_iter().map(&mut diverge).collect() };
                (arm(baseline), arm(candidate))
            }
        }
    }
}

/// Prints what becomes of few and many seeds, of arms without common seeds, of runs that diverge, of arms that reach only part of the
/// band, and of runs that level off: a further table.
#[test]
#[ignore = "minutes; scripts/simulate-band.sh runs it"]
fn coverage_in_trouble() {
    println!(
        "| world | trouble | seeds | true speedup | answered | covers | excludes 1 | bias | to the last FID: answered | covers | excludes 1 | bias |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let rows = |worlds: &[World], trouble: Trouble, name: &str, counts: &[u64], speeds: &[f64]| {
        for world in worlds {
            for &seeds in counts {
                for &speed in speeds {
                    row(world, trouble, name, seeds, speed);
                }
            }
        }
    };
    let both = [FLAT, STEEP];
    rows(&both, Trouble::None, "few or many seeds", &[2, 20], &[1.0, 1.3]);
    rows(&both, Trouble::Unpaired, "no common seeds", &[3, 5, 10], &[1.0, 1.3]);
    rows(&both, Trouble::Diverging, "one run in ten diverges", &[3, 5, 10], &[1.0, 1.3]);
    rows(&both, Trouble::None, "slow: part of the band", &[3, 5, 10], &[0.7, 0.6, 0.5]);
    rows(&LEVELLING, Trouble::None, "levels off", &[3, 5, 10], &[1.0, 1.3, 2.0]);
}

fn row(world: &World, trouble: Trouble, name: &str, seeds: u64, speed: f64) {
    let one = |number: u64| {
        let (baseline, candidate) = world.troubled(number, seeds, speed, trouble);
        // Without a run of the baseline that got through there is no band, and no answer.
        let none = Estimate::Unknown(Unknown::NoneReached);
        let band = Band::of(&baseline, IMAGES, BandShares::default());
        let headline = band.map(|band| over_band(&band, &baseline, &candidate, Cost::ImagesSeen, 0.0).estimate);
        let hard = to_last_quality(&baseline, &candidate, Cost::ImagesSeen, 0.0);
        (headline.unwrap_or(none), hard.map_or(none, |(_, estimate)| estimate))
    };
    let (headlines, hard): (Vec<Estimate>, Vec<Estimate>) = (0..STUDIES).into_par_iter().map(one).unzip();
    let (tally, hard) = (Tally::of(&headlines, speed), Tally::of(&hard, speed));
    println!(
        "| {} | {name} | {seeds} | {speed:.1}x | {} | {} | {} | {} | {} | {} |",
        world.name,
        tally.answered(),
        tally.intervals(),
        tally.bias(),
        hard.answered(),
        hard.intervals(),
        hard.bias()
    );
}

/// Seeds of a study that is looked at after 3, 4, .. 20 of them.
const MOST_SEEDS: u64 = 20;

/// Prints what `--until-decided` comes to, for a single comparison: another table that `scripts/simulate-band.sh` keeps.
#[test]
#[ignore = "minutes; scripts/simulate-band.sh runs it"]
fn seeds_until_decided() {
    let rule = until_decided((0..MOST_SEEDS).collect(), (3..=MOST_SEEDS as usize).collect(), 1);
    println!("| world | true speedup | faster | slower | equally fast within 5 % | undecided | seeds: mean | covers |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for world in [&WORLDS[0], &WORLDS[1], &WORLDS[4], &WORLDS[5]] {
        for speed in [1.0, 1.05, 1.1, 1.3] {
            let one = |number: u64| {
                let (baseline, candidate) = world.study(number, MOST_SEEDS, speed);
                let band = Band::of(&baseline[..3], IMAGES, BandShares::default()).expect("a baseline that improves");
                let look = |seeds: usize| {
                    let speedup = over_band(&band, &baseline[..seeds], &candidate[..seeds], Cost::ImagesSeen, 0.0);
                    speedup.mean.expect("every run passes the band")
                };
                for &seeds in &rule.looks {
                    let mean = look(seeds);
                    let is_equal = mean
                        .interval(rule.level(1))
                        .is_some_and(|interval| interval.low > 1.0 / 1.05 && interval.high < 1.05);
                    let verdict = match mean.p_value() {
                        Some(p) if p < rule.level(1) => usize::from(mean.mean < 0.0),
                        _ if is_equal => 2,
                        _ if seeds as u64 == MOST_SEEDS => 3,
                        _ => continue,
                    };
                    let covers = mean.interval(rule.level(1)).is_some_and(|it| it.low <= speed && speed <= it.high);
                    return (verdict, seeds, covers);
                }
                unreachable!("the last look ends it")
            };
            // The error is what matters most.
            let count = if speed == 1.0 { STUDIES } else { PROFILES };
            let studies: Vec<(usize, usize, bool)> = (0..count).into_par_iter().map(one).collect();
            let share = |some: usize| format!("{:.1} %", 100.0 * some as f64 / count as f64);
            let verdict = |wanted: usize| share(studies.iter().filter(|(verdict, ..)| *verdict == wanted).count());
            let seeds = studies.iter().map(|(_, seeds, _)| *seeds).sum::<usize>() as f64 / count as f64;
            let covers = share(studies.iter().filter(|(.., covers)| *covers).count());
            let [faster, slower, equal, undecided] = [0, 1, 2, 3].map(verdict);
            println!(
                "| {} | {speed:.2}x | {faster} | {slower} | {equal} | {undecided} | {seeds:.1} | {covers} |",
                world.name
            );
        }
    }
}
