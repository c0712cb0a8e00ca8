//! `labels`: what reports call the arms, the axes and their values.

use super::reader::Reader;
use crate::plan::finding::Finding;
use crate::spec::{ArmLabel, AxisLabelSpec, Entry, LabelsSpec, Node, Placed, Value, no_label};

impl Reader {
    pub(super) fn labels(&mut self, node: &Node) -> LabelsSpec {
        for entry in self.map("labels", node) {
            self.refuse_unknown(entry, &["arms", "order", "axes"], "labels");
        }
        let arms = node.get("arms").map(|arms| self.map("labels.arms", arms).to_vec()).unwrap_or_default();
        let axes = node.get("axes").map(|axes| self.map("labels.axes", axes).to_vec()).unwrap_or_default();
        LabelsSpec {
            arms: arms.iter().filter_map(|entry| self.arm_label(entry)).collect(),
            order: node.get("order").map(|order| self.order(order)).unwrap_or_default(),
            axes: axes.iter().filter_map(|entry| self.axis_label(entry)).collect(),
        }
    }

    /// A label alone, or a map with labels of values.
    fn axis_label(&mut self, entry: &Entry) -> Option<AxisLabelSpec> {
        let path = format!("labels.axes.{}", entry.key);
        let axis = Placed { at: entry.key_at, value: entry.key.clone() };
        if !matches!(entry.value.value, Value::Map(_)) {
            let label = self.line(&path, &entry.value, "the axis' key")?;
            return Some(AxisLabelSpec {
                axis,
                label: Some(Placed { at: entry.value.at, value: label }),
                values: vec![],
            });
        }
        for key in entry.value.entries() {
            self.refuse_unknown(key, &["label", "values"], &path);
        }
        let label = match entry.value.get("label") {
            Some(node) => {
                let value = self.line(&format!("{path}.label"), node, "the axis' key")?;
                Some(Placed { at: node.at, value })
            }
            None => None,
        };
        let path = format!("{path}.values");
        let values = entry.value.get("values").map(|values| self.map(&path, values).to_vec()).unwrap_or_default();
        let value = |entry: &Entry| {
            let label = self.line(&format!("{path}.{}", entry.key), &entry.value, "the value")?;
            Some((Placed { at: entry.key_at, value: entry.key.clone() }, label))
        };
        Some(AxisLabelSpec { axis, label, values: values.iter().filter_map(value).collect() })
    }

    /// A text of one line.
    fn line(&mut self, path: &str, node: &Node, otherwise: &str) -> Option<String> {
        let text: String = self.decode(path, node)?;
        self.is_label(node, path, &text, otherwise).then_some(text)
    }

    /// Whether the text is a label.
    fn is_label(&mut self, node: &Node, path: &str, text: &str, otherwise: &str) -> bool {
        let Some(reason) = no_label(text) else { return true };
        let message = format!("`{path}` must be a line of 1 to 80 characters, not {text:?}: {reason}");
        self.findings.push(Finding::new(node.at, message).hint(format!("leave it out to show {otherwise}")));
        false
    }

    /// A label alone, or a map with a colour.
    fn arm_label(&mut self, entry: &Entry) -> Option<(Placed<String>, ArmLabel)> {
        let path = format!("labels.arms.{}", entry.key);
        if let Some(color) = entry.value.get("color").filter(|color| matches!(color.value, Value::Null)) {
            let finding = Finding::new(color.at, format!("`{path}.color` is empty"));
            self.findings.push(
                finding.hint(
                    "YAML reads what follows ` #` as a comment: put quotes around it, as in `color: \"#0072B2\"`",
                ),
            );
            return None;
        }
        let label = match &entry.value.value {
            Value::Map(_) => self.decode::<ArmLabel>(&path, &entry.value)?,
            _ => ArmLabel { label: Some(self.decode(&path, &entry.value)?), color: None },
        };
        if let Some(text) = &label.label {
            let node = entry.value.get("label").unwrap_or(&entry.value);
            if !self.is_label(node, &path, text, "the arm's name") {
                return None;
            }
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
