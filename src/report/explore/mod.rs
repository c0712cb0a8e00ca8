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
use self::run::{Known, Run, runs, shared_settings};
use super::cell::Cells;
use super::comparison::Comparison;
use super::grid::Grid;
use super::plots::Palette;
use super::wording::metric_words;
use crate::record::without_results;
use crate::spec::RunSpec;

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
    /// What stands after `speedlab run`, and the same without the folder of results.
    pub sweep: String,
    pub sweep_alone: String,
    /// The folder of the records, as commands that only read take it.
    pub reads: String,
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

/// Floating-point operations that the training of such a run spends; `None` where its network is not known. Reports know no networks: who asks for one
/// says it.
pub type FlopsOfRun = fn(&RunSpec) -> Option<TrainingFlops>;

/// Floating-point operations that training spends on each image, which may change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainingFlops {
    /// In the order of the images that they begin with.
    stretches: Vec<Stretch>,
}

/// Images on each of which as many operations are spent.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stretch {
    first_image: u64,
    /// Spent on all images before it.
    before: f64,
    each: f64,
}

impl TrainingFlops {
    /// The same on every image.
    pub fn even(image: f64) -> Self {
        let mut flops = Self::default();
        flops.go_on(0, image);
        flops
    }

    /// From the one after `first_image` images on, `each` are spent on an image. Called in the order of the images.
    pub fn go_on(&mut self, first_image: u64, each: f64) {
        if self.stretches.last().is_none_or(|last| last.each != each) {
            let before = self.after(first_image);
            self.stretches.push(Stretch { first_image, before, each });
        }
    }

    /// Spent on the first `images` images.
    pub fn after(&self, images: u64) -> f64 {
        let begun = self.stretches.partition_point(|stretch| stretch.first_image <= images);
        let last = self.stretches[..begun].last();
        last.map_or(0.0, |Stretch { first_image, before, each }| before + (images - first_image) as f64 * each)
    }
}

const AXES: [Axis; 6] = [
    Axis { key: "images_seen", label: "training images seen", words: "training images" },
    Axis { key: "step", label: "training steps", words: "training steps" },
    Axis { key: "train_seconds", label: "training time (s)", words: "training time" },
    Axis { key: "wall_seconds", label: "time since the run began, with evaluation (s)", words: "time with evaluation" },
    Axis {
        key: "train_flops", label: "training FLOPs (3 × the forward pass of every image)", words: "training FLOPs"
    },
    Axis {
        key: "device_hours",
        label: "device hours, with evaluation; a shared device in parts",
        words: "device hours",
    },
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
        Self::with_flops(comparison, grid, |_| None)
    }

    /// The same, where it is known what the runs' networks compute.
    pub fn with_flops(comparison: &Comparison<'a>, grid: &Grid, flops_of_run: FlopsOfRun) -> Self {
        let study = comparison.study;
        let plan = &study.plan;
        let palette = Palette::of(comparison);
        let detail = Detail::of(comparison);
        let fits = Fits::of(comparison);
        let cells = Cells::of(comparison, grid);
        let metrics = detail.metrics(comparison);
        let arms = plan.arms.iter().map(|arm| Arm { name: arm, color: palette.css(arm) });
        let settings = shared_settings(study);
        let known = Known { detail: &detail, metrics: &metrics, fits: &fits, settings: &settings, flops_of_run };
        let runs = runs(comparison, &known);
        // An axis that some run has no numbers for would leave that run out.
        let has = |axis: &Axis| match axis.key {
            "train_flops" => runs.iter().all(|run| run.moments.step.is_empty() || !run.moments.train_flops.is_empty()),
            "device_hours" => {
                runs.iter().all(|run| run.moments.step.is_empty() || !run.moments.device_hours.is_empty())
            }
            _ => true,
        };
        Self {
            version: EXPLORE_VERSION,
            study: &plan.name,
            question: plan.question.trim(),
            sweep: study.running_arguments(),
            sweep_alone: without_results(&study.sweep_arguments),
            reads: study.reading_arguments(),
            baseline: comparison.baseline,
            metric: metric_words(comparison),
            detail: detail.name(),
            left_out: detail.left_out(comparison),
            axes: AXES.into_iter().filter(has).collect(),
            arms: arms.collect(),
            points: points(comparison, &detail, &metrics, &cells),
            effects: effects(comparison, grid, &cells),
            runs,
            metrics,
            settings,
        }
    }

    /// Where nothing lies beside the page, it names no files.
    pub fn forget_files(&mut self) {
        self.runs.iter_mut().flat_map(|run| &mut run.samples).for_each(|(_, file)| *file = None);
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
