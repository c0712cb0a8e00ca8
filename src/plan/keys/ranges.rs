//! Adds the ranges of numbers to a schema of runs, taken from the rules that check them.

use serde_json::{Map, Value, json};

use crate::plan::check::{Range, ranges};
use crate::spec::{Data, ImageFolderData, RunSpec, decode_json};

/// Larger bounds than this are none: a double holds every whole number below it.
const LARGEST_BOUND: f64 = 9.0e15;

/// Adds the range of every number of a run, also of those that only some kinds have.
pub(super) fn add(run: &mut Value) {
    put(run, "", &of(RunSpec::default()));
    for (section, tags) in kinds(run, "") {
        for tag in tags {
            let mut changes = json!({ "kind": tag });
            for key in section.rsplit('.') {
                changes = json!({ key: changes });
            }
            let spec: RunSpec = decode_json(&changes).expect("every kind has a default for every key");
            put(run, &tag, &of(spec));
        }
    }
}

/// The ranges for a run with so many held-out images that their number bounds nothing.
fn of(mut spec: RunSpec) -> Vec<(&'static str, Range)> {
    let mut found = ranges(&spec);
    let held_out = LARGEST_BOUND as usize;
    spec.data = Data::ImageFolder(ImageFolderData { held_out, ..ImageFolderData::default() });
    let unbounded = ranges(&spec);
    for (path, range) in &mut found {
        if let Some((_, other)) = unbounded.iter().find(|(other, _)| other == path) {
            *range = *other;
        }
    }
    found
}

/// (path of a section, its kinds) wherever a map has a `kind`.
fn kinds(schema: &Value, path: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for (key, value) in properties(schema) {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let tags: Vec<String> = variants(value).filter_map(|variant| tag(variant).map(str::to_owned)).collect();
        if !tags.is_empty() {
            found.push((path.clone(), tags));
        }
        found.extend(kinds(value, &path));
    }
    found
}

pub(super) fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// The schemas of which one holds.
pub(super) fn variants(schema: &Value) -> impl Iterator<Item = &Value> {
    schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array).into_iter().flatten()
}

/// The `kind` of a map.
pub(super) fn tag(variant: &Value) -> Option<&str> {
    variant.pointer("/properties/kind/const")?.as_str()
}

/// Puts each range at its path, in the variant `kind` where there are several.
fn put(schema: &mut Value, kind: &str, ranges: &[(&'static str, Range)]) {
    for (path, range) in ranges {
        let keys: Vec<&str> = path.split('.').collect();
        if let Some(number) = find(schema, kind, &keys) {
            insert(number, range);
        }
    }
}

fn find<'s>(schema: &'s mut Value, kind: &str, keys: &[&str]) -> Option<&'s mut Map<String, Value>> {
    let Some((key, rest)) = keys.split_first() else { return schema.as_object_mut() };
    if schema.get("properties").and_then(|properties| properties.get(*key)).is_some() {
        return find(&mut schema["properties"][*key], kind, rest);
    }
    let variants = schema.get_mut("oneOf")?.as_array_mut()?;
    let variant = variants.iter_mut().find(|variant| tag(variant) == Some(kind))?;
    find(variant.get_mut("properties")?.get_mut(*key)?, kind, rest)
}

fn insert(number: &mut Map<String, Value>, range: &Range) {
    let bounds = [
        ("minimum", range.minimum),
        ("exclusiveMinimum", range.exclusive_minimum),
        ("maximum", range.maximum),
        ("exclusiveMaximum", range.exclusive_maximum),
    ];
    for (word, bound) in bounds {
        number.remove(word);
        if let Some(bound) = bound.filter(|bound| bound.abs() < LARGEST_BOUND) {
            let whole = bound.fract() == 0.0;
            number.insert(word.to_owned(), if whole { json!(bound as i64) } else { json!(bound) });
        }
    }
}
