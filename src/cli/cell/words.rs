//! A number and its runs in words.

use crate::cli::print::without_controls;
use crate::report::number::{grouped, significant, times};
use crate::report::{CellDetail, CellRun, Rerun};

/// The number, its runs, its values, its formula and what repeats it.
pub(super) fn shown(cell: &CellDetail, command: Option<&str>) -> String {
    let mut text = format!("{}  {}\n", cell.id, cell.what);
    text.push_str(&format!("\n  {}\n", number(cell)));
    let mut facts =
        vec![("study", cell.study.clone()), ("metric", cell.metric.clone()), ("kind", cell.kind.to_owned())];
    facts.extend([("seeds", cell.seeds.clone()), ("verdict", cell.verdict.clone())]);
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty() && value != "–") {
        text.push_str(&format!("  {name:<8}  {value}\n"));
    }
    text.push_str(&format!(
        "\nRuns{}:\n",
        if cell.value_is.is_empty() { String::new() } else { format!(" (value: {})", cell.value_is) }
    ));
    // Runs of one arm at several grid points are told apart by their trials.
    let has_trials = cell.runs.iter().any(|run| run.trial != run.arm);
    text.push_str(&aligned(
        &cell
            .runs
            .iter()
            .map(|run| run_cells(run, has_trials, run.counts || cell.number.is_none()))
            .collect::<Vec<_>>(),
    ));
    if !cell.by_seed.is_empty() {
        text.push_str("\nBy seed:\n");
        let seeds = cell.by_seed.iter().map(|seed| vec![format!("seed {}", seed.seed), times(seed.ratio)]);
        text.push_str(&aligned(&seeds.collect::<Vec<_>>()));
    }
    text.push_str(&format!("\nFormula:\n  {}\n  {}\n", cell.formula.words, cell.formula.symbols));
    let is_imported = cell.runs.iter().any(|run| run.is_imported);
    text.push_str(&match (command, cell.is_measured_later && !is_imported) {
        (Some(command), _) => format!("\nTrains these runs again:\n  {command}"),
        (None, true) => "\nMeasures again:\n  `speedlab evaluate RUN --set ..` does, as the value was measured after its runs had ended; \
             training them again does not"
            .to_owned(),
        (None, false) => "\nTrains these runs again:\n  nothing here can: its runs were imported".to_owned(),
    });
    without_controls(&text)
}

/// `1.51× (1.25× to 1.83×, 95 %)`.
fn number(cell: &CellDetail) -> String {
    match (cell.interval.as_str(), cell.level.as_str()) {
        ("–", _) => cell.shown.clone(),
        (range, "") => format!("{} ({range} over seeds)", cell.shown),
        (interval, level) => format!("{} ({interval}, {level})", cell.shown),
    }
}

fn run_cells(run: &CellRun, has_trials: bool, counts: bool) -> Vec<String> {
    let value = run.value.map_or("–".to_owned(), |value| match value.abs() >= 1e5 {
        true => grouped(value.round() as u64),
        false => significant(value, 5),
    });
    let name = if has_trials { run.trial.clone() } else { run.arm.clone() };
    let state = if counts { run.state.clone() } else { format!("{}, does not count", run.state) };
    vec![name, format!("seed {}", run.seed), run.run_id.clone(), value, state, run.devices.join("; ")]
}

/// The ids of a study's numbers.
pub(super) fn list(cells: &[CellDetail]) -> String {
    let lines: Vec<Vec<String>> =
        cells.iter().map(|cell| vec![cell.id.clone(), cell.kind.to_owned(), number(cell), cell.what.clone()]).collect();
    without_controls(aligned(&lines).trim_end())
}

/// Whether the number holds, and what came of each run.
pub(super) fn rerun(rerun: &Rerun) -> String {
    let mut text = format!("{}  {}\n", rerun.before.id, rerun.before.what);
    text.push_str(&format!("\n  before  {}\n", number(&rerun.before)));
    let now = rerun.now.as_ref().map_or("–".to_owned(), number);
    text.push_str(&format!("  now     {now}\n\n"));
    let lines = rerun.runs.iter().map(|run| {
        let due = match (run.same_device, run.same_program) {
            (true, true) => "same device, same build",
            (true, false) => "same device, another build",
            (false, true) => "another device, same build",
            (false, false) => "another device, another build",
        };
        let bits = match &run.differs {
            None => format!("all {} values have the same bits", run.values),
            Some(what) => what.clone(),
        };
        vec![run.arm.clone(), format!("seed {}", run.seed), run.run_id.clone(), run.now.clone(), due.to_owned(), bits]
    });
    text.push_str(&aligned(&lines.collect::<Vec<_>>()));
    text.push_str(&format!("\n{} {}", rerun.before.id, rerun.verdict));
    without_controls(&text)
}

/// Columns as wide as their widest cell, two spaces apart.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).filter_map(width).collect();
    let line = |cells: &Vec<String>| {
        let cells = cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(line).collect()
}
