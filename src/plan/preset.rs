//! `model: { preset: NAME, .. }`: a published name in place of the keys that it stands for.
//!
//! A preset is replaced by its keys while arms and axes are merged, before anything is decoded. The keys are checked, hashed
//! and recorded, so that a preset and its keys are one run. Its keys have the place where its name is written. A key written
//! beside the name, in a later arm or on an axis replaces the preset's.

use super::finding::Finding;
use super::merge::merge;
use super::presets::PRESETS;
use crate::spec::{Entry, Location, Node, Value, nearest, quoted_list};

/// The key of a run that may be given by a preset.
const SECTION: &str = "model";

/// The key that names it.
pub const KEY: &str = "preset";

/// Puts the keys of the preset that a run's tree names in the place of its name. Nothing is left of what names no preset.
pub fn spell_out(tree: &mut Node) -> Result<(), Finding> {
    let Value::Map(sections) = &mut tree.value else { return Ok(()) };
    let Some(index) = sections.iter().position(|section| section.key == SECTION) else { return Ok(()) };
    let section = &mut sections[index].value;
    let Some(named) = section.entry(KEY) else { return Ok(()) };
    match spelled_out(named, section) {
        Ok(spelled) => {
            *section = spelled;
            Ok(())
        }
        Err(finding) => {
            sections.remove(index);
            Err(finding)
        }
    }
}

/// The preset's keys, and those written beside its name.
fn spelled_out(named: &Entry, section: &Node) -> Result<Node, Finding> {
    let at = named.value.at;
    let Value::Text(name) = &named.value.value else {
        let message = format!("`{SECTION}.{KEY}` must be the name of a preset, not {}", named.value.describe());
        return Err(Finding::new(at, message).hint(list_of_names()));
    };
    let Some(preset) = PRESETS.iter().find(|preset| preset.name == name) else {
        let meant = nearest(name, PRESETS.iter().map(|preset| preset.name));
        let meant = meant.map_or_else(String::new, |meant| format!("did you mean `{meant}`? "));
        let finding = Finding::new(at, format!("unknown preset `{name}` of `{SECTION}`"));
        return Err(finding.hint(format!("{meant}{}", list_of_names())));
    };
    let model = (preset.model)();
    if let Some(kind) = section.get("kind")
        && kind.value != Value::Text(model.kind().to_owned())
    {
        let message = format!("the preset `{name}` is of kind `{}`, not {}", model.kind(), kind.describe());
        return Err(Finding::new(kind.at, message).hint("leave `kind` to the preset, or write the keys without it"));
    }
    let json = serde_json::to_value(model).expect("a model is plain data, which JSON can hold");
    let mut spelled = Node::from_json(&json);
    place(&mut spelled, at);
    let beside = section.entries().iter().filter(|entry| entry.key != KEY).cloned().collect();
    merge(&mut spelled, &Node { at: section.at, value: Value::Map(beside) });
    spelled.at = section.at;
    Ok(spelled)
}

fn list_of_names() -> String {
    format!("the presets are {}", quoted_list(PRESETS.iter().map(|preset| preset.name)))
}

/// Gives every part of a tree one place.
fn place(node: &mut Node, at: Location) {
    node.at = at;
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| place(item, at)),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| {
            entry.key_at = at;
            place(&mut entry.value, at);
        }),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::{RunSpec, decode};

    #[test]
    fn every_preset_stands_for_all_keys_of_its_kind() {
        for preset in PRESETS {
            let mut tree = Node::from_json(&json!({"model": {"preset": preset.name}}));
            spell_out(&mut tree).unwrap();
            assert_eq!(decode::<RunSpec>(&tree).unwrap().model, (preset.model)(), "{}", preset.name);
        }
    }

    #[test]
    fn names_of_presets_are_unique() {
        for (index, preset) in PRESETS.iter().enumerate() {
            assert!(PRESETS[..index].iter().all(|other| other.name != preset.name), "{}", preset.name);
        }
    }

    #[test]
    fn a_tree_without_a_preset_stays_as_it_is() {
        for json in [json!({}), json!({"model": {"kind": "unet"}}), json!({"model": 3}), json!({"train": {}}), json!(1)]
        {
            let mut tree = Node::from_json(&json);
            spell_out(&mut tree).unwrap();
            assert_eq!(tree.to_json(), json);
        }
    }
}
