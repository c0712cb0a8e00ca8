//! The checked, ordered list of runs that a sweep asks for.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::decode::each_in_record;
use super::{FurtherMeasure, Labels, RunId, RunSpec, Trainer, UntilDecided};

/// The version of a [`Plan`].
pub const PLAN_VERSION: u32 = 1;

/// What a sweep asks for, fully resolved. It is frozen in `results/<sweep>/plan.json` before the first run starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_VERSION`] when it was written.
    pub version: u32,
    /// The sweep's name: the folder of its results.
    pub name: String,
    pub question: String,
    /// Arms in the order they are written.
    pub arms: Vec<String>,
    /// Axes of the grid in the order they are written.
    pub axes: Vec<Axis>,
    pub seeds: Vec<u64>,
    pub compare: Option<Compare>,
    /// The rule by which seeds are added, if they are. `seeds` and `runs` are then those so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_decided: Option<UntilDecided>,
    /// Whether every run has its device to itself. A plan from before there was a choice has none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exclusive: bool,
    /// What reports call the arms: no part of what the plan asks, so that it may change at any time.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// In the order they should run: seeds outermost, so that every comparison becomes readable early.
    #[serde(deserialize_with = "each_in_record")]
    pub runs: Vec<PlannedRun>,
}

/// One axis of the grid: a key of `base`, and its values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// Dotted, as in `model.channels`.
    pub path: String,
    pub values: Vec<serde_json::Value>,
}

#[cfg(test)]
impl Plan {
    /// Of the baseline alone, without a comparison.
    pub fn of_test(name: &str, runs: Vec<PlannedRun>) -> Self {
        Self {
            version: PLAN_VERSION,
            name: name.to_owned(),
            question: String::new(),
            arms: vec!["baseline".to_owned()],
            axes: vec![],
            seeds: vec![0],
            compare: None,
            until_decided: None,
            exclusive: false,
            labels: Labels::default(),
            runs,
        }
    }
}

impl Axis {
    /// A value in a name: text without quotes, a map by its `kind`, with its settings where another value has the same, everything else
    /// as JSON.
    pub fn label(&self, value: &serde_json::Value) -> String {
        let kind = |value: &serde_json::Value| value.get("kind").and_then(|kind| kind.as_str().map(str::to_owned));
        match value {
            serde_json::Value::String(text) => text.clone(),
            // 1.0 is written 1.
            serde_json::Value::Number(number) => number.to_string().trim_end_matches(".0").to_owned(),
            serde_json::Value::Object(map) => {
                let Some(own) = kind(value) else { return value.to_string() };
                if self.values.iter().filter(|other| kind(other).as_ref() == Some(&own)).count() == 1 {
                    return own;
                }
                let settings =
                    map.iter().filter(|(key, _)| *key != "kind").map(|(key, value)| format!("{key}={value}"));
                format!("{own}({})", settings.collect::<Vec<_>>().join(", "))
            }
            other => other.to_string(),
        }
    }
}

/// The values of axes at a grid point.
pub type Point = BTreeMap<String, serde_json::Value>;

/// Whether a grid point has all values of another, and perhaps more.
pub fn is_part(part: &Point, whole: &Point) -> bool {
    part.iter().all(|(key, value)| whole.get(key) == Some(value))
}

/// Each point once, in the order of its first appearance, without points that are parts of others: an arm that lacks an axis
/// stands at several points.
pub fn whole_points<'p>(points: impl Iterator<Item = &'p Point>) -> Vec<&'p Point> {
    let mut found: Vec<&Point> = Vec::new();
    let mut known = BTreeSet::new();
    for point in points {
        if known.insert(serde_json::to_string(point).expect("plain data")) {
            found.push(point);
        }
    }
    let most = found.iter().map(|point| point.len()).max().unwrap_or(0);
    let is_whole = |point: &&&Point| {
        point.len() == most || !found.iter().any(|other| other.len() > point.len() && is_part(point, other))
    };
    found.iter().filter(is_whole).copied().collect()
}

impl Plan {
    /// Whether two plans ask the same: whether nothing but their labels differs.
    pub fn asks_as(&self, other: &Self) -> bool {
        let Self { version, name, question, arms, axes, seeds, compare, until_decided, exclusive, labels: _, runs } =
            self;
        (version, name, question, arms, axes)
            == (&other.version, &other.name, &other.question, &other.arms, &other.axes)
            && (seeds, compare, until_decided) == (&other.seeds, &other.compare, &other.until_decided)
            && (exclusive, runs) == (&other.exclusive, &other.runs)
    }

    /// Whether the runs were trained elsewhere and imported.
    pub fn is_imported(&self) -> bool {
        !self.runs.is_empty() && self.runs.iter().all(|run| run.spec.trainer.as_ref().is_some_and(Trainer::is_import))
    }
}

