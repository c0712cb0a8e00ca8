//! A study's runs by grid point and arm, with every arm's speedup over the baseline.

use std::collections::{BTreeMap, BTreeSet};

use super::cost::Cost;
use super::curve::{Evaluation, curve, protocols};
use super::speedup::{SeedTime, Speedup, speedup_timed};
use super::target::{NoTarget, ResolvedTarget, median, resolve};
use super::time_to_target::{TimeToTarget, time_to_target};
use crate::event::RunOutcome;
use crate::record::{RunRecord, RunState, StudyRecord};
use crate::spec::Metric;

/// Everything a report says in numbers.
pub struct Comparison<'a> {
    pub study: &'a StudyRecord,
    pub metric: Metric,
    /// The arm speedups are relative to; `None` without a `compare` section.
    pub baseline: Option<&'a str>,
    /// Grid points in the plan's order.
    pub points: Vec<PointComparison<'a>>,
}

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

/// How much sooner an arm is than another, in the order of [`Cost::ALL`].
pub struct Contrast {
    /// To the study's target.
    pub speedups: Vec<Result<Speedup, NoSpeedup>>,
    /// The strictest target that every run of both arms reached, and the speedups there: where the study's target gives only
    /// a bound, this still gives an interval, by a rule that leaves nothing to choose.
    pub common: Option<(f64, Vec<Result<Speedup, NoSpeedup>>)>,
}

/// One arm at one grid point.
pub struct ArmComparison<'a> {
    pub arm: &'a str,
    pub is_baseline: bool,
    /// By seed in the plan's order.
    pub runs: Vec<ArmRun<'a>>,
    /// The last value of completed runs.
    pub final_values: Option<Spread>,
    /// Runs that reached the target; `None` without a target.
    pub reached: Option<usize>,
    /// Against the baseline.
    pub contrast: Contrast,
    /// The speedup at every target between the baseline's worst and best value, in the order of [`Cost::ALL`].
    pub target_curves: Vec<Vec<(f64, Speedup)>>,
}

/// A run and its measurements of the compared metric by the point's protocol.
pub struct ArmRun<'a> {
    pub record: &'a RunRecord,
    pub curve: Vec<Evaluation>,
    /// Other protocols it measured the metric by where it did not by the point's. (Both kinds of weights are measured by a
    /// protocol each, of which one is compared.)
    pub other_protocols: Vec<&'a str>,
}

/// Median and range over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
    pub n: usize,
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

/// Targets in a speedup-against-target curve.
const CURVE_TARGETS: usize = 64;

impl<'a> Comparison<'a> {
    pub fn of(study: &'a StudyRecord) -> Self {
        let compare = study.plan.compare.as_ref();
        let metric = compare.map_or(Metric::default(), |compare| compare.metric);
        let baseline = compare.map(|compare| compare.baseline.as_str());
        let mut points: Vec<(String, Vec<&RunRecord>)> = Vec::new();
        for run in &study.runs {
            let label = point_label(&run.planned.point);
            match points.iter_mut().find(|(other, _)| *other == label) {
                Some((_, runs)) => runs.push(run),
                None => points.push((label, vec![run])),
            }
        }
        let points = points.into_iter().map(|(label, runs)| point_comparison(study, metric, label, &runs)).collect();
        Self { study, metric, baseline, points }
    }

    /// How runs measured the compared metric, each way once; first those by which arms are compared.
    pub fn protocols(&self) -> Vec<&str> {
        let compared = self.points.iter().map(|point| point.protocol.as_str());
        let mut found: Vec<&str> = Vec::new();
        for protocol in compared.chain(self.study.runs.iter().flat_map(|run| protocols(run, self.metric.name()))) {
            if !protocol.is_empty() && !found.contains(&protocol) {
                found.push(protocol);
            }
        }
        found
    }

    /// Whether there is more than one grid point.
    pub fn has_grid(&self) -> bool {
        self.points.len() > 1
    }
}

impl ArmRun<'_> {
    pub fn completed(&self) -> bool {
        self.record.state == RunState::Ended(RunOutcome::Completed)
    }

    pub fn diverged(&self) -> bool {
        matches!(self.record.state, RunState::Ended(RunOutcome::Diverged { .. }))
    }

    /// The time to `target`; `None` where nothing is known. A run that diverged is known never to have reached it.
    pub fn time(&self, target: f64, cost: Cost) -> Option<TimeToTarget> {
        (!self.curve.is_empty() || self.diverged()).then(|| time_to_target(&self.curve, target, cost))
    }

    /// The device of every attempt, each once.
    pub fn devices(&self) -> Vec<&str> {
        let mut devices: Vec<&str> = self.record.attempts.iter().map(|started| started.device.as_str()).collect();
        devices.sort_unstable();
        devices.dedup();
        devices
    }
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

