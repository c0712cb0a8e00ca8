//! Grid points, their arms and what the study says of them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Metric;
use super::detail::Detail;
use super::headline::{Headline, Of};
use super::moments::{Fit, rounded};
use crate::report::band::Band;
use crate::report::comparison::{ArmComparison, Comparison, Contrast, PointComparison};
use crate::report::cost::Cost;
use crate::report::grid::Grid;
use crate::report::wording::{answer, pair_answer, yardstick};
use crate::spec::RunId;

/// Grid points on the page; the tables beside it have all.
pub const MOST_POINTS: usize = 40;

#[derive(Debug, Serialize)]
pub struct Point {
    /// `key = value, ..`; empty without a grid.
    pub label: String,
    /// The place of the metric that arms are compared by; null where it has no curves here.
    pub metric: Option<usize>,
    /// Over which qualities, in words.
    pub yardstick: Option<String>,
    /// The band's qualities from easy to hard; empty where there is none.
    pub targets: Vec<f64>,
    pub arms: Vec<PointArm>,
    pub pairs: Vec<PointPair>,
}

#[derive(Debug, Serialize)]
pub struct PointArm {
    /// The arm's place.
    pub arm: usize,
    /// Places of its runs.
    pub runs: Vec<usize>,
    /// In a sentence or two; empty for the baseline.
    pub answer: String,
    /// On each axis; empty for the baseline.
    pub headlines: Vec<Headline>,
}

/// An arm against another that is not the baseline.
#[derive(Debug, Serialize)]
pub struct PointPair {
    pub answer: String,
    pub headlines: Vec<Headline>,
}

pub fn points(comparison: &Comparison, detail: &Detail, metrics: &[Metric]) -> Vec<Point> {
    let study = comparison.study;
    let listed = &study.runs[..detail.listed(study.runs.len())];
    let places: BTreeMap<&RunId, usize> = listed.iter().map(|run| &run.planned.run_id).zip(0..).collect();
    comparison.points.iter().take(MOST_POINTS).map(|point| of_point(comparison, point, metrics, &places)).collect()
}

fn of_point(
    comparison: &Comparison,
    point: &PointComparison,
    metrics: &[Metric],
    places: &BTreeMap<&RunId, usize>,
) -> Point {
    let compared = Metric { name: comparison.metric.name(), protocol: &point.protocol };
    let targets = match &point.band {
        Some(Ok(Band { targets, .. })) => targets.iter().filter_map(|target| rounded(target.exp())).collect(),
        Some(Err(_)) | None => vec![],
    };
    let headlines = |names: (&str, &str), contrast: &Contrast| -> Vec<Headline> {
        let costs = Cost::ALL.iter().zip(&contrast.speedups);
        let of = |cost| Of { arm: names.0, against: names.1, cost, over_grid: false, targets: targets.len() };
        costs.map(|(cost, result)| Headline::of(comparison, &of(*cost), result)).collect()
    };
    let arm = |arm: &ArmComparison| {
        let is_answered = !arm.is_baseline && comparison.baseline.is_some();
        PointArm {
            arm: comparison
                .study
                .plan
                .arms
                .iter()
                .position(|name| name == arm.arm)
                .expect("arms are those of the plan"),
            runs: arm.runs.iter().filter_map(|run| places.get(&run.record.planned.run_id).copied()).collect(),
            answer: if is_answered { answer(comparison, point, arm) } else { String::new() },
            headlines: match comparison.baseline {
                Some(baseline) if is_answered => headlines((arm.arm, baseline), &arm.contrast),
                _ => vec![],
            },
        }
    };
    let pairs = point.pairs.iter().map(|pair| PointPair {
        answer: pair_answer(comparison, point, pair),
        headlines: headlines((pair.arm, pair.against), &pair.contrast),
    });
    Point {
        label: point.label.clone(),
        metric: metrics.iter().position(|metric| *metric == compared),
        yardstick: point.band.as_ref().map(|band| yardstick(comparison, band)),
        arms: point.arms.iter().map(arm).collect(),
        pairs: pairs.collect(),
        targets,
    }
}

/// Every arm over all grid points, where there are several.
pub fn effects(comparison: &Comparison, grid: &Grid) -> Vec<Headline> {
    let against = comparison.baseline.unwrap_or_default();
    let effects = grid.effects.iter().map(|effect| {
        let of = Of { arm: effect.arm, against, cost: Cost::ImagesSeen, over_grid: true, targets: 0 };
        Headline::of(comparison, &of, &Ok(effect.speedup.clone()))
    });
    effects.collect()
}

/// The fitted curves by which runs are compared.
pub struct Fits<'c>(BTreeMap<&'c RunId, Fit<'c>>);

impl<'c> Fits<'c> {
    pub fn of(comparison: &'c Comparison) -> Self {
        let mut fits = BTreeMap::new();
        for point in &comparison.points {
            let metric = Metric { name: comparison.metric.name(), protocol: &point.protocol };
            for arm in &point.arms {
                for run in &arm.runs {
                    let planned = &run.record.planned;
                    let fitted = arm.fitted.iter().find(|fitted| fitted.seed == planned.seed);
                    if let Some(Ok(curve)) = fitted.map(|fitted| &fitted.curve) {
                        fits.insert(&planned.run_id, Fit { metric, curve });
                    }
                }
            }
        }
        Self(fits)
    }

    pub fn get(&self, run_id: &RunId) -> Option<&Fit<'c>> {
        self.0.get(run_id)
    }
}
