//! What a reader can ask the page: one JSON value of a study, versioned, made from the comparison and the records alone.
//!
//! The page holds it as text in a `<script type="application/json">`; the still figures and tables do not need it.

mod detail;
mod embed;
mod headline;
mod log_end;
mod moments;
mod points;
mod run;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use self::detail::Detail;
use self::headline::Headline;
use self::points::{Fits, Point, effects, points};
use self::run::{Run, runs, shared_settings};
use super::cell::Cells;
use super::comparison::Comparison;
use super::grid::Grid;
use super::plots::Palette;
use super::wording::metric_words;

pub use self::detail::MOST_LISTED;
pub use self::embed::embedded;
pub use self::points::MOST_POINTS;

/// The version of [`Explore`].
pub const EXPLORE_VERSION: u32 = 1;

/// A study for the page's figures and panels. Arms, metrics and runs are named by their places in the lists.
#[derive(Debug, Serialize)]
pub struct Explore<'a> {
    pub version: u32,
    pub study: &'a str,
    pub question: &'a str,
    /// What stands after `speedlab run`.
    pub sweep: &'a str,
    /// What stands after commands that only read.
    pub reads: &'a str,
    pub baseline: Option<&'a str>,
    /// The compared metric in words.
    pub metric: String,
    /// How much of the curves is here.
    pub detail: &'static str,
    /// What is not, and where it is; null where everything is here.
    pub left_out: Option<String>,
    pub axes: Vec<Axis>,
    pub metrics: Vec<Metric<'a>>,
    pub arms: Vec<Arm<'a>>,
    pub points: Vec<Point>,
    /// Of each arm over all grid points.
    pub effects: Vec<Headline>,
    /// Settings that all runs share; each run has its others.
    pub settings: BTreeMap<String, Value>,
    pub runs: Vec<Run<'a>>,
}

/// What can stand on a figure's horizontal axis: a key of a run's `moments`.
#[derive(Debug, Serialize)]
pub struct Axis {
    pub key: &'static str,
    pub label: &'static str,
    /// In a sentence.
    pub words: &'static str,
}

const AXES: [Axis; 4] = [
    Axis { key: "images_seen", label: "training images seen", words: "training images" },
    Axis { key: "step", label: "training steps", words: "training steps" },
    Axis { key: "train_seconds", label: "training time (s)", words: "training time" },
    Axis { key: "wall_seconds", label: "time since the run began, with evaluation (s)", words: "time with evaluation" },
];

/// A metric by one protocol; values of different protocols are not comparable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Metric<'a> {
    pub name: &'a str,
    pub protocol: &'a str,
}

#[derive(Debug, Serialize)]
pub struct Arm<'a> {
    pub name: &'a str,
    /// As in every figure.
    pub color: String,
}

impl<'a> Explore<'a> {
    pub fn of(comparison: &Comparison<'a>, grid: &Grid) -> Self {
        let study = comparison.study;
        let plan = &study.plan;
        let palette = Palette::of(comparison);
        let detail = Detail::of(comparison);
        let fits = Fits::of(comparison);
        let cells = Cells::of(comparison, grid);
        let metrics = detail.metrics(comparison);
        let arms = plan.arms.iter().map(|arm| Arm { name: arm, color: palette.css(arm) });
        let settings = shared_settings(study);
        Self {
            version: EXPLORE_VERSION,
            study: &plan.name,
            question: plan.question.trim(),
            sweep: &study.sweep_arguments,
            reads: study.reading_arguments(),
            baseline: comparison.baseline,
            metric: metric_words(comparison),
            detail: detail.name(),
            left_out: detail.left_out(comparison),
            axes: AXES.into(),
            arms: arms.collect(),
            points: points(comparison, &detail, &metrics, &cells),
            effects: effects(comparison, grid, &cells),
            runs: runs(comparison, &detail, &metrics, &fits, &settings),
            metrics,
            settings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AXES;
    use crate::report::cost::Cost;

    #[test]
    fn every_axis_of_a_speedup_can_be_drawn() {
        assert!(Cost::ALL.iter().all(|cost| AXES.iter().any(|axis| axis.key == cost.name())));
    }
}
