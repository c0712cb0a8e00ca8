//! The speedup over the band, or the known bound of it.

use super::Band;
use super::fit::{Crossing, FittedCurve, NoFit};
use crate::report::cost::Cost;
use crate::report::interval::{LEVEL, LogMean, paired, welch};
use crate::report::speedup::{Estimate, Matched, Speedup, Unknown};

/// One run of an arm.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub seed: u64,
    pub curve: Result<FittedCurve, NoFit>,
    pub diverged: bool,
    /// It will measure nothing more.
    pub ended: bool,
}

/// A crossing in ln(cost), by what is known of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Between {
    pub(super) low: f64,
    pub(super) high: f64,
}

/// A value for each run of two arms, and what the difference of the arms' means is.
pub(super) struct Contrasted<'r> {
    pub(super) matched: Matched<&'r Run>,
    /// The least variance of a value.
    pub(super) least: f64,
    pub(super) cost: Cost,
}

/// An estimate with the two-sided p-value of "no difference".
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    pub estimate: Estimate,
    pub mean: Option<LogMean>,
    /// The number of the qualities asked for that every run reached.
    pub reached: usize,
}

/// The speedup of `candidate` over `baseline`; paired on the seeds they share, by Welch's t where they share none.
pub fn over_band(band: &Band, baseline: &[Run], candidate: &[Run], cost: Cost, clock_variance: f64) -> Speedup {
    let contrasted = Contrasted::of(baseline, candidate, cost, clock_variance);
    let Measured { estimate, mean, reached } = contrasted.at(&band.targets);
    let by_seed = if mean.is_some() { contrasted.by_seed(&band.targets) } else { vec![] };
    let Matched { pairing, left_out, .. } = contrasted.matched;
    Speedup { by_seed, ..Speedup::of_band(pairing, left_out, estimate, mean, reached) }
}

/// What the runs of two arms had spent, each by its seed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spent {
    pub baseline: Vec<(u64, f64)>,
    pub candidate: Vec<(u64, f64)>,
}

/// What each compared run had spent over the band: the geometric mean of its costs at the qualities that every one reached. Nothing
/// where these are fewer than half, so that there is no number.
pub fn spent_over_band(band: &Band, baseline: &[Run], candidate: &[Run], cost: Cost) -> Spent {
    let contrasted = Contrasted::of(baseline, candidate, cost, 0.0);
    let known = contrasted.known(&band.targets);
    if known.is_empty() || known.len() * 2 < band.targets.len() {
        return Spent::default();
    }
    let of = |runs: &[&Run]| runs.iter().map(|run| (run.seed, contrasted.mean_time(run, &known).exp())).collect();
    let Matched { baseline, candidate, .. } = &contrasted.matched;
    Spent { baseline: of(baseline), candidate: of(candidate) }
}

