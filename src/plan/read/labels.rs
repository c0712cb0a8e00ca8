//! `labels`: what reports call the arms.

use super::reader::Reader;
use crate::plan::finding::Finding;
use crate::spec::{ArmLabel, Entry, LabelsSpec, Node, Placed, Value, is_label};

impl Reader {
    pub(super) fn labels(&mut self, node: &Node) -> LabelsSpec {
        for entry in self.map("labels", node) {
            self.refuse_unknown(entry, &["arms", "order"], "labels");
        }
        let arms = node.get("arms").map(|arms| self.map("labels.arms", arms).to_vec()).unwrap_or_default();
        LabelsSpec {
            arms: arms.iter().filter_map(|entry| self.arm_label(entry)).collect(),
            order: node.get("order").map(|order| self.order(order)).unwrap_or_default(),
        }
    }

    /// A label alone, or a map with a colour.
    fn arm_label(&mut self, entry: &Entry) -> Option<(Placed<String>, ArmLabel)> {
        let path = format!("labels.arms.{}", entry.key);
        let label = match &entry.value.value {
            Value::Map(_) => self.decode::<ArmLabel>(&path, &entry.value)?,
            _ => ArmLabel { label: Some(self.decode(&path, &entry.value)?), color: None },
        };
        if let Some(text) = label.label.as_deref().filter(|text| !is_label(text)) {
            let at = entry.value.get("label").map_or(entry.value.at, |node| node.at);
            let message = format!("`{path}` must be a line of 1 to 80 characters, not {text:?}");
            self.findings.push(Finding::new(at, message).hint("leave it out to show the arm's name"));
            return None;
        }
        Some((Placed { at: entry.key_at, value: entry.key.clone() }, label))
    }

    fn order(&mut self, node: &Node) -> Vec<Placed<String>> {
        if !matches!(node.value, Value::List(_)) {
            let message = format!("`labels.order` must be a list of arms, not {}", node.describe());
            self.findings.push(Finding::new(node.at, message).hint("write `order: [baseline, ..]`"));
            return Vec::new();
        }
        self.one_or_more("labels.order", node)
    }
}
