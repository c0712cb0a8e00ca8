//! `params`: names of the user's own, each declared with its type by its value in `base`.

use super::finding::Finding;
use crate::spec::{AxisValues, Entry, Node, SweepSpec, Value, nearest};

const KEY: &str = "params";

/// Every name or value that `base.params` does not declare so.
pub fn check(sweep: &SweepSpec) -> Vec<Finding> {
    let declared: &[Entry] = sweep.base.get(KEY).map(Node::entries).unwrap_or_default();
    let mut findings = Vec::new();
    for arm in &sweep.arms {
        for entry in arm.patch.get(KEY).map(Node::entries).unwrap_or_default() {
            let of = format!("arm `{}`", arm.name.value);
            findings.extend(compare(declared, &entry.key, entry.key_at, &[&entry.value], &of));
        }
    }
    for axis in sweep.grid.iter().chain(sweep.zip.iter().flatten()) {
        let Some(name) = axis.path.value.strip_prefix("params.") else { continue };
        let values: Vec<&Node> = match &axis.values {
            AxisValues::List(_, nodes) => nodes.iter().collect(),
            // Computed values are numbers; that they are wanted is seen when they are read.
            _ => Vec::new(),
        };
        // Below a map nothing is declared but by being there, which every axis is held to.
        if !name.contains('.') {
            findings.extend(compare(declared, name, axis.path.at, &values, "an axis"));
        }
    }
    findings
}

fn compare(declared: &[Entry], name: &str, at: crate::spec::Location, values: &[&Node], of: &str) -> Option<Finding> {
    let Some(first) = declared.iter().find(|entry| entry.key == name) else {
        return Some(undeclared(declared, name, at, of));
    };
    let wanted = kind(&first.value);
    let other = values.iter().find(|value| wanted != "empty" && kind(value) != wanted)?;
    let message = format!("`params.{name}` is {wanted} in `base`, and {} here", kind(other));
    let mut finding = Finding::new(other.at, message);
    finding.related = Some(Box::new((first.value.at, "its first value".to_owned())));
    Some(finding)
}

/// The finding that `base` has no such name.
pub fn undeclared(declared: &[Entry], name: &str, at: crate::spec::Location, of: &str) -> Finding {
    let finding = Finding::new(at, format!("{of} sets `params.{name}`, which `base.params` does not have"));
    match nearest(name, declared.iter().map(|entry| entry.key.as_str())) {
        Some(meant) => finding.hint(format!("did you mean `params.{meant}`?")),
        None => finding.hint(format!("give every arm a value first: `base: {{ params: {{ {name}: .. }} }}`")),
    }
}

/// The type of a value, in words.
fn kind(node: &Node) -> &'static str {
    match node.value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Integer(_) | Value::Float(_) => "a number",
        Value::Text(_) => "a text",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
    }
}
