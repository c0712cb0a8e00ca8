//! One arm against another.

use super::{ArmComparison, ArmRun};
use crate::report::cost::Cost;
use crate::report::speedup::{Speedup, speedup_timed};
use crate::report::target::{NoTarget, ResolvedTarget};

/// How much sooner an arm is than another, in the order of [`Cost::ALL`].
pub struct Contrast {
    /// To the study's target.
    pub speedups: Vec<Result<Speedup, NoSpeedup>>,
    /// The strictest target that every run of both arms reached, and the speedups there: where the study's target gives only
    /// a bound, this still gives an interval, by a rule that leaves nothing to choose.
    pub common: Option<(f64, Vec<Result<Speedup, NoSpeedup>>)>,
}

/// Why an arm has no speedup at all.
#[derive(Clone, Debug, PartialEq)]
pub enum NoSpeedup {
    IsBaseline,
    NoCompare,
    NoTarget(NoTarget),
    /// The arm has measured nothing yet.
    NotMeasured {
        arm: String,
    },
    /// The metric was measured differently.
    ProtocolsDiffer {
        compared: String,
        other: String,
    },
    /// Times on different devices say nothing about methods.
    DevicesDiffer {
        devices: Vec<String>,
    },
}

/// What all comparisons at a grid point share.
pub(super) struct Yardstick<'t> {
    pub(super) protocol: &'t str,
    pub(super) target: Option<&'t Result<ResolvedTarget, NoTarget>>,
    pub(super) clock_variance: f64,
}

impl Yardstick<'_> {
    pub(super) fn speedup(
        &self,
        reference: &ArmComparison,
        candidate: &ArmComparison,
        target: f64,
        cost: Cost,
    ) -> Speedup {
        let clock_variance = if cost == Cost::TrainSeconds { self.clock_variance } else { 0.0 };
        speedup_timed(&reference.seed_times(target, cost), &candidate.seed_times(target, cost), clock_variance)
    }
}

/// `candidate` against `reference`, whose name is `None` without a `compare` section.
pub(super) fn contrast(
    reference: Option<&ArmComparison>,
    reference_name: Option<&str>,
    candidate: &ArmComparison,
    yardstick: &Yardstick,
) -> Contrast {
    let compared = |cost| comparable(reference, reference_name, candidate, yardstick.protocol, cost);
    let to_target = |cost| {
        let reference = compared(cost)?;
        match yardstick.target {
            Some(Ok(target)) => Ok(yardstick.speedup(reference, candidate, target.value, cost)),
            Some(Err(no_target)) => Err(NoSpeedup::NoTarget(no_target.clone())),
            None => Err(NoSpeedup::NoCompare),
        }
    };
    let common = reference.and_then(|reference| common_target(reference, candidate)).map(|target| {
        let at = |cost| compared(cost).map(|reference| yardstick.speedup(reference, candidate, target, cost));
        (target, Cost::ALL.into_iter().map(at).collect())
    });
    Contrast { speedups: Cost::ALL.into_iter().map(to_target).collect(), common }
}

/// The reference, if `candidate` may be compared with it.
pub(super) fn comparable<'b, 'a>(
    reference: Option<&'b ArmComparison<'a>>,
    reference_name: Option<&str>,
    candidate: &ArmComparison<'a>,
    protocol: &str,
    cost: Cost,
) -> Result<&'b ArmComparison<'a>, NoSpeedup> {
    let Some(reference_name) = reference_name else { return Err(NoSpeedup::NoCompare) };
    if candidate.arm == reference_name {
        return Err(NoSpeedup::IsBaseline);
    }
    let Some(reference) = reference else { return Err(NoSpeedup::NotMeasured { arm: reference_name.to_owned() }) };
    for arm in [reference, candidate] {
        if let Some(other) = arm.runs.iter().find_map(|run| run.other_protocols.first()) {
            return Err(NoSpeedup::ProtocolsDiffer { compared: protocol.to_owned(), other: (*other).to_owned() });
        }
        if arm.runs.iter().all(|run| run.curve.is_empty() && !run.diverged()) {
            return Err(NoSpeedup::NotMeasured { arm: arm.arm.to_owned() });
        }
    }
    if cost == Cost::TrainSeconds && !devices_match(reference, candidate) {
        let runs = reference.runs.iter().chain(&candidate.runs);
        let mut devices: Vec<String> = runs.flat_map(ArmRun::devices).map(str::to_owned).collect();
        devices.sort_unstable();
        devices.dedup();
        return Err(NoSpeedup::DevicesDiffer { devices });
    }
    Ok(reference)
}

/// Whether every pair of runs with one seed ran on one device; without shared seeds, whether all runs did.
fn devices_match(baseline: &ArmComparison, candidate: &ArmComparison) -> bool {
    let alike = |runs: &[&ArmRun]| {
        let mut devices: Vec<&str> = runs.iter().flat_map(|run| run.devices()).collect();
        devices.sort_unstable();
        devices.dedup();
        devices.len() <= 1
    };
    let pairs: Vec<[&ArmRun; 2]> = baseline
        .runs
        .iter()
        .filter_map(|first| {
            let same = |second: &&ArmRun| second.record.planned.seed == first.record.planned.seed;
            candidate.runs.iter().find(same).map(|second| [first, second])
        })
        .collect();
    match pairs.is_empty() {
        true => alike(&baseline.runs.iter().chain(&candidate.runs).collect::<Vec<_>>()),
        false => pairs.iter().all(|pair| alike(pair)),
    }
}

/// The worst of all runs' best values; `None` where a run has none or diverged, or where every run was there at its first
/// evaluation, which tells nothing.
fn common_target(baseline: &ArmComparison, candidate: &ArmComparison) -> Option<f64> {
    let runs = || baseline.runs.iter().chain(&candidate.runs);
    if runs().any(ArmRun::diverged) {
        return None;
    }
    let known = |run: &&ArmRun| !run.curve.is_empty();
    let best = |run: &ArmRun| {
        let values = run.curve.iter().map(|evaluation| evaluation.value).filter(|value| value.is_finite());
        values.reduce(f64::min)
    };
    let bests = runs().filter(known).map(best);
    let target = bests.reduce(|worst, best| worst.zip(best).map(|(worst, best)| worst.max(best)))??;
    let at_once = |run: &ArmRun| run.curve.first().is_some_and(|evaluation| evaluation.value <= target);
    (!runs().filter(known).all(at_once)).then_some(target)
}
