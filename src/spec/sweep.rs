//! A sweep as written: patches and axes, before anything is merged.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value as Json;

use super::{BandShares, Cluster, FinalAt, LabelsSpec, Location, Metric, Node};

/// A value and the place it was written at.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed<T> {
    pub at: Location,
    pub value: T,
}

/// The YAML of a study, key by key. Every key may be left out.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
pub struct SweepSpec {
    /// `name`: the folder of its results. Default: the file's name without its ending.
    #[schemars(with = "String")]
    pub name: Placed<String>,
    /// `question`: what the study asks. The report shows it. Default: empty.
    pub question: String,
    /// `base`: the keys of a run, shared by all arms. Default: every key's own default.
    #[schemars(with = "Json")]
    pub base: Node,
    /// `arms`: what each arm changes, by the arm's name, in the order written. Maps of an arm are merged into those of the
    /// base. A map with another `kind` replaces the whole map, a list replaces the whole list. Default: one arm `baseline` that
    /// changes nothing.
    #[schemars(with = "BTreeMap<String, Json>")]
    pub arms: Vec<ArmSpec>,
    /// `grid`: axes whose values are all combined, the first axis changing slowest. An axis is a key of a run with dots, such as
    /// `model.channels`. Default: none.
    #[schemars(with = "BTreeMap<String, Json>")]
    pub grid: Vec<AxisSpec>,
    /// `zip`: groups of axes that move together, one map or a list of maps. Default: none.
    #[schemars(with = "Json")]
    pub zip: Vec<Vec<AxisSpec>>,
    /// `include`: further points, beside the combinations. Each point gives a value to every axis. Default: none.
    #[schemars(with = "Vec<Json>")]
    pub include: Vec<PointSpec>,
    /// `exclude`: combinations that are left out. Default: none.
    #[schemars(with = "Vec<Json>")]
    pub exclude: Vec<PointSpec>,
    /// `seeds`: a count n, which stands for 0, 1, .. n - 1, or a list. Default: 3.
    pub seeds: Vec<u64>,
    /// `compare`: how arms are compared: the baseline, the metric and the qualities. Default: nothing is compared.
    pub compare: Option<CompareSpec>,
    /// `labels`: what tables, figures and the page call the arms, in which order they stand, and their colours; what they call the axes of the grid and their values. No key of it
    /// changes a run, an id or a number: labels may be changed when the runs are done. Default: the arms' names, in the order
    /// written.
    #[schemars(with = "Json")]
    pub labels: LabelsSpec,
    /// `exclusive`: whether every run has its device to itself, so that no other run changes its times. Default: `false`.
    #[schemars(default)]
    pub exclusive: bool,
    /// `cluster`: what `speedlab submit` asks of a cluster. No key of it changes a result. Default: a cluster's own defaults.
    pub cluster: Cluster,
}

/// One arm: what it changes.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmSpec {
    pub name: Placed<String>,
    /// `extends`: the arms whose patches come before its own, one name or a list.
    pub extends: Vec<Placed<String>>,
    /// Everything but `extends`: a map that is merged into the base. A map with another `kind` replaces the whole map, a list
    /// replaces the whole list.
    pub patch: Node,
}

/// One axis: a key of `base`, dotted as in `model.channels`, and its values.
#[derive(Clone, Debug, PartialEq)]
pub struct AxisSpec {
    pub path: Placed<String>,
    /// The arms that have this axis; empty for all arms.
    pub arms: Vec<Placed<String>>,
    pub values: AxisValues,
}

/// The values of an axis as written. Computed values are rounded to 12 significant digits, so that 0.1 steps of 0.1
/// give 0.3 and not 0.30000000000000004.
#[derive(Clone, Debug, PartialEq)]
pub enum AxisValues {
    /// `[16, 32]`.
    List(Location, Vec<Node>),
    /// `{linspace: {start, stop, count}}`: `count` values from `start` to `stop`, both included, equally far apart.
    Linspace { at: Location, start: f64, stop: f64, count: usize },
    /// `{logspace: {start, stop, count}}`: the same with equal factors between neighbours. `start` and `stop` are the
    /// values themselves, not their exponents, and above 0.
    Logspace { at: Location, start: f64, stop: f64, count: usize },
    /// `{range: {start, stop, step}}`: `start`, `start + step`, ... as far as `stop`, which is included when it is met.
    Range { at: Location, start: f64, stop: f64, step: f64 },
}

/// An entry of `include` or `exclude`.
#[derive(Clone, Debug, PartialEq)]
pub struct PointSpec {
    pub at: Location,
    /// `arm`: one name or a list. Default: every arm.
    pub arms: Vec<Placed<String>>,
    /// `seed`: one seed or a list. Default: every seed.
    pub seeds: Vec<Placed<u64>>,
    /// A value for each axis that is named. In `exclude`, a list stands for any of its values.
    pub values: Vec<(Placed<String>, Node)>,
}

/// `compare` as written.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
pub struct CompareSpec {
    #[schemars(skip)]
    pub at: Location,
    /// The arm that speedups are relative to. Default: `baseline`.
    #[schemars(with = "String")]
    pub baseline: Placed<String>,
    /// Default: `fid`.
    #[schemars(with = "Metric")]
    pub metric: Placed<Metric>,
    /// `band`: the qualities over which the speedup is averaged, as shares of the baseline's training.
    pub band: BandShares,
    /// `target`: a quality. The report also states when each arm first reaches it. Default: none.
    #[schemars(with = "Json")]
    pub target: Option<TargetSpec>,
    /// `practical`: a speedup nearer to 1 than this factor counts as none. Default: 1.05.
    pub practical: f64,
    /// `tune`: axes of the grid, such as `[optimizer.learning_rate]`. Every arm is then also compared at its own best value.
    /// For each seed, that value is chosen by the last values of all other seeds. Default: none.
    #[schemars(with = "Vec<String>")]
    pub tune: Vec<Placed<String>>,
    /// `pairs`: further pairs of arms that are compared with each other, each `[arm, the arm it is compared with]`. Default:
    /// none.
    #[schemars(with = "Json")]
    pub pairs: Vec<PairSpec>,
}

/// An entry of `compare.pairs`.
#[derive(Clone, Debug, PartialEq)]
pub struct PairSpec {
    pub arm: Placed<String>,
    pub against: Placed<String>,
}

/// `compare.target` as written.
#[derive(Clone, Debug, PartialEq)]
pub enum TargetSpec {
    /// `{ value: x }`: a number stated in advance.
    Value(Placed<f64>),
    /// `{ from: arm, at: final_median }`: a value made of the arm's last values over its seeds.
    Final { from: Placed<String>, at: FinalAt },
}
