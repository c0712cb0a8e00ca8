//! `base` and `arms`: patches of a run's keys.

use super::DEFAULT_BASELINE;
use super::name::{SAFE_NAME, is_safe_name};
use super::reader::Reader;
use crate::plan::finding::Finding;
use crate::spec::{ArmSpec, Entry, Location, Node, Placed, Value};

/// More arms than this are a slip; values belong on an axis.
const MOST_ARMS: usize = 1000;

impl Reader {
    pub(super) fn base(&mut self, entry: Option<&Entry>) -> Node {
        let empty = Node { at: Location::default(), value: Value::Map(Vec::new()) };
        let Some(entry) = entry else { return empty };
        let entries = self.map("base", &entry.value);
        self.refuse_seed(entries);
        Node { at: entry.key_at, value: Value::Map(entries.to_vec()) }
    }

    /// A run's seed is a field of its spec, but not one that a patch may set.
    fn refuse_seed(&mut self, entries: &[Entry]) {
        for entry in entries.iter().filter(|entry| entry.key == "seed") {
            let finding = Finding::new(entry.key_at, "`seed` cannot be set here");
            self.findings.push(finding.hint("every arm runs with the same seeds; write `seeds: [..]` beside `base`"));
        }
    }

    pub(super) fn arms(&mut self, entry: Option<&Entry>) -> Vec<ArmSpec> {
        let Some(entry) = entry else {
            let name = Placed { at: Location::default(), value: DEFAULT_BASELINE.to_owned() };
            let patch = Node { at: Location::default(), value: Value::Map(Vec::new()) };
            return vec![ArmSpec { name, extends: Vec::new(), patch }];
        };
        let entries = self.map("arms", &entry.value);
        if entries.is_empty() && matches!(entry.value.value, Value::Map(_) | Value::Null) {
            self.findings.push(
                Finding::new(entry.key_at, "`arms` is empty").hint("write at least `baseline: {}`, or remove `arms`"),
            );
        }
        if entries.len() > MOST_ARMS {
            let message = format!("the sweep has {} arms, and {MOST_ARMS} is the limit", entries.len());
            self.findings.push(Finding::new(entry.key_at, message).hint("values that vary belong in `grid`"));
            return Vec::new();
        }
        entries.iter().map(|entry| self.arm(entry)).collect()
    }

    fn arm(&mut self, entry: &Entry) -> ArmSpec {
        let name = Placed { at: entry.key_at, value: entry.key.clone() };
        if !is_safe_name(&name.value) {
            self.findings
                .push(Finding::new(name.at, format!("an arm cannot be called `{}`", name.value)).hint(SAFE_NAME));
        }
        let path = format!("arms.{}", name.value);
        let entries = self.map(&path, &entry.value);
        let extends = entries.iter().find(|entry| entry.key == "extends").map(|entry| &entry.value);
        let extends = extends.map(|node| self.one_or_more(&format!("{path}.extends"), node)).unwrap_or_default();
        let patches: Vec<Entry> = entries.iter().filter(|entry| entry.key != "extends").cloned().collect();
        self.refuse_seed(&patches);
        ArmSpec { name, extends, patch: Node { at: entry.key_at, value: Value::Map(patches) } }
    }
}
