//! `grid` and `zip`: axes and their values.

use serde::Deserialize;

use super::reader::Reader;
use crate::plan::finding::Finding;
use crate::spec::{AxisSpec, AxisValues, Entry, Node, Placed, Value, nearest, quoted_list};

impl Reader {
    pub(super) fn axes(&mut self, section: &str, node: &Node) -> Vec<AxisSpec> {
        let entries = self.map(section, node);
        if entries.is_empty() && matches!(node.value, Value::Map(_) | Value::Null) {
            let finding = Finding::new(node.at, format!("`{section}` is empty"));
            self.findings.push(
                finding.hint(format!("give it an axis, as in `model.channels: [16, 32]`, or remove `{section}`")),
            );
        }
        entries
            .iter()
            .filter_map(|entry| {
                let path = format!("{section}.{}", entry.key);
                let (arms, entry) = self.axis_arms(&path, entry);
                let values = self.axis_values(&path, &entry)?;
                Some(AxisSpec { path: Placed { at: entry.key_at, value: entry.key.clone() }, arms, values })
            })
            .collect()
    }

    /// The arms of `{ arms: [..], values: [..] }`, and what is left without them; no arms where none are named.
    fn axis_arms(&mut self, path: &str, entry: &Entry) -> (Vec<Placed<String>>, Entry) {
        let Some(named) = entry.value.entry("arms") else { return (Vec::new(), entry.clone()) };
        let arms: Vec<Placed<String>> = self.one_or_more(&format!("{path}.arms"), &named.value);
        if matches!(&named.value.value, Value::List(items) if items.is_empty()) {
            let finding = Finding::new(named.value.at, format!("`{path}.arms` names no arm"));
            self.findings.push(finding.hint("name those that it is an axis of, or leave `arms` out for all"));
        }
        let rest: Vec<Entry> = entry.value.entries().iter().filter(|other| other.key != "arms").cloned().collect();
        let value = match rest.as_slice() {
            [values] if values.key == "values" => values.value.clone(),
            _ => Node { at: entry.value.at, value: Value::Map(rest) },
        };
        (arms, Entry { value, ..entry.clone() })
    }

    fn axis_values(&mut self, path: &str, entry: &Entry) -> Option<AxisValues> {
        /// `linspace` and `logspace`.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Spaced {
            start: f64,
            stop: f64,
            count: usize,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Stepped {
            start: f64,
            stop: f64,
            step: f64,
        }
        const FORMS: [&str; 3] = ["linspace", "logspace", "range"];
        let at = entry.value.at;
        match &entry.value.value {
            Value::List(values) => Some(AxisValues::List(at, values.clone())),
            Value::Map(entries) if entries.len() == 1 && FORMS.contains(&entries[0].key.as_str()) => {
                let form = entries[0].key.as_str();
                let at = entries[0].key_at;
                let path = format!("{path}.{form}");
                if let Value::List(_) = &entries[0].value.value {
                    let last = if form == "range" { "step" } else { "count" };
                    let message = format!("`{path}` must be a map, not a list");
                    let hint = format!("write `{{ {form}: {{ start: .., stop: .., {last}: .. }} }}`");
                    self.findings.push(Finding::new(entries[0].value.at, message).hint(hint));
                    return None;
                }
                if form == "range" {
                    let Stepped { start, stop, step } = self.decode(&path, &entries[0].value)?;
                    return Some(AxisValues::Range { at, start, stop, step });
                }
                let Spaced { start, stop, count } = self.decode(&path, &entries[0].value)?;
                Some(match form {
                    "linspace" => AxisValues::Linspace { at, start, stop, count },
                    _ => AxisValues::Logspace { at, start, stop, count },
                })
            }
            Value::Map(entries) if !entries.is_empty() => {
                let is_stranger = |entry: &&Entry| !FORMS.contains(&entry.key.as_str());
                let stranger = entries.iter().find(is_stranger).unwrap_or(&entries[entries.len() - 1]);
                let finding = Finding::new(
                    stranger.key_at,
                    format!("`{path}` must be a list or one of {}, not `{}`", quoted_list(FORMS), stranger.key),
                );
                self.findings.push(match nearest(&stranger.key, FORMS) {
                    Some(meant) => finding.hint(format!("did you mean `{meant}`?")),
                    None => finding
                        .hint(format!("the key is one dotted path, as in `{}.{}: [..]`", entry.key, stranger.key)),
                });
                None
            }
            _ => {
                let what = entry.value.describe();
                let finding = Finding::new(at, format!("`{path}` must be a list of values, not {what}"));
                self.findings.push(finding.hint("write `[16, 32]`, or `linspace`, `logspace` or `range`"));
                None
            }
        }
    }

    pub(super) fn zip(&mut self, node: Option<&Node>) -> Vec<Vec<AxisSpec>> {
        match node {
            None => Vec::new(),
            Some(Node { value: Value::List(groups), .. }) => {
                groups.iter().map(|group| self.axes("zip", group)).collect()
            }
            Some(group) => vec![self.axes("zip", group)],
        }
    }
}
