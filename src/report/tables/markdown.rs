//! The table for a README or an issue.

use super::{groups, measures};
use crate::report::comparison::Comparison;
use crate::report::grid::Grid;
use crate::report::wording::{
    confidence, interval_cell, look_words, metric_words, seeds_cell, speedup_cell, target, yardstick,
};

pub fn markdown(comparison: &Comparison, grid: &Grid) -> String {
    let mut text = String::new();
    let answers = grid.answers(comparison).into_iter().map(|(_, sentence)| sentence);
    let sentences = look_words(comparison).into_iter().chain(answers).chain(grid.remarks(comparison));
    let list: String = sentences.map(|sentence| format!("- {}\n", escape(&sentence))).collect();
    if !list.is_empty() {
        text.push_str(&format!("{list}\n"));
    }
    for point in &comparison.points {
        if !point.label.is_empty() {
            text.push_str(&format!("### {}\n\n", escape(&point.label)));
        }
        if let Some(found) = &point.band {
            text.push_str(&format!("{}\n\n", escape(&yardstick(comparison, found))));
        }
        if let Some(resolved) = &point.target {
            text.push_str(&format!("Target of the first crossing: {}.\n\n", escape(&target(comparison, resolved))));
        }
        let metric = metric_words(comparison);
        text.push_str(&format!(
            "| arm | final {metric}: median (range) | reached | measured in | speedup | {} interval | seeds | verdict |\n",
            confidence(comparison)
        ));
        text.push_str("| --- | --- | --- | --- | --- | --- | --- | --- |\n");
        for row in groups(point).into_iter().flatten() {
            let cells = [
                row.name(),
                row.final_cell(),
                row.reached_cell(),
                row.measured_in(comparison),
                speedup_cell(&row.result),
                interval_cell(&row.result),
                seeds_cell(&row.result),
                row.verdict_cell(),
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
        "Speedup = baseline / candidate, above 1 is faster: geometric mean over a band of qualities and over seeds, interval by \
         Student's t on logarithms; verdicts after Holm's correction for the number of arms.\n",
    );
    text
}

/// A text in a cell: no markup, no HTML and no end of the cell. Words in backticks stay code.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '|' | '<' | '*' | '[' => escaped.extend(['\\', character]),
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}
