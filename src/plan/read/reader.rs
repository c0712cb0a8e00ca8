//! Reads values from parts of a tree, with a [`Finding`] for each part that has the wrong form.

use serde::de::DeserializeOwned;

use crate::plan::finding::Finding;
use crate::spec::{Entry, Node, Placed, RunSpec, Value, decode_under, nearest, quoted_list};

/// The reader of every key. It collects the problems.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) findings: Vec<Finding>,
}

impl Reader {
    pub(super) fn decode<T: DeserializeOwned>(&mut self, path: &str, node: &Node) -> Option<T> {
        decode_under(path, node).map_err(|error| self.findings.push(error.into())).ok()
    }

    pub(super) fn refuse_unknown(&mut self, entry: &Entry, known: &[&str], path: &str) {
        let key = &entry.key;
        if known.contains(&key.as_str()) {
            return;
        }
        let dot = if path.is_empty() { "" } else { "." };
        let finding = Finding::new(entry.key_at, format!("unknown key `{path}{dot}{key}`"));
        self.findings.push(match nearest(key, known.iter().copied()) {
            _ if path.is_empty() && is_key_of_base(key) => finding.hint(format!("`{key}` belongs under `base`")),
            Some(meant) => finding.hint(format!("did you mean `{meant}`?")),
            None => finding.hint(format!("the keys here are {}", quoted_list(known.iter().copied()))),
        });
    }

    /// The entries of a map; a finding and none for anything else. Nothing written counts as an empty map.
    pub(super) fn map<'n>(&mut self, path: &str, node: &'n Node) -> &'n [Entry] {
        if !matches!(node.value, Value::Map(_) | Value::Null) {
            self.findings.push(Finding::new(node.at, format!("`{path}` must be a map, not {}", node.describe())));
        }
        node.entries()
    }

    /// One value or a list of them.
    pub(super) fn one_or_more<T: DeserializeOwned>(&mut self, path: &str, node: &Node) -> Vec<Placed<T>> {
        let nodes = match &node.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        nodes.iter().filter_map(|node| Some(Placed { at: node.at, value: self.decode(path, node)? })).collect()
    }
}

/// Whether a key is one of those that every run has.
fn is_key_of_base(key: &str) -> bool {
    serde_json::to_value(RunSpec::default()).is_ok_and(|spec| key != "seed" && spec.get(key).is_some())
}
