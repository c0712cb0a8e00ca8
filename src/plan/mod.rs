//! Makes a checked, ordered list of runs from YAML. Knows no device, no result and no model's arithmetic.
//!
//! ```text
//! text -> parse (YAML -> tree) -> overrides (--set) -> read (tree -> SweepSpec)
//!      -> arms and axes (patches merged, presets spelled out, values computed) -> expand (runs, each checked) -> Plan
//! ```
//!
//! All problems of a sweep are reported together, before the first run starts, each with its line and column.

mod also;
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
mod reference_files;

use std::path::Path;

use serde_json::Value as Json;

pub use cost::{CostModel, DecoderCost, NetworkCost, RunCost, run_cost};
pub use keys::{KeyError, reference, reference_page, sweep_schema};
pub use presets::{PRESETS, Preset};
pub use problem::{PlanError, Problem, Related};

use crate::spec::{Cluster, Node, Plan, RunSpec, Source, SweepSpec};
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

/// A run with some of its keys changed, resolved and checked as if a sweep said so. `overrides` are the `path=value` of each `--set`;
/// `path` is what messages call the run's settings.
///
/// # Panics
/// If the run has a trainer of its own, whose settings come from more than one place, or an override changes the seeds.
pub fn changed_run(path: &Path, spec: &RunSpec, overrides: &[String]) -> Result<RunSpec, PlanError> {
    assert!(spec.trainer.is_none(), "a trainer's inputs are found when a sweep is planned");
    let mut base = serde_json::to_value(spec).expect("a RunSpec is plain data, which JSON can hold");
    // Set by `seeds`; and found in the file again.
    base.as_object_mut().expect("a run is a map").shift_remove("seed");
    let evaluate = base["evaluate"].as_object_mut().expect("a section is a map");
    let mut fids: Vec<&mut Json> = Vec::new();
    for (key, value) in evaluate {
        match (key.as_str(), value) {
            ("fid", fid) => fids.push(fid),
            ("also", Json::Array(also)) => fids.extend(also),
            _ => {}
        }
    }
    for fid in fids {
        let fid = fid.as_object_mut().expect("a protocol is a map");
        fid.shift_remove("reference_sha256");
        fid.shift_remove("weights_sha256");
    }
    if let Some(Json::Object(alignment)) = base.pointer_mut("/auxiliary_losses/alignment") {
        alignment.shift_remove("weights_sha256");
    }
    // What is wrong with the overrides is said when they are applied to the whole.
    let mut asked = Node::from_json(&serde_json::json!({ "base": {} }));
    let _ = overrides::apply(&mut asked, overrides);
    if let Some(reference) = asked.entry_at("base.evaluate.fid.reference") {
        let mut fid = Node::from_json(&base["evaluate"]["fid"]);
        also::forget_other_reference(&mut fid, &reference.value.value);
        base["evaluate"]["fid"] = fid.to_json();
    }
    if let Some(features) = asked.entry_at("base.evaluate.fid.features") {
        let mut fid = Node::from_json(&base["evaluate"]["fid"]);
        also::forget_other_weights(&mut fid, &features.value.value);
        base["evaluate"]["fid"] = fid.to_json();
    }
    // JSON is YAML.
    let sweep = serde_json::json!({ "name": "run", "base": base, "seeds": [spec.seed] });
    let text = serde_json::to_string_pretty(&sweep).expect("it is plain data");
    let mut runs = plan_text(path, &text, overrides)?.runs;
    assert_eq!(runs.len(), 1, "one run was given");
    Ok(runs.swap_remove(0).spec)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_changed_as_a_sweep_would_and_wrong_values_are_shown() {
        let mut spec = RunSpec { seed: 7, ..RunSpec::default() };
        spec.evaluate.also = vec![crate::spec::Fid { samples: 300, ..Default::default() }];
        let path = Path::new("spec.json");
        assert_eq!(changed_run(path, &spec, &[]).unwrap(), spec);
        let changed = changed_run(path, &spec, &["evaluate.fid.ode.steps=50".to_owned()]).unwrap();
        assert_eq!((changed.evaluate.fid.ode.steps(), changed.seed), (50, 7));
        let mut of_folder = spec.clone();
        of_folder.evaluate.fid.reference = crate::spec::Reference::Folder;
        of_folder.evaluate.fid.reference_folder = "images".to_owned();
        let changed = changed_run(path, &of_folder, &["evaluate.fid.reference=train".to_owned()]).unwrap();
        assert_eq!(changed.evaluate.fid, spec.evaluate.fid);
        assert_eq!(changed_run(path, &of_folder, &[]).unwrap(), of_folder);
        let error = changed_run(path, &spec, &["evaluate.fid.ode.step=50".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("--set") && error.contains("did you mean `steps`?"), "{error}");
        let error = changed_run(path, &spec, &["evaluate.fid.samples=1".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("`evaluate.fid.samples` must be at least 2, not 1"), "{error}");
    }
}
