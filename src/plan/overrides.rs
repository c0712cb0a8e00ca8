//! `--set path=value`: changes to a sweep from the command line.
//!
//! A path that begins with a key of a sweep (`name`, `seeds`, `compare.target`, ...) changes that; every other path is a
//! key of `base`. In `grid.model.channels` and `arms.clts.train.steps` the rest is an axis, or an arm and a key of its
//! patch. The value is YAML.

use super::finding::Finding;
use super::merge::{merge, patch_of};
use super::params::undeclared;
use super::parse::parse;
use super::read::SWEEP_KEYS;
use crate::spec::{Entry, Location, Node, Source, Value};

/// Applies every override to the sweep's tree, in order.
pub fn apply(tree: &mut Node, overrides: &[String]) -> Result<(), Vec<Finding>> {
    let mut findings = Vec::new();
    for (index, text) in overrides.iter().enumerate() {
        findings.extend(apply_one(tree, index, text).err());
    }
    if findings.is_empty() { Ok(()) } else { Err(findings) }
}

fn apply_one(tree: &mut Node, index: usize, text: &str) -> Result<(), Finding> {
    let source = Source::Override(index);
    let start = Location { source, line: 1, column: 1 };
    let Some((path, written)) = text.split_once('=') else {
        return Err(Finding::new(start, format!("`{text}` has no value")).hint("write `--set path=value`"));
    };
    if path.is_empty() || path.split('.').any(|key| key.trim() != key || key.is_empty()) {
        return Err(Finding::new(start, format!("`{path}` is not a path of keys"))
            .hint("write keys with dots between, as in `--set train.steps=100`"));
    }
    let offset = path.chars().count() + 1;
    let mut value = parse(written, source).map_err(|mut finding| {
        shift(&mut finding.at, offset);
        finding
    })?;
    shift_node(&mut value, offset);
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let rest_at = Location { column: start.column + first.chars().count() + 1, ..start };
    match first {
        "name" | "question" | "seeds" | "zip" | "include" | "exclude" | "exclusive" if !rest.is_empty() => {
            return Err(Finding::new(rest_at, format!("`{first}` has no keys to set"))
                .hint(format!("set it as a whole: `--set {first}=...`")));
        }
        "base" if !rest.is_empty() => merge(&mut child(tree, "base", start)?.value, &patch_of(rest, rest_at, value)),
        "arms" if !rest.is_empty() => {
            let (arm, key_path) = split_arm(tree, rest, rest_at)?;
            let key_at = Location { column: rest_at.column + arm.chars().count() + 1, ..start };
            let patch = if key_path.is_empty() { value } else { patch_of(key_path, key_at, value) };
            let arms = &mut child(tree, "arms", start)?.value;
            merge(&mut child(arms, &arm, rest_at)?.value, &patch);
        }
        // The rest is one key, dots and all.
        "grid" if !rest.is_empty() => {
            let grid = &mut child(tree, "grid", start)?.value;
            replace(child(grid, rest, rest_at)?, rest_at, value);
        }
        "compare" | "cluster" if !rest.is_empty() => {
            let mut entry = child(tree, first, start)?;
            let mut key_at = start;
            let mut next_at = rest_at;
            for key in rest.split('.') {
                entry = child(&mut entry.value, key, next_at)?;
                key_at = next_at;
                next_at.column += key.chars().count() + 1;
            }
            replace(entry, key_at, value);
        }
        "params" if !rest.is_empty() => {
            let declared = tree.get("base").and_then(|base| base.get("params")).map(Node::entries).unwrap_or_default();
            let name = rest.split('.').next().unwrap_or(rest);
            if !declared.iter().any(|entry| entry.key == name) {
                return Err(undeclared(declared, name, rest_at, "this"));
            }
            merge(&mut child(tree, "base", start)?.value, &patch_of(path, start, value));
        }
        _ if SWEEP_KEYS.contains(&first) => replace(child(tree, first, start)?, start, value),
        _ => merge(&mut child(tree, "base", start)?.value, &patch_of(path, start, value)),
    }
    Ok(())
}

/// Splits `clts.train.steps` into an arm of the sweep, whose name may hold dots, and a path in its patch.
fn split_arm<'p>(tree: &Node, path: &'p str, at: Location) -> Result<(String, &'p str), Finding> {
    let arms = || tree.get("arms").map(Node::entries).unwrap_or_default().iter().map(|arm| arm.key.as_str());
    let owns = |arm: &&str| path.strip_prefix(arm).is_some_and(|end| end.is_empty() || end.starts_with('.'));
    match arms().filter(owns).max_by_key(|arm| arm.len()) {
        Some(arm) => Ok((arm.to_owned(), path[arm.len()..].trim_start_matches('.'))),
        None => {
            let name = path.split('.').next().unwrap_or(path);
            Err(Finding::new(at, format!("unknown arm `{name}`")).suggest(name, "arms", arms()))
        }
    }
}

/// The entry of a map under `key`, made where it is missing.
fn child<'t>(tree: &'t mut Node, key: &str, key_at: Location) -> Result<&'t mut Entry, Finding> {
    if matches!(tree.value, Value::Null) {
        *tree = Node { at: key_at, value: Value::Map(Vec::new()) };
    }
    let what = tree.describe();
    let Value::Map(entries) = &mut tree.value else {
        return Err(Finding::new(key_at, format!("there is no key `{key}` in {what}")));
    };
    let index = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
        entries.push(Entry { key: key.to_owned(), key_at, value: Node { at: key_at, value: Value::Null } });
        entries.len() - 1
    });
    Ok(&mut entries[index])
}

fn replace(entry: &mut Entry, key_at: Location, value: Node) {
    entry.key_at = key_at;
    entry.value = value;
}

/// Moves a place in the value to its place in `path=value`.
fn shift(at: &mut Location, offset: usize) {
    if at.line == 1 {
        at.column += offset;
    }
}

fn shift_node(node: &mut Node, offset: usize) {
    shift(&mut node.at, offset);
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| shift_node(item, offset)),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| {
            shift(&mut entry.key_at, offset);
            shift_node(&mut entry.value, offset);
        }),
        _ => {}
    }
}
