//! What is compared at one grid point.

use super::arm::{clock_variance, final_values, fitted, spread};
use super::contrast::{Yardstick, contrast};
use super::{ArmComparison, ArmRun, AtPoint, Contrast};
use crate::record::{RunRecord, StudyRecord};
use crate::report::band::{Band, NoBand};
use crate::report::cost::Cost;
use crate::report::curve::protocols;
use crate::report::speedup::level;
use crate::report::target::{NoTarget, ResolvedTarget, resolve};
use crate::spec::{Labels, Metric, Point};

/// One grid point: arms that differ in nothing but themselves.
pub struct PointComparison<'a> {
    /// `axis = value, ..` by the labels; empty without a grid.
    pub label: String,
    /// The same without labels, as programs read it.
    pub name: String,
    pub point: &'a Point,
    /// How the metric was measured, in the baseline's words (the first arm's without one).
    pub protocol: String,
    /// The qualities of the headline; `None` without a `compare` section.
    pub band: Option<Result<Band, NoBand>>,
    /// `None` where the sweep names no target.
    pub target: Option<Result<ResolvedTarget, NoTarget>>,
    /// In the order of the sweep; arms without a run here are missing.
    pub arms: Vec<ArmComparison<'a>>,
    /// The arms that `compare.pairs` names, in its order; pairs of which an arm has no run here are missing.
    pub pairs: Vec<PairComparison<'a>>,
}

impl<'a> PointComparison<'a> {
    pub fn arm(&self, name: &str) -> Option<&ArmComparison<'a>> {
        self.arms.iter().find(|arm| arm.arm == name)
    }

    /// Where it stands on the other axes.
    pub fn without(&self, is_left_out: impl Fn(&str) -> bool) -> Point {
        let kept = self.point.iter().filter(|(path, _)| !is_left_out(path));
        kept.map(|(path, value)| (path.clone(), value.clone())).collect()
    }
}

/// An arm against another that is not the baseline.
pub struct PairComparison<'a> {
    pub arm: &'a str,
    /// The arm that the speedup is relative to.
    pub against: &'a str,
    pub contrast: Contrast,
}

/// `band`: if it was fixed earlier. `counts`: which runs may be compared.
pub(super) fn point_comparison<'a>(
    study: &'a StudyRecord,
    metric: Metric,
    at_point: &AtPoint<'a>,
    band: Option<&Band>,
    counts: fn(&ArmRun) -> bool,
) -> PointComparison<'a> {
    let AtPoint { point, runs, guests } = at_point;
    let compare = study.plan.compare.as_ref();
    let baseline = compare.map(|compare| compare.baseline.as_str());
    let protocol = runs
        .iter()
        .filter(|run| baseline.is_none_or(|baseline| run.planned.arm == baseline))
        .chain(runs)
        .find_map(|run| protocols(run, metric.name()).first().copied())
        .unwrap_or_default();
    let arms_of = |runs: &[&'a RunRecord]| -> Vec<ArmComparison<'a>> {
        let of = |arm: &'a String| {
            let own = runs.iter().filter(|run| run.planned.arm == *arm);
            let runs: Vec<ArmRun> = own.map(|run| ArmRun::of(run, metric.name(), protocol)).collect();
            (!runs.is_empty()).then(|| ArmComparison {
                arm,
                is_baseline: baseline == Some(arm.as_str()),
                final_values: spread(&final_values(&runs)),
                fitted: fitted(&runs, counts),
                runs,
                reached: None,
                contrast: Contrast::none(),
            })
        };
        study.plan.arms.iter().filter_map(of).collect()
    };
    let (mut arms, guests) = (arms_of(runs), arms_of(guests));
    let finals = |from: &str| {
        let arm = arms.iter().chain(&guests).find(|arm| arm.arm == from);
        arm.map_or((vec![], 0), |arm| (final_values(&arm.runs), arm.runs.len()))
    };
    let target = compare.and_then(|compare| compare.target.as_ref()).map(|target| resolve(target, finals));
    let baseline_arm = arms.iter().position(|arm| arm.is_baseline);
    let band = compare.map(|compare| match (band, baseline_arm.map(|index| &arms[index])) {
        (Some(band), _) => Ok(band.clone()),
        (None, Some(baseline)) => Band::of(&baseline.fitted, planned_images(baseline), compare.band),
        (None, None) => Err(NoBand::NotThereYet),
    });
    for arm in &mut arms {
        arm.reached = match (&target, &band) {
            (Some(Ok(target)), _) => {
                let times = arm.seed_times(target.value, Cost::ImagesSeen);
                Some(times.iter().filter(|seed_time| seed_time.time.reached()).count())
            }
            (None, Some(Ok(band))) => Some(arm.fitted.iter().filter(|run| band.is_passed_by(run)).count()),
            _ => None,
        };
    }
    let clock_variance = clock_variance(&arms);
    let level = level(study.plan.until_decided.as_ref(), 1);
    let yardstick = Yardstick { protocol, band: band.as_ref(), target: target.as_ref(), clock_variance, level };
    for index in 0..arms.len() {
        let reference = baseline_arm.map(|baseline| &arms[baseline]);
        arms[index].contrast = contrast(reference, baseline, &arms[index], &yardstick);
    }
    let find = |name: &str| arms.iter().chain(&guests).find(|arm| arm.arm == name);
    let pairs = compare.map_or(&[][..], |compare| &compare.pairs).iter().filter_map(|pair| {
        let (arm, against) = (find(&pair.arm)?, find(&pair.against)?);
        // Two that were compared at an earlier point already are not compared again.
        let is_guest = |name: &str| guests.iter().any(|guest| guest.arm == name);
        if is_guest(&pair.arm) && is_guest(&pair.against) {
            return None;
        }
        let contrast = contrast(Some(against), Some(against.arm), arm, &yardstick);
        Some(PairComparison { arm: arm.arm, against: against.arm, contrast })
    });
    let pairs = pairs.collect();
    let axes = &study.plan.axes;
    let (label, name) = (study.plan.labels.point(axes, point), Labels::default().point(axes, point));
    PointComparison { label, name, point, protocol: protocol.to_owned(), band, target, arms, pairs }
}

/// The images that each of an arm's runs is planned to see.
pub(crate) fn planned_images(arm: &ArmComparison) -> f64 {
    arm.runs.first().map_or(0.0, |run| {
        let train = &run.record.planned.spec.train;
        train.images_after(train.steps) as f64
    })
}
