//! Grid points, their arms and what the study says of them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Metric;
use super::detail::Detail;
use super::headline::{Headline, Other};
use super::moments::{Fit, rounded};
use crate::report::band::Band;
use crate::report::cell::{Cells, Kind, Of};
use crate::report::comparison::{ArmComparison, Comparison, Contrast, PointComparison};
use crate::report::cost::Cost;
use crate::report::grid::Grid;
use crate::report::tables::{Estimator, Row, groups};
use crate::report::wording::{answer, interval_cell, pair_answer, speedup_cell, yardstick};
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
    /// The id of its final value's cell.
    pub final_cell: String,
}

/// An arm against another that is not the baseline.
#[derive(Debug, Serialize)]
pub struct PointPair {
    pub answer: String,
    pub headlines: Vec<Headline>,
}

pub fn points(comparison: &Comparison, detail: &Detail, metrics: &[Metric], cells: &Cells) -> Vec<Point> {
    let study = comparison.study;
    let listed = &study.runs[..detail.listed(study.runs.len())];
    let places: BTreeMap<&RunId, usize> = listed.iter().map(|run| &run.planned.run_id).zip(0..).collect();
    let points = comparison.points.iter().take(MOST_POINTS);
    points.map(|point| of_point(comparison, point, metrics, &places, cells)).collect()
}

fn of_point(
    comparison: &Comparison,
    point: &PointComparison,
    metrics: &[Metric],
    places: &BTreeMap<&RunId, usize>,
    cells: &Cells,
) -> Point {
    let compared = Metric { name: comparison.metric.name(), protocol: &point.protocol };
    let targets = match &point.band {
        Some(Ok(Band { targets, .. })) => targets.iter().filter_map(|target| rounded(target.exp())).collect(),
        Some(Err(_)) | None => vec![],
    };
    let groups = groups(point);
    let headlines = |place: usize, names: (&str, &str), contrast: &Contrast| -> Vec<Headline> {
        let of = |cost| Of { arm: names.0, against: names.1, cost, over_grid: false, targets: targets.len() };
        let costs = Cost::ALL.iter().zip(&contrast.speedups);
        let headlines = costs.map(|(cost, result)| {
            let id = cells.speedup(point, names.0, Some(names.1), Kind::Band, *cost);
            let others = groups[place].iter().filter(|row| row.estimator != Estimator::Band && row.cost == *cost);
            let other = |row: &Row| Other {
                what: row.measured_in(comparison),
                shown: speedup_cell(&row.result),
                interval: interval_cell(&row.result),
                cell: cells.of_row(point, row).to_owned(),
            };
            Headline { others: others.map(other).collect(), ..Headline::of(comparison, &of(*cost), result, id) }
        });
        headlines.collect()
    };
    let arm = |(place, arm): (usize, &ArmComparison)| {
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
                Some(baseline) if is_answered => headlines(place, (arm.arm, baseline), &arm.contrast),
                _ => vec![],
            },
            final_cell: cells.final_value(point, arm.arm).to_owned(),
        }
    };
    let pairs = point.pairs.iter().enumerate().map(|(place, pair)| PointPair {
        answer: pair_answer(comparison, point, pair),
        headlines: headlines(point.arms.len() + place, (pair.arm, pair.against), &pair.contrast),
    });
    Point {
        label: point.label.clone(),
        metric: metrics.iter().position(|metric| *metric == compared),
        yardstick: point.band.as_ref().map(|band| yardstick(comparison, band)),
        arms: point.arms.iter().enumerate().map(arm).collect(),
        pairs: pairs.collect(),
        targets,
    }
}

/// Every arm over all grid points, where there are several.
pub fn effects(comparison: &Comparison, grid: &Grid, cells: &Cells) -> Vec<Headline> {
    let against = comparison.baseline.unwrap_or_default();
    let effects = grid.effects.iter().map(|effect| {
        let of = Of { arm: effect.arm, against, cost: Cost::ImagesSeen, over_grid: true, targets: 0 };
        Headline::of(comparison, &of, &Ok(effect.speedup.clone()), cells.effect(effect.arm))
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
