//! A study's runs by grid point and arm, with every arm's speedup over the baseline.

mod arm;
mod arm_run;
mod contrast;
mod looks;
mod point;

use rayon::prelude::*;

use self::point::point_comparison;
use super::band::Band;
use super::cost::Cost;
use super::curve::protocols;
use super::interval::{LEVEL, holm};
use super::speedup::{Decision, Pairing, Speedup, level};
use crate::record::{RunRecord, StudyRecord};
use crate::spec::{Compare, Metric, PRACTICAL, Plan, Point, Target, Weights, is_part, whole_points};

pub(super) use self::arm::spread;
pub use self::arm::{ArmComparison, Spread};
pub use self::arm_run::ArmRun;
pub use self::contrast::{Contrast, NoSpeedup};
pub use self::looks::{Look, Settled};
pub(super) use self::point::planned_images;
pub use self::point::{PairComparison, PointComparison};

/// Everything a report says in numbers.
pub struct Comparison<'a> {
    pub study: &'a StudyRecord,
    pub metric: Metric,
    /// The features of the runs' distances by name, or that there are several.
    pub features: &'static str,
    /// The arm speedups are relative to; `None` without a `compare` section.
    pub baseline: Option<&'a str>,
    /// Grid points in the plan's order.
    pub points: Vec<PointComparison<'a>>,
    /// The looks of a study whose seeds are added until it is decided.
    pub looks: Option<Vec<Look>>,
}

impl<'a> Comparison<'a> {
    pub fn of(study: &'a StudyRecord) -> Self {
        let runs: Vec<&RunRecord> = study.runs.iter().collect();
        if let Some(rule) = &study.plan.until_decided {
            return looks::taken(study, &runs, rule);
        }
        let mut comparison = Self::undecided(study, &runs, None, |_| true);
        let practical = comparison.practical();
        for axis in 0..Cost::ALL.len() {
            for family in Family::ALL {
                decide_together(comparison.speedups(axis, family), practical);
            }
        }
        comparison
    }

    /// The comparison of some of the study's runs, without verdicts. `bands`: those of the grid points, if they were
    /// fixed earlier. `counts`: which runs may be compared.
    fn undecided(
        study: &'a StudyRecord,
        runs: &[&'a RunRecord],
        bands: Option<&[Option<Band>]>,
        counts: fn(&ArmRun) -> bool,
    ) -> Self {
        let compare = study.plan.compare.as_ref();
        let metric = compare.map_or(Metric::default(), |compare| compare.metric);
        let points = by_point(runs, compare).into_par_iter().enumerate().map(|(index, at_point)| {
            let band = bands.and_then(|bands| bands.get(index)?.as_ref());
            point_comparison(study, metric, &at_point, band, counts)
        });
        let baseline = compare.map(|compare| compare.baseline.as_str());
        Self { study, metric, features: features(&study.plan), baseline, points: points.collect(), looks: None }
    }

    /// `compare.practical`: factors nearer to 1 are as good as none.
    pub fn practical(&self) -> f64 {
        self.study.plan.compare.as_ref().map_or(PRACTICAL, |compare| compare.practical)
    }

    /// The comparisons that share a correction, at all grid points, in one order.
    fn contrasts(&mut self, family: Family) -> Vec<&mut Contrast> {
        let points = self.points.iter_mut();
        match family {
            Family::Arms => {
                let arms = points.flat_map(|point| &mut point.arms).filter(|arm| !arm.is_baseline);
                arms.map(|arm| &mut arm.contrast).collect()
            }
            Family::Pairs => points.flat_map(|point| &mut point.pairs).map(|pair| &mut pair.contrast).collect(),
        }
    }

    /// Those of them that are known, on an axis of [`Cost::ALL`].
    fn speedups(&mut self, axis: usize, family: Family) -> impl Iterator<Item = &mut Speedup> {
        self.contrasts(family).into_iter().filter_map(move |contrast| contrast.speedups.get_mut(axis)?.as_mut().ok())
    }

    /// The level of a two-sided test of one of so many comparisons.
    pub fn level(&self, comparisons: usize) -> f64 {
        level(self.study.plan.until_decided.as_ref(), comparisons)
    }

    /// The seeds that the last look counts, in a study whose seeds are added; `None` for fixed seeds.
    pub fn counted_seeds(&self) -> Option<&[u64]> {
        let (rule, looks) = (self.study.plan.until_decided.as_ref()?, self.looks.as_ref()?);
        Some(&rule.seeds[..looks.last().map_or(0, |look| look.seeds)])
    }

    /// The standard deviation of a seed's ln speedup in images, pooled over arms; `None` where no arm has two paired seeds.
    pub fn deviation(&self) -> Option<f64> {
        let arms = self.points.iter().flat_map(|point| &point.arms);
        let (mut squares, mut freedom) = (0.0, 0.0);
        for speedup in arms.filter_map(|arm| arm.contrast.images()) {
            if let (Pairing::Paired { n }, Some((error, of))) =
                (speedup.pairing, speedup.mean.and_then(|mean| mean.error))
            {
                squares += of * error.powi(2) * n as f64;
                freedom += of;
            }
        }
        (freedom > 0.0 && squares > 0.0).then(|| (squares / freedom).sqrt())
    }

    /// Which weights are compared, in a sentence: `averaged`.
    pub fn weights(&self) -> &'static str {
        let first = self.study.plan.runs.first();
        first.map_or(Weights::Averaged, |run| run.spec.evaluate.weights.compared()).name()
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

fn features(plan: &Plan) -> &'static str {
    let mut names = plan.runs.iter().map(|run| run.spec.evaluate.fid.features.name());
    let first = names.next().unwrap_or_default();
    if names.all(|name| name == first) { first } else { "several features" }
}

/// The runs that are compared at a grid point.
struct AtPoint<'a> {
    point: &'a Point,
    runs: Vec<&'a RunRecord>,
    /// The runs of arms that are compared with the baseline at an earlier point. Here other arms are compared with
    /// them.
    guests: Vec<&'a RunRecord>,
}

