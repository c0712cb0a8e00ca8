//! `seeds`: a count or a list.

use super::reader::Reader;
use crate::plan::finding::Finding;
use crate::spec::{Node, Value};

const DEFAULT_SEEDS: u64 = 3;

/// More seeds than this are a slip.
const MOST_SEEDS: u64 = 10_000;

impl Reader {
    pub(super) fn seeds(&mut self, node: Option<&Node>) -> Vec<u64> {
        let Some(node) = node else { return (0..DEFAULT_SEEDS).collect() };
        if let Value::List(items) = &node.value {
            if !(1..=MOST_SEEDS as usize).contains(&items.len()) {
                let message = format!("`seeds` must list from 1 to {MOST_SEEDS} seeds, not {}", items.len());
                self.findings.push(Finding::new(node.at, message).hint("write a count, or a list such as `[0, 1, 2]`"));
                return Vec::new();
            }
            let mut seeds: Vec<u64> = Vec::new();
            for item in items {
                let Some(seed) = self.decode("seeds", item) else { continue };
                if seeds.contains(&seed) {
                    self.findings.push(Finding::new(item.at, format!("seed {seed} is listed twice")));
                }
                seeds.push(seed);
            }
            return seeds;
        }
        let count: u64 = self.decode("seeds", node).unwrap_or(1);
        if !(1..=MOST_SEEDS).contains(&count) {
            let message = format!("`seeds` must be a count from 1 to {MOST_SEEDS} or a list, not {count}");
            self.findings
                .push(Finding::new(node.at, message).hint(format!("a single seed {count} is `seeds: [{count}]`")));
            return Vec::new();
        }
        (0..count).collect()
    }
}
