//! Makes a checked, ordered list of runs from YAML. Knows no device, no result and no model's arithmetic.
//!
//! ```text
//! text -> parse (YAML -> tree) -> overrides (--set) -> read (tree -> SweepSpec)
//!      -> arms and axes (patches merged, presets spelled out, values computed) -> expand (runs, each checked) -> Plan
//! ```
//!
//! All problems of a sweep are reported together, before the first run starts, each with its line and column.

mod arms;
mod axes;
mod check;
mod compare;
mod cost;
mod excerpt;
mod expand;
mod finding;
mod keys;
mod labels;
mod merge;
mod overrides;
mod params;
mod parse;
mod points;
mod preset;
mod presets;
mod problem;
mod read;

use std::path::Path;

pub use cost::{CostModel, DecoderCost, RunCost, run_cost};
pub use keys::{KeyError, reference, reference_page, sweep_schema};
pub use presets::{PRESETS, Preset};
pub use problem::{PlanError, Problem, Related};

use crate::spec::{Cluster, Plan, Source, SweepSpec};
use finding::{Finding, Texts};

/// Reads, resolves and checks the sweep in a file. `overrides` are the `path=value` of each `--set`.
pub fn load_sweep(path: &Path, overrides: &[String]) -> Result<Plan, PlanError> {
    let texts = Texts { file: path.to_owned(), text: String::new(), overrides: overrides.to_vec() };
    let text = parse::read_text(path).map_err(|finding| texts.error(vec![finding]))?;
    plan_text(path, &text, overrides)
}

/// The same for a text that is in memory already; `path` is what messages call it.
pub fn plan_text(path: &Path, text: &str, overrides: &[String]) -> Result<Plan, PlanError> {
    let texts = Texts { file: path.to_owned(), text: text.to_owned(), overrides: overrides.to_vec() };
    resolve(&texts).map_err(|findings| texts.error(findings))
}

/// The cluster options of a sweep. They are not part of its plan, since none of them changes a result.
pub fn load_cluster(path: &Path, overrides: &[String]) -> Result<Cluster, PlanError> {
    let texts = Texts { file: path.to_owned(), text: String::new(), overrides: overrides.to_vec() };
    let text = parse::read_text(path).map_err(|finding| texts.error(vec![finding]))?;
    let texts = Texts { text, ..texts };
    read_sweep(&texts).map(|sweep| sweep.cluster).map_err(|findings| texts.error(findings))
}

fn resolve(texts: &Texts) -> Result<Plan, Vec<Finding>> {
    expand::expand(&read_sweep(texts)?, texts.overrides.len())
}

fn read_sweep(texts: &Texts) -> Result<SweepSpec, Vec<Finding>> {
    let mut tree = parse::parse(&texts.text, Source::File).map_err(|finding| vec![finding])?;
    read::require_map(&tree).map_err(|finding| vec![finding])?;
    overrides::apply(&mut tree, &texts.overrides)?;
    let default_name = texts.file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    read::read(&tree, &default_name)
}
