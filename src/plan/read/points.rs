//! `include` and `exclude`: points of the grid.

use super::reader::Reader;
use crate::plan::finding::Finding;
use crate::spec::{Node, Placed, PointSpec, Value};

impl Reader {
    pub(super) fn points(&mut self, section: &str, node: Option<&Node>) -> Vec<PointSpec> {
        let Some(node) = node else { return Vec::new() };
        let Value::List(items) = &node.value else {
            let message = format!("`{section}` must be a list of maps, not {}", node.describe());
            self.findings.push(Finding::new(node.at, message).hint(format!("write `{section}: [{{ arm: .. }}]`")));
            return Vec::new();
        };
        items.iter().map(|item| self.point(section, item)).collect()
    }

    fn point(&mut self, section: &str, node: &Node) -> PointSpec {
        let mut point = PointSpec { at: node.at, arms: Vec::new(), seeds: Vec::new(), values: Vec::new() };
        for entry in self.map(section, node) {
            match entry.key.as_str() {
                "arm" => point.arms = self.one_or_more(&format!("{section}.arm"), &entry.value),
                "seed" => point.seeds = self.one_or_more(&format!("{section}.seed"), &entry.value),
                _ => point.values.push((Placed { at: entry.key_at, value: entry.key.clone() }, entry.value.clone())),
            }
        }
        point
    }
}
