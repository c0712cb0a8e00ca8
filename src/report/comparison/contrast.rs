//! One arm against another.

use super::{ArmComparison, ArmRun};
use crate::report::band::{Band, NoBand, Profile, over_band, profile};
use crate::report::cost::Cost;
use crate::report::speedup::{Speedup, speedup_timed};
use crate::report::target::{NoTarget, ResolvedTarget};

/// How much sooner an arm is than another, in the order of [`Cost::ALL`].
pub struct Contrast {
    /// Over the band: the headline.
    pub speedups: Vec<Result<Speedup, NoSpeedup>>,
    /// The profiles that the headline sums up; `None` where there is none.
    pub profiles: Vec<Option<Profile>>,
    /// The first evaluations at or below `compare.target`; empty where the sweep names none.
    pub first_crossings: Vec<Result<Speedup, NoSpeedup>>,
}

impl Contrast {
    /// The headline in training images, where there is one.
    pub fn images(&self) -> Option<&Speedup> {
        self.speedups.first()?.as_ref().ok()
    }

    /// Before anything is compared.
    pub(super) fn none() -> Self {
        Self { speedups: vec![], profiles: vec![], first_crossings: vec![] }
    }
}

/// Why an arm has no speedup at all.
#[derive(Clone, Debug, PartialEq)]
pub enum NoSpeedup {
    IsBaseline,
    NoCompare,
    NoTarget(NoTarget),
    NoBand(NoBand),
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

/// The band and target that all comparisons at a grid point share.
pub(super) struct Yardstick<'t> {
    pub(super) protocol: &'t str,
    pub(super) band: Option<&'t Result<Band, NoBand>>,
    pub(super) target: Option<&'t Result<ResolvedTarget, NoTarget>>,
    pub(super) clock_variance: f64,
    /// Two-sided, of intervals beside the headline.
    pub(super) level: f64,
}

/// `candidate` against `reference`, whose name is `None` without a `compare` section.
pub(super) fn contrast(
    reference: Option<&ArmComparison>,
    reference_name: Option<&str>,
    candidate: &ArmComparison,
    yardstick: &Yardstick,
) -> Contrast {
    let compared = |cost| comparable(reference, reference_name, candidate, yardstick.protocol, cost);
    let variance = |cost| if cost == Cost::TrainSeconds { yardstick.clock_variance } else { 0.0 };
    let reference_runs = reference.map_or(&[][..], |reference| &reference.fitted);
    let banded = |cost| {
        compared(cost)?;
        match yardstick.band {
            Some(Ok(band)) => Ok(band),
            Some(Err(no_band)) => Err(NoSpeedup::NoBand(*no_band)),
            None => Err(NoSpeedup::NoCompare),
        }
    };
    let over_band =
        |cost| banded(cost).map(|band| over_band(band, reference_runs, &candidate.fitted, cost, variance(cost)));
    let of_profile = |cost| {
        banded(cost)
            .ok()
            .map(|band| profile(band, reference_runs, &candidate.fitted, cost, (variance(cost), yardstick.level)))
    };
    let to_target = |cost| {
        let reference = compared(cost)?;
        match yardstick.target {
            Some(Ok(target)) => Ok(speedup_timed(
                &reference.seed_times(target.value, cost),
                &candidate.seed_times(target.value, cost),
                variance(cost),
                yardstick.level,
            )),
            Some(Err(no_target)) => Err(NoSpeedup::NoTarget(no_target.clone())),
            None => Err(NoSpeedup::NoCompare),
        }
    };
    Contrast {
        speedups: Cost::ALL.into_iter().map(over_band).collect(),
        profiles: Cost::ALL.into_iter().map(of_profile).collect(),
        first_crossings: match yardstick.target {
            Some(_) => Cost::ALL.into_iter().map(to_target).collect(),
            None => vec![],
        },
    }
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
