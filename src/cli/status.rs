//! `speedlab status`: each run, waiting and why, running, or how it ended.

mod cluster;
mod live_lines;
mod run_status;
mod table;
mod watch;

use std::time::Duration;

use clap::Args;
use serde_json::json;

use self::run_status::{RunStatus, is_failure};
use super::{Color, Exit, SweepArgs};
use crate::record::{RunState, SpentTime};
use crate::report::spent_words;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab status sweeps/quickstart.yaml
  speedlab status sweeps/quickstart.yaml --watch                   the table, redrawn until no process works on the sweep
  speedlab status sweeps/quickstart.yaml --json | jq '.runs[] | select(.state == \"unfinished\")'

`waited` is the share of training time in which the device waited for images. `busy`, where a GPU's driver counts it, is the
share in which at least one kernel ran on the device, whoever started it; it does not say how full the device was. The line below the table says where the time
of the whole study went; `idle` are places that had no run, because the last runs of a round were waited for. The last lines
that a failed run wrote follow.")]
pub struct StatusArgs {
    #[command(flatten)]
    sweep: SweepArgs,
    /// Redraw the state until no process works on the sweep any more, then print the table
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// Seconds between two redraws [default: 1 on a terminal, 10 elsewhere]
    #[arg(long, value_name = "SECONDS", requires = "watch", value_parser = pause)]
    every: Option<Duration>,
    /// Print one JSON value
    #[arg(long)]
    json: bool,
}

/// The version of `status --json`.
const STATUS_VERSION: u32 = 1;

pub fn status(args: &StatusArgs, color: Color) -> anyhow::Result<Exit> {
    let (mut plan, folder, mut frozen) = args.sweep.begun_and_frozen()?;
    if args.watch
        && let Some(exit) = watch::watch(&plan, &folder, args.every, color)?
    {
        return Ok(exit);
    }
    if args.watch {
        cluster::watch(&args.sweep, args.every)?;
        // Seeds may have come while it was watched.
        (plan, _, frozen) = args.sweep.begun_and_frozen()?;
    }
    let tasks = cluster::tasks(&folder)?;
    let statuses = RunStatus::read_all(&folder, &plan, tasks.as_deref().unwrap_or_default())?;
    let unplanned = folder.unplanned(&plan)?;
    let held = frozen.and_then(|frozen| frozen.held);
    let spent = SpentTime::of(statuses.iter().map(|status| &status.record), held);
    if args.json {
        let runs: Vec<_> = statuses.iter().map(RunStatus::to_json).collect();
        let holder = folder.holder()?;
        out!(
            "{}",
            json!({ "version": STATUS_VERSION, "sweep": plan.name, "held_by": holder, "spent_seconds": spent, "runs": runs, "unplanned": unplanned })
        );
    } else {
        out!("{}", table::to_table(&statuses));
        if !spent.parts().is_empty() {
            out!("\ntime: {}", spent_words(&spent));
        }
        if !unplanned.is_empty() {
            let ids = unplanned.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            out!("\nno longer planned, and kept under {}: {ids}", folder.path.join("runs").display());
        }
        if tasks.is_some() {
            cluster::print_lost(&folder, &statuses)?;
        }
        for status in &statuses {
            if let Some(text) = table::failure_text(status) {
                out!("\n{text}");
            }
        }
    }
    let ended = |status: &RunStatus| matches!(status.record.state, RunState::Ended(_) | RunState::Damaged(_));
    let failed = |status: &RunStatus| match &status.record.state {
        RunState::Ended(outcome) => is_failure(outcome),
        state => matches!(state, RunState::Damaged(_)),
    };
    Ok(match statuses.iter().all(ended) {
        true if statuses.iter().any(failed) => Exit::SomeFailed,
        true => Exit::AllDone,
        false => Exit::Incomplete,
    })
}

/// Between a tenth of a second and an hour.
fn pause(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|_| "a number of seconds is needed".to_owned())?;
    match (0.1..=3600.0).contains(&seconds) {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err("between 0.1 and 3600 seconds are possible".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_a_sensible_number_of_seconds() {
        assert_eq!(pause("0.5"), Ok(Duration::from_millis(500)));
        for senseless in ["0", "-1", "NaN", "inf", "1e9", "soon", ""] {
            assert!(pause(senseless).is_err(), "{senseless}");
        }
    }
}
