//! How often the answers of a grid are right: effects over all grid points, interactions, and arms at their own best setting.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rayon::prelude::*;
use serde_json::{Value, json};
use speedlab::event::RunOutcome;
use speedlab::random::{Draws, Stream};
use speedlab::record::{Row, Rows, RunRecord, RunState, StudyRecord};
use speedlab::report::{Comparison, Estimate, Grid, Of, Unknown};
use speedlab::spec::*;

use super::simulation::{FLAT, IMAGES, STEEP, STUDIES, Tally, World};
use super::synthetic;

const AXIS: &str = "optimizer.learning_rate";
const BATCH_SIZE: usize = 64;

/// The speed of every arm at every value of the axis.
struct Speeds {
    /// (an arm of [`synthetic::arms`], its speed at each value); the first is the baseline.
    arms: Vec<(&'static str, Vec<f64>)>,
    /// The probability that a run is not there yet.
    missing: f64,
    /// The axis is one of the candidates alone: the baseline's run of a seed is the same at every value.
    shared_baseline: bool,
    tune: bool,
}

impl Speeds {
    fn of(arms: &[(&'static str, &[f64])]) -> Self {
        let arms = arms.iter().map(|(arm, speeds)| (*arm, speeds.to_vec())).collect();
        Self { arms, missing: 0.0, shared_baseline: false, tune: false }
    }

    fn study(&self, world: &World, number: u64, seeds: u64) -> StudyRecord {
        let mut values = vec![0f32; 65_536];
        Draws::new(number, Stream::Noise, seeds).fill_normal(&mut values);
        let mut values = values.into_iter().map(f64::from);
        let mut normals = || values.next().expect("there are enough");
        let mut lots = Draws::new(number, Stream::Timesteps, seeds);
        let settings = self.arms[0].1.len();
        let rates: Vec<f64> = (0..settings).map(|index| 1e-4 * 2f64.powi(index as i32)).collect();
        let known = synthetic::arms();
        let mut runs = Vec::new();
        for seed in 0..seeds {
            let shift = 0.08 * normals();
            let mut of_baseline = None;
            for (index, &learning_rate) in rates.iter().enumerate() {
                for (arm, speeds) in &self.arms {
                    let mut spec = RunSpec { seed, ..RunSpec::default() };
                    spec.optimizer = Optimizer::Adam(AdamOptimizer { learning_rate, ..AdamOptimizer::default() });
                    spec.train.batch_size = BATCH_SIZE;
                    spec.train.steps = IMAGES as u64 / BATCH_SIZE as u64;
                    spec.evaluate.every = spec.train.steps / u64::from(world.evaluations);
                    (known.iter().find(|other| other.name == *arm).expect("a known arm").patch)(&mut spec);
                    let mut measured = || world.evaluations(shift, speeds[index], &mut normals);
                    let evaluations = match self.shared_baseline && *arm == self.arms[0].0 {
                        true => of_baseline.get_or_insert_with(measured).clone(),
                        false => measured(),
                    };
                    let point = match settings {
                        1 => BTreeMap::new(),
                        _ => BTreeMap::from([(AXIS.to_owned(), json!(learning_rate))]),
                    };
                    let trial = format!("{arm} {index}");
                    let planned = PlannedRun { run_id: RunId::of(&spec), arm: (*arm).into(), trial, point, seed, spec };
                    let mut run = RunRecord::new(planned);
                    if lots.uniform() < self.missing {
                        runs.push(run);
                        continue;
                    }
                    let mut rows = Rows::default();
                    for evaluation in evaluations {
                        rows.push(Row {
                            attempt: 1,
                            step: evaluation.images_seen / BATCH_SIZE as u64,
                            images_seen: evaluation.images_seen,
                            train_seconds: evaluation.train_seconds,
                            wall_seconds: evaluation.train_seconds,
                            metric: "fid",
                            protocol: synthetic::PROTOCOL,
                            value: evaluation.value,
                        });
                    }
                    run.rows = rows;
                    run.state = RunState::Ended(RunOutcome::Completed);
                    run.last_outcome = Some(RunOutcome::Completed);
                    runs.push(run);
                }
            }
        }
        let axis = Axis { path: AXIS.into(), values: rates.iter().map(|rate| json!(rate)).collect() };
        let baseline = self.arms[0].0;
        let plan = Plan {
            version: PLAN_VERSION,
            name: "simulated".into(),
            question: "Is the answer right?".into(),
            arms: self.arms.iter().map(|(arm, _)| (*arm).to_owned()).collect(),
            axes: if settings > 1 { vec![axis] } else { vec![] },
            seeds: (0..seeds).collect(),
            compare: Some(Compare {
                baseline: baseline.into(),
                metric: Metric::Fid,
                band: BandShares::default(),
                target: None,
                practical: PRACTICAL,
                tune: if self.tune { vec![AXIS.into()] } else { vec![] },
                pairs: vec![],
            }),
            until_decided: None,
            exclusive: false,
            labels: Labels::default(),
            runs: runs.iter().map(|run| run.planned.clone()).collect(),
        };
        StudyRecord {
            folder: PathBuf::new(),
            place: None,
            plan,
            sweep_arguments: String::new(),
            revisions: vec![],
            held: None,
            runs,
        }
    }
}

/// What is asked of each grid: an estimate, and its truth.
type Ask = fn(&Grid, &[f64]) -> (Estimate, f64);

const NONE: Estimate = Estimate::Unknown(Unknown::NoneReached);

fn geometric_mean(speeds: &[f64]) -> f64 {
    (speeds.iter().map(|speed| speed.ln()).sum::<f64>() / speeds.len() as f64).exp()
}

/// The speedup over those grid points where there is one: the last of them are the slowest.
fn effect(grid: &Grid, speeds: &[f64]) -> (Estimate, f64) {
    grid.effects
        .first()
        .map_or((NONE, 1.0), |effect| (effect.speedup.estimate, geometric_mean(&speeds[..effect.measured])))
}

fn axis_interaction(grid: &Grid, speeds: &[f64]) -> (Estimate, f64) {
    let truth = speeds[speeds.len() - 1] / speeds[0];
    (grid.interactions.first().map_or(NONE, |interaction| interaction.ratio.estimate), truth)
}

fn arm_interaction(grid: &Grid, speeds: &[f64]) -> (Estimate, f64) {
    let of_arms = grid.interactions.iter().find(|interaction| matches!(interaction.of, Of::Arms { .. }));
    (of_arms.map_or(NONE, |interaction| interaction.ratio.estimate), speeds[0])
}

/// Of the five speeds of the baseline and of the arm, against the ratio of the two largest.
fn tuned(grid: &Grid, speeds: &[f64]) -> (Estimate, f64) {
    let found = grid.tuned.first().and_then(|tuned| tuned.arms.first()?.speedup.as_ref().ok());
    let (baseline, arm) = speeds.split_at(speeds.len() / 2);
    (found.map_or(NONE, |speedup| speedup.estimate), largest(arm) / largest(baseline))
}

/// The same against the ratio at the settings that were chosen.
fn tuned_as_chosen(grid: &Grid, speeds: &[f64]) -> (Estimate, f64) {
    let (estimate, at_best) = tuned(grid, speeds);
    let (baseline, arm) = speeds.split_at(speeds.len() / 2);
    // The geometric mean over seeds: not all need have chosen the same.
    let chosen = |settings: &[(Point, usize)], speeds: &[f64]| {
        let rate = |point: &Point| point.values().next().and_then(Value::as_f64).expect("a rate");
        let ln_speed = |point: &Point| speeds[(rate(point) / 1e-4).log2().round() as usize].ln();
        let total: usize = settings.iter().map(|(_, count)| count).sum();
        settings.iter().map(|(point, count)| *count as f64 * ln_speed(point)).sum::<f64>() / total as f64
    };
    let truth = grid.tuned.first().map_or(at_best, |tuned| {
        (chosen(&tuned.arms[0].chosen.settings, arm) - chosen(&tuned.baseline.settings, baseline)).exp()
    });
    (estimate, truth)
}

fn largest(speeds: &[f64]) -> f64 {
    speeds.iter().copied().fold(0.0, f64::max)
}

/// Prints the answers of grids: a table that `scripts/simulate-band.sh` keeps.
#[test]
#[ignore = "minutes; scripts/simulate-band.sh runs it"]
fn coverage_of_grids() {
    println!("| world | question | seeds | truth | answered | covers | excludes 1 | bias |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let even = [1.0; 3];
    let over = |speeds: &[f64]| Speeds::of(&[("baseline", &even[..]), ("clts", speeds)]);
    // An arm's speed falls off on both sides of its own best learning rate, which is none of those tried.
    let around = |best: f64, most: f64| -> Vec<f64> {
        (0..5).map(|index| most * (-0.15 * (f64::from(index) - best).powi(2)).exp()).collect()
    };
    let (weak, strong) = (around(1.6, 1.0), around(2.7, 1.3));
    let tune = |candidate: &[f64]| Speeds { tune: true, ..Speeds::of(&[("baseline", &weak), ("clts", candidate)]) };
    let two_by_two = |both: f64| {
        Speeds::of(&[("baseline", &[1.0]), ("clts", &[1.3]), ("mdlrc", &[1.1]), ("clts+mdlrc", &[1.3 * 1.1 * both])])
    };
    let equal = around(2.7, 1.0);
    let shared = |speeds: &[f64]| Speeds { shared_baseline: true, ..over(speeds) };
    let both = |candidate: &[f64]| [&weak, candidate].concat();
    let rows: [(&str, Speeds, Vec<f64>, Ask); 15] = [
        ("over three grid points, equal arms", over(&[1.0; 3]), vec![1.0; 3], effect),
        ("over three grid points", over(&[1.5, 1.3, 1.1]), vec![1.5, 1.3, 1.1], effect),
        ("over three, one run in six missing", Speeds { missing: 1.0 / 6.0, ..over(&[1.3; 3]) }, vec![1.3; 3], effect),
        ("over three, too slow at one for a number", over(&[1.5, 1.3, 0.4]), vec![1.5, 1.3, 0.4], effect),
        ("an axis of the arm alone, equal arms", shared(&[1.0; 3]), vec![1.0; 3], effect),
        ("an axis of the arm alone", shared(&[1.5, 1.3, 1.1]), vec![1.5, 1.3, 1.1], effect),
        ("an axis of the arm alone changes it: no", shared(&[1.3; 3]), vec![1.3; 3], axis_interaction),
        ("does the axis change it: no", over(&[1.3; 3]), vec![1.3; 3], axis_interaction),
        ("does the axis change it: 1.1x to 1.5x", over(&[1.1, 1.3, 1.5]), vec![1.1, 1.3, 1.5], axis_interaction),
        ("do two arms multiply: yes", two_by_two(1.0), vec![1.0], arm_interaction),
        ("do two arms multiply: 1.2x more", two_by_two(1.2), vec![1.2], arm_interaction),
        ("each at its own best of five, equal bests", tune(&equal), both(&equal), tuned),
        ("each at its own best of five", tune(&strong), both(&strong), tuned),
        ("the same, as chosen, equal bests", tune(&equal), both(&equal), tuned_as_chosen),
        ("the same, as chosen", tune(&strong), both(&strong), tuned_as_chosen),
    ];
    for world in [FLAT, STEEP] {
        for (question, speeds, truths, ask) in &rows {
            for seeds in [3, 5, 10] {
                let one = |number: u64| {
                    let study = speeds.study(&world, number, seeds);
                    ask(&Grid::of(&Comparison::of(&study)), truths)
                };
                let asked: Vec<(Estimate, f64)> = (0..STUDIES / 2).into_par_iter().map(one).collect();
                let mut tally = Tally::default();
                asked.iter().for_each(|(estimate, truth)| tally.add(estimate, *truth));
                println!(
                    "| {} | {question} | {seeds} | {:.2}x | {} | {} | {} |",
                    world.name,
                    asked
                        .iter()
                        .find(|(estimate, _)| matches!(estimate, Estimate::Measured { .. }))
                        .map_or(1.0, |it| it.1),
                    tally.answered(),
                    tally.intervals(),
                    tally.bias()
                );
            }
        }
    }
}
