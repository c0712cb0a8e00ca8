//! The answer for a terminal.

use super::comparison::Comparison;
use super::grid::Grid;
use super::tables::{Row, groups, line};
use super::wording::{answer, confidence, look_words, metric_words, pair_answer, target, yardstick};
use crate::event::RunOutcome;
use crate::record::{RunState, StudyRecord};

/// The question, a line for each arm, and the table.
pub fn summary(comparison: &Comparison, grid: &Grid) -> String {
    let plan = &comparison.study.plan;
    let mut text = String::new();
    if !plan.question.is_empty() {
        text.push_str(&format!("{}\n\n", plan.question.trim()));
    }
    text.push_str(&format!("{}\n", progress(comparison.study)));
    look_words(comparison).iter().for_each(|look| text.push_str(&format!("{look}\n")));
    for (_, sentence) in grid.answers(comparison) {
        text.push_str(&format!("- {sentence}\n"));
    }
    for remark in grid.remarks(comparison) {
        text.push_str(&format!("- {remark}\n"));
    }
    for point in &comparison.points {
        text.push('\n');
        if !point.label.is_empty() {
            text.push_str(&format!("At {}:\n", point.label));
        }
        if let Some(found) = &point.band {
            text.push_str(&format!("{}\n", yardstick(comparison, found)));
        }
        if let Some(resolved) = &point.target {
            text.push_str(&format!("Target of the first crossing: {}.\n", target(comparison, resolved)));
        }
        for arm in point.arms.iter().filter(|arm| !arm.is_baseline && comparison.baseline.is_some()) {
            text.push_str(&format!("- {}\n", answer(comparison, point, arm)));
        }
        for pair in &point.pairs {
            text.push_str(&format!("- {}\n", pair_answer(comparison, point, pair)));
        }
        let metric = metric_words(comparison);
        let mut rows = vec![[
            "arm".to_owned(),
            format!("final {metric}"),
            "reached".into(),
            "in".into(),
            "speedup".into(),
            format!("{} interval", confidence(comparison)),
            "verdict".into(),
        ]];
        rows.extend(groups(point).iter().flat_map(|group| lines(comparison, group)));
        text.push_str(&format!("\n{}", aligned(&rows)));
    }
    if comparison.points.is_empty() {
        text.push_str("\nThe plan has no runs.\n");
    }
    text
}

/// How much of the study is there.
pub fn progress(study: &StudyRecord) -> String {
    let count = |is: &dyn Fn(&RunState) -> bool| study.runs.iter().filter(|run| is(&run.state)).count();
    let finished = count(&|state| matches!(state, RunState::Ended(outcome) if outcome.is_final()));
    let diverged = count(&|state| matches!(state, RunState::Ended(RunOutcome::Diverged { .. })));
    let total = study.runs.len();
    let are = if finished == 1 { "is" } else { "are" };
    let mut text = match total {
        1 if finished == 1 => "The only run is finished".to_owned(),
        1 => "The only run is not finished: what follows is provisional".to_owned(),
        _ if finished == total => format!("All {total} runs are finished"),
        _ => format!("{finished} of {total} runs {are} finished: what follows is provisional"),
    };
    if diverged > 0 {
        text.push_str(&format!("; {diverged} diverged"));
    }
    let damaged = study.damaged().count();
    if damaged > 0 {
        text.push_str(&format!(
            "; {damaged} left out, {} damaged",
            if damaged == 1 { "its record" } else { "their records" }
        ));
    }
    text.push('.');
    let late =
        study.revisions.iter().filter(|revision| revision.runs_ended_before > 0 && revision.changes_the_answer).count();
    if late > 0 {
        text.push_str(" The plan was changed after runs had ended: see the provenance.");
    }
    text
}

fn lines(comparison: &Comparison, group: &[Row]) -> Vec<[String; 7]> {
    group.iter().enumerate().map(|(index, row)| line(comparison, row, index == 0)).collect()
}

/// Columns as wide as their widest cell, two spaces apart.
fn aligned(rows: &[[String; 7]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}