/// Runs by grid point, in the order in which these are first met. An arm that has not all axes stands at several: the baseline at each of
/// them, any other arm at the first; what others are compared with is a guest at the rest.
fn by_point<'a>(runs: &[&'a RunRecord], compare: Option<&Compare>) -> Vec<AtPoint<'a>> {
    let is_baseline = |arm: &str| compare.is_some_and(|compare| compare.baseline == arm);
    let is_reference = |arm: &str| {
        compare.is_some_and(|compare| {
            let of_target = matches!(&compare.target, Some(Target::Final { from, .. }) if from == arm);
            of_target || compare.pairs.iter().any(|pair| [&pair.arm, &pair.against].iter().any(|name| *name == arm))
        })
    };
    let whole = whole_points(runs.iter().map(|run| &run.planned.point)).into_iter();
    let mut points: Vec<AtPoint> = whole.map(|point| AtPoint { point, runs: vec![], guests: vec![] }).collect();
    for &run in runs {
        let (is_baseline, is_reference) = (is_baseline(&run.planned.arm), is_reference(&run.planned.arm));
        let own = points.iter_mut().filter(|at| is_part(&run.planned.point, at.point));
        for (index, at) in own.enumerate() {
            match index {
                0 => at.runs.push(run),
                _ if is_baseline => at.runs.push(run),
                _ if is_reference => at.guests.push(run),
                _ => break,
            }
        }
    }
    points
}

/// Comparisons that share a correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// The comparisons of every arm with the baseline.
    Arms,
    /// The comparisons of `compare.pairs`.
    Pairs,
}

impl Family {
    const ALL: [Self; 2] = [Self::Arms, Self::Pairs];
}

pub(super) fn decide_together<'s>(speedups: impl Iterator<Item = &'s mut Speedup>, practical: f64) {
    let mut speedups: Vec<&mut Speedup> = speedups.collect();
    let known: Vec<f64> = speedups.iter().filter_map(|speedup| speedup.p_value()).collect();
    let mut adjusted = holm(&known).into_iter();
    for speedup in &mut speedups {
        let adjusted_p = speedup.p_value().and_then(|_| adjusted.next());
        let is_rejected = adjusted_p.is_some_and(|p| p < LEVEL);
        let decision = Decision { is_looked_at: true, is_rejected, adjusted_p, interval_level: LEVEL };
        speedup.decide(&decision, practical);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::{PlannedRun, RunSpec};

    #[test]
    fn what_others_are_compared_with_stands_at_every_point_and_other_arms_at_one() {
        let run = |arm: &str, point: serde_json::Value| {
            let point = serde_json::from_value(point).unwrap();
            let planned = PlannedRun::of_baseline(RunSpec::default());
            RunRecord::new(PlannedRun { arm: arm.to_owned(), point, ..planned })
        };
        let runs = [
            run("baseline", json!({})),
            run("clts", json!({"center": 0.1, "width": 1})),
            run("clts", json!({"center": 0.5, "width": 1})),
            run("mdlrc", json!({"momentum": "demon"})),
            run("none", json!({})),
            run("control", json!({})),
        ];
        let pairs = json!([{"arm": "clts", "against": "control"}]);
        let compare = json!({"baseline": "baseline", "metric": "fid", "pairs": pairs});
        let compare: Compare = serde_json::from_value(compare).unwrap();
        let runs: Vec<&RunRecord> = runs.iter().collect();
        let points = by_point(&runs, Some(&compare));
        let names = |runs: &[&RunRecord]| runs.iter().map(|run| run.planned.arm.clone()).collect::<Vec<_>>().join(" ");
        let at: Vec<(String, String)> = points.iter().map(|at| (names(&at.runs), names(&at.guests))).collect();
        let expected =
            [("baseline clts none control", ""), ("baseline clts", "control"), ("baseline mdlrc", "control")];
        assert_eq!(at, expected.map(|(runs, guests)| (runs.to_owned(), guests.to_owned())));
        assert_eq!(by_point(&runs[..1], None).len(), 1, "without a grid there is one point");
    }
}
