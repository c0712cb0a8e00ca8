//! Merges patches into a tree.

use super::preset;
use crate::spec::{Entry, Node, Value};

/// Merges `patch` into `tree`: maps key by key, everything else replaces what was there. A map with another `kind`
/// replaces the whole map, because the settings of one kind mean nothing to another; so does a map that names a preset,
/// which stands for all of its keys.
pub fn merge(tree: &mut Node, patch: &Node) {
    let (Value::Map(entries), Value::Map(patches)) = (&mut tree.value, &patch.value) else {
        *tree = patch.clone();
        return;
    };
    let kind =
        |entries: &[Entry]| entries.iter().find(|entry| entry.key == "kind").map(|entry| entry.value.value.clone());
    let new_kind = kind(patches);
    let names_preset = patches.iter().any(|entry| entry.key == preset::KEY);
    if names_preset || (new_kind.is_some() && new_kind != kind(entries)) {
        *tree = patch.clone();
        return;
    }
    for patch in patches {
        match entries.iter_mut().find(|entry| entry.key == patch.key) {
            Some(entry) => {
                if !matches!((&entry.value.value, &patch.value.value), (Value::Map(_), Value::Map(_))) {
                    entry.key_at = patch.key_at;
                }
                merge(&mut entry.value, &patch.value);
            }
            None => entries.push(patch.clone()),
        }
    }
}

/// The patch that sets one dotted path, written at `key_at`; each key on the way is placed at its own column.
pub fn patch_of(path: &str, key_at: crate::spec::Location, value: Node) -> Node {
    let entry = match path.split_once('.') {
        None => Entry { key: path.to_owned(), key_at, value },
        Some((key, rest)) => {
            let rest_at = crate::spec::Location { column: key_at.column + key.chars().count() + 1, ..key_at };
            Entry { key: key.to_owned(), key_at, value: patch_of(rest, rest_at, value) }
        }
    };
    Node { at: key_at, value: Value::Map(vec![entry]) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    #[track_caller]
    fn merges(tree: Json, patch: Json, expected: Json) {
        let mut merged = Node::from_json(&tree);
        merge(&mut merged, &Node::from_json(&patch));
        assert_eq!(merged.to_json(), expected);
    }

    #[test]
    fn maps_merge_deeply_and_the_rest_replaces() {
        merges(json!({"a": {"b": 1, "c": 2}}), json!({"a": {"c": 3, "d": 4}}), json!({"a": {"b": 1, "c": 3, "d": 4}}));
        merges(json!({"a": [1, 2]}), json!({"a": [3]}), json!({"a": [3]}));
        merges(json!({"a": 1}), json!({"a": {"b": 1}}), json!({"a": {"b": 1}}));
    }

    #[test]
    fn another_kind_replaces_the_map_and_the_same_or_no_kind_merges() {
        let linear = json!({"s": {"kind": "linear", "end": 0.1}});
        merges(linear.clone(), json!({"s": {"kind": "demon"}}), json!({"s": {"kind": "demon"}}));
        merges(linear.clone(), json!({"s": {"kind": "linear"}}), linear.clone());
        merges(linear, json!({"s": {"end": 0.2}}), json!({"s": {"kind": "linear", "end": 0.2}}));
    }

    #[test]
    fn a_preset_replaces_the_map_and_keys_join_it() {
        let written = json!({"m": {"kind": "unet", "channels": 3}});
        merges(written, json!({"m": {"preset": "a", "dropout": 0}}), json!({"m": {"preset": "a", "dropout": 0}}));
        merges(
            json!({"m": {"preset": "a"}}),
            json!({"m": {"dropout": 0}}),
            json!({"m": {"preset": "a", "dropout": 0}}),
        );
    }

    #[test]
    fn a_path_becomes_nested_maps_with_a_place_for_each_key() {
        let at = crate::spec::Location { line: 3, column: 5, ..Default::default() };
        let patch = patch_of("a.bc.d", at, Node::from_json(&json!(7)));
        assert_eq!(patch.to_json(), json!({"a": {"bc": {"d": 7}}}));
        assert_eq!(patch.entry_at("a.bc").unwrap().key_at.column, 7);
        assert_eq!(patch.entry_at("a.bc.d").unwrap().key_at.column, 10);
    }
}
