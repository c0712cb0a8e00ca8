//! The runs of one arm at one grid point, and their results together.

use super::{ArmRun, Contrast};
use crate::report::band::{FittedCurve, Run};
use crate::report::cost::Cost;
use crate::report::speedup::SeedTime;
use crate::report::target::median;

/// One arm at one grid point.
pub struct ArmComparison<'a> {
    pub arm: &'a str,
    pub is_baseline: bool,
    /// The runs by seed, in the plan's order.
    pub runs: Vec<ArmRun<'a>>,
    /// The fitted curves of those runs that have measured something or are known never to.
    pub fitted: Vec<Run>,
    /// The last value of completed runs.
    pub final_values: Option<Spread>,
    /// Runs that reached the target, or where there is none the hardest quality of the band; `None` where there is neither.
    pub reached: Option<usize>,
    /// Against the baseline.
    pub contrast: Contrast,
}

/// Median and range over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
    pub n: usize,
}

impl ArmComparison<'_> {
    /// (run, time to target) of every run that has measured something.
    pub fn seed_times(&self, target: f64, cost: Cost) -> Vec<SeedTime> {
        let time = |run: &ArmRun| run.time(target, cost).map(|time| SeedTime { seed: run.record.planned.seed, time });
        self.runs.iter().filter_map(time).collect()
    }

    pub fn count(&self, is: impl Fn(&ArmRun) -> bool) -> usize {
        self.runs.iter().filter(|run| is(run)).count()
    }
}

pub(super) fn final_values(runs: &[ArmRun]) -> Vec<f64> {
    let completed = runs.iter().filter(|run| run.completed());
    completed.filter_map(|run| run.curve.last()).map(|evaluation| evaluation.value).collect()
}

pub fn spread(values: &[f64]) -> Option<Spread> {
    let fold = |pick: fn(f64, f64) -> f64| values.iter().copied().reduce(pick);
    Some(Spread { median: median(values)?, low: fold(f64::min)?, high: fold(f64::max)?, n: values.len() })
}

/// How much the speed of runs of one arm varies, though they do the same work: the variance of its logarithm within
/// arms, pooled over arms.
pub(super) fn clock_variance(arms: &[ArmComparison]) -> f64 {
    let (mut squares, mut freedom) = (Vec::new(), 0.0);
    for arm in arms {
        let logs: Vec<f64> = arm.runs.iter().filter_map(ArmRun::seconds_per_thousand_images).map(f64::ln).collect();
        if !logs.is_empty() {
            let mean = logs.iter().sum::<f64>() / logs.len() as f64;
            squares.push(logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>());
            freedom += logs.len() as f64 - 1.0;
        }
    }
    // In whatever order the arms are shown, the sum has the same bits.
    squares.sort_unstable_by(f64::total_cmp);
    let squares: f64 = squares.iter().sum();
    if freedom > 0.0 { squares / freedom } else { 0.0 }
}

pub(super) fn fitted(runs: &[ArmRun], counts: fn(&ArmRun) -> bool) -> Vec<Run> {
    let known = runs.iter().filter(|run| counts(run) && (!run.curve.is_empty() || run.diverged()));
    let curves = FittedCurve::of_each(known.clone().map(|run| run.curve.as_slice()));
    known
        .zip(curves)
        .map(|(run, curve)| Run { seed: run.record.planned.seed, curve, diverged: run.diverged(), ended: run.ended() })
        .collect()
}
