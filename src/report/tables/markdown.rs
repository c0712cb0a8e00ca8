//! The table for a README or an issue.

use super::{COMMON_NOTE, groups, has_common_targets, measures};
use crate::report::comparison::Comparison;
use crate::report::wording::{interval_cell, metric_words, resolution_cell, seeds_cell, speedup_cell, target, verdict};

pub fn markdown(comparison: &Comparison) -> String {
    let mut text = String::new();
    for point in &comparison.points {
        if !point.label.is_empty() {
            text.push_str(&format!("### {}\n\n", escape(&point.label)));
        }
        if let Some(resolved) = &point.target {
            text.push_str(&format!("Target: {}.\n\n", escape(&target(comparison, resolved))));
        }
        let metric = metric_words(comparison);
        text.push_str(&format!(
            "| arm | final {metric}: median (range) | reached | measured in | speedup | 95 % interval | evaluations leave open | seeds | verdict |\n"
        ));
        text.push_str("| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
        for row in groups(point).into_iter().flatten() {
            let cells = [
                row.name(),
                row.final_cell(),
                row.reached_cell(),
                row.measured_in(comparison),
                speedup_cell(row.result),
                interval_cell(row.result),
                resolution_cell(row.result),
                seeds_cell(row.result),
                verdict(row.result),
            ];
            text.push_str(&format!("| {} |\n", cells.map(|cell| escape(&cell)).join(" | ")));
        }
        text.push('\n');
        text.push_str(&measures::markdown(comparison, point));
    }
    if comparison.points.is_empty() {
        text.push_str("The plan has no runs.\n");
    }
    text.push_str(
        "Speedup = baseline / candidate, above 1 is faster; geometric mean over seeds, interval by Student's t on logarithms.\n",
    );
    if has_common_targets(comparison) {
        text.push_str(&format!("{COMMON_NOTE}\n"));
    }
    text
}

pub(super) fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace(['\n', '\r'], " ")
}