/// A run and where in the study it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedRun {
    pub run_id: RunId,
    pub arm: String,
    /// `arm` followed by ` key=value` for each axis: unique among trials.
    pub trial: String,
    /// The values at this grid point of the arm's axes; empty without a grid.
    pub point: Point,
    pub seed: u64,
    pub spec: RunSpec,
}

#[cfg(test)]
impl PlannedRun {
    /// A run of a sweep without arms or axes.
    pub fn of_baseline(spec: RunSpec) -> Self {
        let (arm, trial) = ("baseline".to_owned(), "baseline".to_owned());
        Self { run_id: RunId::of(&spec), arm, trial, point: BTreeMap::new(), seed: spec.seed, spec }
    }
}

/// `compare`: which arm is the baseline and what counts as equal quality. It is fixed before anything runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compare {
    /// The arm that speedups are relative to.
    pub baseline: String,
    pub metric: Metric,
    /// The qualities over which speeds are compared.
    #[serde(default, skip_serializing_if = "BandShares::is_default")]
    pub band: BandShares,
    /// A quality whose first crossing is reported beside the speedup over the band.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// A speedup nearer to 1 than this factor counts as none.
    #[serde(default = "default_practical", skip_serializing_if = "is_default_practical")]
    pub practical: f64,
    /// Axes along which every arm is compared at its own best value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tune: Vec<String>,
    /// Arms that are compared with each other too. A plan from before there were any has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<Pair>,
}

/// The default of `compare.practical`.
pub const PRACTICAL: f64 = 1.05;

fn default_practical() -> f64 {
    PRACTICAL
}

fn is_default_practical(practical: &f64) -> bool {
    *practical == PRACTICAL
}

/// `compare.band`: the qualities that the baseline has between these two shares of its training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BandShares {
    /// The share of the baseline's training where the band begins; above 0. Default: 0.3.
    pub from: f64,
    /// The share where the band ends; above `from`, up to 1. Default: 0.75, since near the end of a run noise hides when a
    /// quality was reached.
    pub to: f64,
}

impl Default for BandShares {
    fn default() -> Self {
        Self { from: 0.3, to: 0.75 }
    }
}

impl BandShares {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Two arms that are compared with each other, as a method and its control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    pub arm: String,
    /// The arm that its speedup is relative to.
    pub against: String,
}

/// The metric that quality is measured by. Lower is better. Metrics for which higher is better (precision, recall, density,
/// coverage, the Inception score) have no time to a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The Fréchet distance of `evaluate.fid`. The default.
    #[default]
    Fid,
    /// The mean loss on held-out images.
    ValidationLoss,
    /// The kernel distance, where `evaluate.measures` has `kid`.
    Kid,
    /// The Fréchet distance extrapolated to infinitely many images, where `evaluate.measures` has `fid_infinity`.
    FidInfinity,
    /// The Fréchet distance of spatial features, where `evaluate.measures` has `sfid`.
    Sfid,
    /// The kernel distance of CLIP's embeddings, where `evaluate.measures` has `cmmd`.
    Cmmd,
}

impl Metric {
    /// Its name in the records' `metric` column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fid => "fid",
            Self::ValidationLoss => "validation_loss",
            Self::Kid => "kid",
            Self::FidInfinity => "fid_infinity",
            Self::Sfid => "sfid",
            Self::Cmmd => "cmmd",
        }
    }

    /// What `evaluate.measures` must hold for it to be measured.
    pub fn needs(self) -> Option<FurtherMeasure> {
        match self {
            Self::Fid | Self::ValidationLoss => None,
            Self::Kid => Some(FurtherMeasure::Kid),
            Self::FidInfinity => Some(FurtherMeasure::FidInfinity),
            Self::Sfid => Some(FurtherMeasure::Sfid),
            Self::Cmmd => Some(FurtherMeasure::Cmmd),
        }
    }
}

/// The quality to reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Target {
    /// A number stated in the sweep.
    Value { value: f64 },
    /// A value made of the last values of arm `from` over its seeds, at the same grid point.
    Final { from: String, at: FinalAt },
}

/// `compare.target.at`: which of an arm's last values is the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalAt {
    /// The median over seeds. About half of the arm's own runs never reach it, so that with few seeds its times are
    /// often censored. The default.
    #[default]
    FinalMedian,
    /// The worst over seeds: every completed run of the arm reaches it.
    FinalWorst,
}

impl FinalAt {
    /// In words, before "of the last values".
    pub fn words(self) -> &'static str {
        match self {
            Self::FinalMedian => "the median",
            Self::FinalWorst => "the worst",
        }
    }
}
