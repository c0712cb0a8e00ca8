//! A study's runs by grid point and arm, with every arm's speedup over the baseline.

mod arm;
mod arm_run;
mod contrast;
mod point;

use std::collections::BTreeMap;

use self::point::point_comparison;
use super::cost::Cost;
use super::curve::protocols;
use super::interval::holm;
use super::speedup::Speedup;
use crate::record::{RunRecord, StudyRecord};
use crate::spec::{Metric, PRACTICAL};

pub(super) use self::arm::spread;
pub use self::arm::{ArmComparison, Spread};
pub use self::arm_run::ArmRun;
pub use self::contrast::{Contrast, NoSpeedup};
pub use self::point::{PairComparison, PointComparison};

/// Everything a report says in numbers.
pub struct Comparison<'a> {
    pub study: &'a StudyRecord,
    pub metric: Metric,
    /// The arm speedups are relative to; `None` without a `compare` section.
    pub baseline: Option<&'a str>,
    /// Grid points in the plan's order.
    pub points: Vec<PointComparison<'a>>,
}

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
        let mut comparison = Self { study, metric, baseline, points };
        comparison.decide(compare.map_or(PRACTICAL, |compare| compare.practical));
        comparison
    }

    /// Gives every comparison its verdict: on each axis among those of all arms with the baseline, at all grid points, and
    /// among those of `compare.pairs`.
    fn decide(&mut self, practical: f64) {
        for index in 0..Cost::ALL.len() {
            let arms = self.points.iter_mut().flat_map(|point| &mut point.arms).map(|arm| &mut arm.contrast);
            decide_together(arms.filter_map(|contrast| contrast.speedups.get_mut(index)?.as_mut().ok()), practical);
            let pairs = self.points.iter_mut().flat_map(|point| &mut point.pairs).map(|pair| &mut pair.contrast);
            decide_together(pairs.filter_map(|contrast| contrast.speedups.get_mut(index)?.as_mut().ok()), practical);
        }
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

fn decide_together<'s>(speedups: impl Iterator<Item = &'s mut Speedup>, practical: f64) {
    let mut speedups: Vec<&mut Speedup> = speedups.collect();
    let p_value = |speedup: &&mut Speedup| speedup.mean.and_then(|mean| mean.p_value());
    let known: Vec<f64> = speedups.iter().filter_map(p_value).collect();
    let mut adjusted = holm(&known).into_iter();
    for speedup in &mut speedups {
        let adjusted = p_value(speedup).and_then(|_| adjusted.next());
        speedup.decide(adjusted, practical);
    }
}

fn point_label(point: &BTreeMap<String, serde_json::Value>) -> String {
    point.iter().map(|(key, value)| format!("{key} = {value}")).collect::<Vec<_>>().join(", ")
}
