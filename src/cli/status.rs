//! `speedlab status`: each run, waiting, unfinished, or how it ended.

use clap::Args;
use comfy_table::Table;
use serde_json::json;

use super::table::new_table;
use super::{Exit, SweepArgs};
use crate::event::RunOutcome;
use crate::plan;
use crate::record::{RecordError, RunRecord, RunState, SweepFolder};
use crate::report::number::{duration, percent};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab status sweeps/quickstart.yaml
  speedlab status sweeps/quickstart.yaml --json | jq '.runs[] | select(.state == \"unfinished\")'

`waited` is the share of training in which the device waited for images.")]
pub struct StatusArgs {
    #[command(flatten)]
    sweep: SweepArgs,
    /// Print one JSON value
    #[arg(long)]
    json: bool,
}

/// The version of `status --json`.
const STATUS_VERSION: u32 = 1;

pub fn status(args: &StatusArgs) -> anyhow::Result<Exit> {
    let plan = plan::load_sweep(&args.sweep.sweep, &args.sweep.overrides)?;
    let folder = SweepFolder::new(&args.sweep.results, &plan.name);
    let mut rows = Vec::new();
    for planned in &plan.runs {
        let record = RunRecord::read(&folder, planned)?;
        let running = is_running(&folder, &record)?;
        rows.push((record, running));
    }
    if args.json {
        let runs: Vec<_> = rows.iter().map(|(record, running)| to_json(record, *running)).collect();
        out!("{}", json!({ "version": STATUS_VERSION, "sweep": plan.name, "runs": runs }));
    } else {
        out!("{}", to_table(&rows));
    }
    let ended = |(record, _): &(RunRecord, bool)| matches!(record.state, RunState::Ended(_));
    let failed = |(record, _): &(RunRecord, bool)| matches!(record.state, RunState::Ended(RunOutcome::Diverged { .. }));
    Ok(match rows.iter().all(ended) {
        true if rows.iter().any(failed) => Exit::SomeFailed,
        true => Exit::AllDone,
        false => Exit::Incomplete,
    })
}

/// A run is running while some process holds its folder.
fn is_running(folder: &SweepFolder, record: &RunRecord) -> Result<bool, RecordError> {
    if record.state != RunState::Unfinished {
        return Ok(false);
    }
    folder.run(&record.planned.run_id).is_held()
}

/// (state, why) in words.
fn describe(record: &RunRecord, running: bool) -> (&'static str, String) {
    match (&record.state, &record.last_outcome) {
        (RunState::Waiting, _) => ("waiting", "not started".to_owned()),
        (RunState::Unfinished, _) if running => ("running", String::new()),
        (RunState::Unfinished, Some(outcome)) => ("unfinished", outcome_in_words(outcome)),
        (RunState::Unfinished, None) => ("unfinished", "killed; goes on from its last checkpoint".to_owned()),
        (RunState::Ended(outcome @ RunOutcome::Diverged { .. }), _) => ("failed", outcome_in_words(outcome)),
        (RunState::Ended(outcome), _) => ("done", outcome_in_words(outcome)),
    }
}

fn outcome_in_words(outcome: &RunOutcome) -> String {
    match outcome {
        RunOutcome::Completed => "completed".to_owned(),
        RunOutcome::ReachedTarget => "reached the target".to_owned(),
        RunOutcome::Diverged { reason } => format!("diverged: {reason}"),
        RunOutcome::OutOfMemory { reason } => format!("out of memory: {reason}"),
        RunOutcome::Interrupted { reason } => format!("interrupted: {reason}"),
        RunOutcome::Crashed { reason } => format!("crashed: {reason}"),
    }
}

fn to_json(record: &RunRecord, running: bool) -> serde_json::Value {
    let (state, detail) = describe(record, running);
    json!({
        "run_id": record.planned.run_id,
        "arm": record.planned.arm,
        "trial": record.planned.trial,
        "seed": record.planned.seed,
        "state": state,
        "detail": detail,
        "attempts": record.attempts.len(),
        "step": record.rows.last().map_or(0, |row| row.step),
        "steps": record.planned.spec.train.steps,
        "train_seconds": record.rows.last().map(|row| row.train_seconds),
        "wait_seconds": record.waiting.map(|waiting| waiting.wait_seconds),
    })
}

fn to_table(rows: &[(RunRecord, bool)]) -> Table {
    let mut table = new_table(["run", "trial", "seed", "step", "train time", "waited", "state", "detail"]);
    for (record, running) in rows {
        let (state, detail) = describe(record, *running);
        let last = record.rows.last();
        table.add_row([
            record.planned.run_id.to_string(),
            record.planned.trial.clone(),
            record.planned.seed.to_string(),
            format!("{}/{}", last.map_or(0, |row| row.step), record.planned.spec.train.steps),
            last.map_or_else(String::new, |row| duration(row.train_seconds)),
            record.waiting.map_or_else(String::new, |waiting| percent(waiting.share())),
            state.to_owned(),
            detail.lines().next().unwrap_or_default().to_owned(),
        ]);
    }
    table
}