impl<'r> Contrasted<'r> {
    pub(super) fn of(baseline: &'r [Run], candidate: &'r [Run], cost: Cost, clock_variance: f64) -> Self {
        let by_seed = |runs: &'r [Run]| -> Vec<(u64, &'r Run)> { runs.iter().map(|run| (run.seed, run)).collect() };
        Self { matched: Matched::of(&by_seed(baseline), &by_seed(candidate)), least: clock_variance, cost }
    }

    /// The estimate over the qualities that every run reached, if they are half of `targets` or more; else a bound.
    pub(super) fn at(&self, targets: &[f64]) -> Measured {
        let unknown = |unknown| Measured { estimate: Estimate::Unknown(unknown), mean: None, reached: 0 };
        let Matched { baseline, candidate, .. } = &self.matched;
        if baseline.is_empty() || candidate.is_empty() {
            return unknown(Unknown::NoSeeds);
        }
        // A run that diverged is known never to have reached what it had not; any other without a curve is not known.
        let runs = || baseline.iter().chain(candidate);
        if let Some(reason) = runs().filter(|run| !run.diverged).find_map(|run| run.curve.as_ref().err()) {
            return unknown(match reason {
                NoFit::TooFew if runs().all(|run| run.ended) => Unknown::TooFewEvaluations,
                NoFit::TooFew => Unknown::NotThereYet,
                NoFit::NotPositive => Unknown::NotPositive,
            });
        }
        // Imported numbers may have no clock.
        let has_cost =
            |run: &&Run| run.curve.as_ref().map_or(true, |curve| self.cost_at(curve, curve.end()).is_finite());
        if !runs().all(has_cost) {
            return unknown(Unknown::NoClock);
        }
        let known = self.known(targets);
        if known.len() * 2 >= targets.len() && !known.is_empty() {
            let of_runs = |arm: &[&Run]| arm.iter().map(|run| self.mean_time(run, &known)).collect::<Vec<f64>>();
            let mean = self.difference(&of_runs(baseline), &of_runs(candidate));
            let estimate =
                Estimate::Measured { speedup: mean.ratio(), interval: mean.interval(LEVEL), resolution: None };
            return Measured { estimate, mean: Some(mean), reached: known.len() };
        }
        let times = |runs: &[&Run]| -> Vec<Vec<Between>> {
            runs.iter().map(|run| targets.iter().map(|&target| self.time(run, target)).collect()).collect()
        };
        let (first, second) = (times(baseline), times(candidate));
        let mean = |arm: &[Vec<Between>], end: fn(&Between) -> f64| {
            arm.iter().flatten().map(end).sum::<f64>() / (arm.len() * targets.len()) as f64
        };
        let (low, high) = (|between: &Between| between.low, |between: &Between| between.high);
        let at_least = mean(&first, low) - mean(&second, high);
        let at_most = mean(&first, high) - mean(&second, low);
        let none = first.iter().chain(&second).flatten().all(|between| between.high.is_infinite());
        let estimate = match () {
            () if none => Estimate::Unknown(Unknown::NoneReached),
            () if at_least.is_finite() => Estimate::AtLeast(at_least.exp()),
            () if at_most.is_finite() => Estimate::AtMost(at_most.exp()),
            () if at_least.is_nan() || at_most.is_nan() => Estimate::Unknown(Unknown::NoBound),
            () => Estimate::Unknown(Unknown::BothCensored),
        };
        Measured { estimate, mean: None, reached: known.len() }
    }

    /// The `targets` whose crossing is known for every run.
    fn known(&self, targets: &[f64]) -> Vec<f64> {
        let is_known = |run: &&Run, target: f64| {
            let time = self.time(run, target);
            time.low == time.high && time.low.is_finite()
        };
        let Matched { baseline, candidate, .. } = &self.matched;
        let runs = || baseline.iter().chain(candidate);
        targets.iter().copied().filter(|&target| runs().all(|run| is_known(run, target))).collect()
    }

    /// Mean ln(cost) at qualities that it is known to have reached.
    fn mean_time(&self, run: &Run, known: &[f64]) -> f64 {
        known.iter().map(|&target| self.time(run, target).low).sum::<f64>() / known.len() as f64
    }

    /// The ln speedup of each pair of runs with one seed; empty where seeds are not paired.
    fn by_seed(&self, targets: &[f64]) -> Vec<(u64, f64)> {
        let known = self.known(targets);
        let Matched { baseline, candidate, .. } = &self.matched;
        let pairs = baseline.iter().zip(candidate).filter(|_| self.matched.is_paired() && !known.is_empty());
        pairs
            .map(|(first, second)| (first.seed, self.mean_time(first, &known) - self.mean_time(second, &known)))
            .collect()
    }

    /// ln(cost) when `run` came down to `target`.
    pub(super) fn time(&self, run: &Run, target: f64) -> Between {
        let Ok(curve) = &run.curve else { return Between { low: f64::NEG_INFINITY, high: f64::INFINITY } };
        let cost = |x: f64| self.cost_at(curve, x);
        match curve.crossing(target) {
            Crossing::Before(x) => Between { low: f64::NEG_INFINITY, high: cost(x) },
            Crossing::At(x) => Between { low: cost(x), high: cost(x) },
            Crossing::After(x) => Between { low: cost(x), high: f64::INFINITY },
        }
    }

    /// ln(cost) at ln(images) `x`.
    pub(super) fn cost_at(&self, curve: &FittedCurve, x: f64) -> f64 {
        match self.cost {
            Cost::ImagesSeen => x,
            Cost::TrainSeconds => curve.ln_seconds(x),
        }
    }

    /// The difference of a value that each run of the two arms has.
    pub(super) fn difference(&self, baseline: &[f64], candidate: &[f64]) -> LogMean {
        match self.matched.is_paired() {
            true => {
                let differences = baseline.iter().zip(candidate).map(|(first, second)| first - second);
                paired(&differences.collect::<Vec<f64>>(), 2.0 * self.least)
            }
            false => welch(baseline, candidate, [self.least; 2]),
        }
    }
}
