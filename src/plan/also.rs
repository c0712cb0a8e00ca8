//! `evaluate.also: [..]`: every entry takes over from `evaluate.fid` what it does not name.
//!
//! Entries are completed while a run's tree is decoded, when arms and axes have changed `evaluate.fid` as they will. A run's spec holds
//! them whole.

use super::merge::merge;
use crate::spec::{DecodeError, Fid, Node, RunSpec, Value, decode};

/// Decodes the tree of a run, whose entries of `evaluate.also` need not be whole.
pub fn decode_run(tree: &Node) -> Result<RunSpec, DecodeError> {
    match completed(tree) {
        Some(tree) => decode(&tree),
        None => decode(tree),
    }
}

/// The tree with whole entries; `None` where it has none.
fn completed(tree: &Node) -> Option<Node> {
    let section = tree.get("evaluate")?;
    section.get("also")?;
    let mut fid = Node::from_json(&serde_json::to_value(Fid::default()).expect("plain data, which JSON can hold"));
    if let Some(written) = section.get("fid") {
        merge(&mut fid, written);
    }
    let mut tree = tree.clone();
    let also = child(child(&mut tree, "evaluate")?, "also")?;
    if let Value::List(entries) = &mut also.value {
        for entry in entries {
            let mut whole = fid.clone();
            if let Some(reference) = entry.get("reference") {
                forget_other_reference(&mut whole, &reference.value);
            }
            if let Some(features) = entry.get("features") {
                forget_other_weights(&mut whole, &features.value);
            }
            merge(&mut whole, entry);
            whole.at = entry.at;
            *entry = whole;
        }
    }
    Some(tree)
}

/// Drops the file or folder of a protocol, which are of its own `reference`, where another is named.
pub fn forget_other_reference(fid: &mut Node, named: &Value) {
    forget_others(fid, "reference", named, &["reference_file", "reference_folder"]);
}

/// Drops the file of weights of a protocol, which is of its own `features`, where others are named.
pub fn forget_other_weights(fid: &mut Node, named: &Value) {
    forget_others(fid, "features", named, &["weights"]);
}

/// Drops `keys` where `of` is not what is named.
fn forget_others(fid: &mut Node, of: &str, named: &Value, keys: &[&str]) {
    if fid.get(of).is_some_and(|own| own.value == *named) {
        return;
    }
    if let Value::Map(entries) = &mut fid.value {
        entries.retain(|entry| !keys.contains(&entry.key.as_str()));
    }
}

fn child<'t>(tree: &'t mut Node, key: &str) -> Option<&'t mut Node> {
    let Value::Map(entries) = &mut tree.value else { return None };
    entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::{Ddim, Heun, OdeSampler};

    fn also(evaluate: serde_json::Value) -> Vec<Fid> {
        decode_run(&Node::from_json(&json!({ "evaluate": evaluate }))).unwrap().evaluate.also
    }

    #[test]
    fn an_entry_takes_over_what_it_does_not_name() {
        let ddim = |steps| OdeSampler::Ddim(Ddim { steps, ..Ddim::default() });
        let found = also(json!({
            "also": [{ "ode": { "steps": 50 } }, { "samples": 7 }, { "ode": { "kind": "heun" } }, {}],
            "fid": { "samples": 300, "ode": { "kind": "ddim", "steps": 5 } },
        }));
        let fid = Fid { samples: 300, ode: ddim(5), ..Fid::default() };
        let expected = [
            Fid { ode: ddim(50), ..fid.clone() },
            Fid { samples: 7, ..fid.clone() },
            Fid { ode: OdeSampler::Heun(Heun::default()), ..fid.clone() },
            fid,
        ];
        assert_eq!(found, expected);
        // Also from defaults that nobody wrote.
        assert_eq!(also(json!({ "also": [{ "ode": { "steps": 50 } }] })), [Fid { ode: ddim(50), ..Fid::default() }]);
        assert_eq!(also(json!({})), []);
        // A file is of the reference that it is named with.
        let found = also(json!({
            "also": [{ "reference": "test" }, { "reference": "folder", "reference_folder": "b" }, { "reference": "file", "samples": 7 }],
            "fid": { "reference": "file", "reference_file": "a.npz" },
        }));
        let named: Vec<(&str, &str)> =
            found.iter().map(|fid| (fid.reference_file.as_str(), fid.reference_folder.as_str())).collect();
        assert_eq!(named, [("", ""), ("", "b"), ("a.npz", "")]);
        // And weights are of the features that they are named with.
        let found = also(json!({
            "also": [{ "features": "digits-cnn" }, { "features": "dinov2", "samples": 7 }, { "samples": 8 }],
            "fid": { "features": "dinov2", "weights": "vits14.pth" },
        }));
        let weights: Vec<&str> = found.iter().map(|fid| fid.weights.as_str()).collect();
        assert_eq!(weights, ["", "vits14.pth", "vits14.pth"]);
    }

    #[test]
    fn what_is_no_list_of_maps_is_refused_where_it_stands() {
        for wrong in [json!({ "also": 3 }), json!({ "also": [3] }), json!({ "also": [{ "sample": 3 }] })] {
            let error = decode_run(&Node::from_json(&json!({ "evaluate": wrong }))).unwrap_err().to_string();
            assert!(error.contains("also"), "{error}");
        }
    }
}