fn point_label(point: &BTreeMap<String, serde_json::Value>) -> String {
    point.iter().map(|(key, value)| format!("{key} = {value}")).collect::<Vec<_>>().join(", ")
}

fn point_comparison<'a>(
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
            .map(|run| ArmRun {
                record: run,
                curve: curve(run, metric.name(), protocol),
                other_protocols: other_protocols(run, metric.name(), protocol),
            })
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

/// What all comparisons at a grid point share.
struct Yardstick<'t> {
    protocol: &'t str,
    target: Option<&'t Result<ResolvedTarget, NoTarget>>,
    clock_variance: f64,
}

impl Yardstick<'_> {
    fn speedup(&self, reference: &ArmComparison, candidate: &ArmComparison, target: f64, cost: Cost) -> Speedup {
        let clock_variance = if cost == Cost::TrainSeconds { self.clock_variance } else { 0.0 };
        speedup_timed(&reference.seed_times(target, cost), &candidate.seed_times(target, cost), clock_variance)
    }
}

/// `candidate` against `reference`, whose name is `None` without a `compare` section.
fn contrast(
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

impl ArmRun<'_> {
    /// Training seconds per 1,000 images, over the whole run so far.
    pub fn seconds_per_thousand_images(&self) -> Option<f64> {
        let last = self.record.rows.last().filter(|row| row.images_seen > 0 && row.train_seconds > 0.0)?;
        Some(1000.0 * last.train_seconds / last.images_seen as f64)
    }
}

/// How much the speed of runs of one arm varies, though they do the same work: the variance of its logarithm within
/// arms, pooled over arms.
fn clock_variance(arms: &[ArmComparison]) -> f64 {
    let (mut squares, mut freedom) = (0.0, 0.0);
    for arm in arms {
        let logs: Vec<f64> = arm.runs.iter().filter_map(ArmRun::seconds_per_thousand_images).map(f64::ln).collect();
        if !logs.is_empty() {
            let mean = logs.iter().sum::<f64>() / logs.len() as f64;
            squares += logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>();
            freedom += logs.len() as f64 - 1.0;
        }
    }
    if freedom > 0.0 { squares / freedom } else { 0.0 }
}

/// The protocols of measurements at steps where there is none by `protocol`.
fn other_protocols<'a>(run: &'a RunRecord, metric: &str, protocol: &str) -> Vec<&'a str> {
    let steps = |protocol: &str| curve(run, metric, protocol).into_iter().map(|evaluation| evaluation.step);
    let known: BTreeSet<u64> = steps(protocol).collect();
    let others = protocols(run, metric).into_iter().filter(|other| *other != protocol);
    others.filter(|other| steps(other).any(|step| !known.contains(&step))).collect()
}

/// The reference, if `candidate` may be compared with it.
fn comparable<'b, 'a>(
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

fn final_values(runs: &[ArmRun]) -> Vec<f64> {
    let completed = runs.iter().filter(|run| run.completed());
    completed.filter_map(|run| run.curve.last()).map(|evaluation| evaluation.value).collect()
}

pub(super) fn spread(values: &[f64]) -> Option<Spread> {
    let fold = |pick: fn(f64, f64) -> f64| values.iter().copied().reduce(pick);
    Some(Spread { median: median(values)?, low: fold(f64::min)?, high: fold(f64::max)?, n: values.len() })
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

/// Log-spaced from where every baseline run still has to start down to the best that any of them reached.
fn curve_targets(baseline: &ArmComparison) -> Vec<f64> {
    let positive = |value: &f64| *value > 0.0 && value.is_finite();
    let curves =
        || baseline.runs.iter().map(|run| run.curve.iter().map(|evaluation| evaluation.value).filter(positive));
    let worst = curves().filter_map(|mut values| values.next()).reduce(f64::min);
    let best = curves().flatten().reduce(f64::min);
    let (Some(worst), Some(best)) = (worst, best) else { return vec![] };
    if best >= worst {
        return vec![];
    }
    let share = |index: usize| index as f64 / (CURVE_TARGETS - 1) as f64;
    (0..CURVE_TARGETS).map(|index| worst * (best / worst).powf(share(index))).collect()
}
