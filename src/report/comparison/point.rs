//! What is compared at one grid point.

use std::collections::BTreeMap;

use super::arm::{clock_variance, curve_targets, final_values, spread};
use super::contrast::{Yardstick, comparable, contrast};
use super::{ArmComparison, ArmRun, Contrast};
use crate::record::{RunRecord, StudyRecord};
use crate::report::cost::Cost;
use crate::report::curve::protocols;
use crate::report::target::{NoTarget, ResolvedTarget, resolve};
use crate::spec::Metric;

/// One grid point: arms that differ in nothing but themselves.
pub struct PointComparison<'a> {
    /// `key = value, ..`; empty without a grid.
    pub label: String,
    pub point: &'a BTreeMap<String, serde_json::Value>,
    /// How the metric was measured, in the baseline's words (the first arm's without one).
    pub protocol: String,
    /// `None` without a `compare` section.
    pub target: Option<Result<ResolvedTarget, NoTarget>>,
    /// In the order of the sweep; arms without a run here are missing.
    pub arms: Vec<ArmComparison<'a>>,
    /// The arms that `compare.pairs` names, in its order; pairs of which an arm has no run here are missing.
    pub pairs: Vec<PairComparison<'a>>,
}

/// An arm against another that is not the baseline.
pub struct PairComparison<'a> {
    pub arm: &'a str,
    /// The arm that the speedup is relative to.
    pub against: &'a str,
    pub contrast: Contrast,
}

pub(super) fn point_comparison<'a>(
    study: &'a StudyRecord,
    metric: Metric,
    label: String,
    runs: &[&'a RunRecord],
) -> PointComparison<'a> {
    let compare = study.plan.compare.as_ref();
    let baseline = compare.map(|compare| compare.baseline.as_str());
    let protocol = runs
        .iter()
        .filter(|run| baseline.is_none_or(|baseline| run.planned.arm == baseline))
        .chain(runs)
        .find_map(|run| protocols(run, metric.name()).first().copied())
        .unwrap_or_default();
    let mut arms: Vec<ArmComparison> = Vec::new();
    for arm in &study.plan.arms {
        let runs: Vec<ArmRun> = runs
            .iter()
            .filter(|run| run.planned.arm == *arm)
            .map(|run| ArmRun::of(run, metric.name(), protocol))
            .collect();
        if !runs.is_empty() {
            arms.push(ArmComparison {
                arm,
                is_baseline: baseline == Some(arm.as_str()),
                final_values: spread(&final_values(&runs)),
                runs,
                reached: None,
                contrast: Contrast { speedups: vec![], common: None },
                target_curves: vec![],
            });
        }
    }
    let finals = |from: &str| {
        let arm = arms.iter().find(|arm| arm.arm == from);
        arm.map_or((vec![], 0), |arm| (final_values(&arm.runs), arm.runs.len()))
    };
    let target = compare.map(|compare| resolve(&compare.target, finals));
    if let Some(Ok(target)) = &target {
        for arm in &mut arms {
            let times = arm.seed_times(target.value, Cost::ImagesSeen);
            arm.reached = Some(times.iter().filter(|seed_time| seed_time.time.reached()).count());
        }
    }
    let baseline_arm = arms.iter().position(|arm| arm.is_baseline);
    let targets = baseline_arm.map_or(vec![], |index| curve_targets(&arms[index]));
    let yardstick = Yardstick { protocol, target: target.as_ref(), clock_variance: clock_variance(&arms) };
    for index in 0..arms.len() {
        let reference = baseline_arm.map(|baseline| &arms[baseline]);
        let contrast = contrast(reference, baseline, &arms[index], &yardstick);
        let curve = |cost| match comparable(reference, baseline, &arms[index], protocol, cost) {
            Ok(baseline) => {
                let at = |&target| (target, yardstick.speedup(baseline, &arms[index], target, cost));
                targets.iter().map(at).collect()
            }
            Err(_) => vec![],
        };
        let target_curves = Cost::ALL.into_iter().map(curve).collect();
        (arms[index].contrast, arms[index].target_curves) = (contrast, target_curves);
    }
    let find = |name: &str| arms.iter().find(|arm| arm.arm == name);
    let pairs = compare.map_or(&[][..], |compare| &compare.pairs).iter().filter_map(|pair| {
        let (arm, against) = (find(&pair.arm)?, find(&pair.against)?);
        let contrast = contrast(Some(against), Some(against.arm), arm, &yardstick);
        Some(PairComparison { arm: arm.arm, against: against.arm, contrast })
    });
    let pairs = pairs.collect();
    PointComparison { label, point: &runs[0].planned.point, protocol: protocol.to_owned(), target, arms, pairs }
}
