//! `speedlab logs`: what a run wrote to its log. With -f it also shows what the run writes and records from now on.

mod event_line;
mod find;
mod tail;

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use self::event_line::event_line;
use self::tail::Tail;
use super::{DEFAULT_RESULTS, Exit, print_bytes};
use crate::event::RunEvent;
use crate::record::{LiveFile, RecordError, RunFolder, read_journal};
use crate::schedule::Stop;

#[derive(Debug, Args)]
#[command(after_help = "RUN is a run's folder, its id, or the beginning of its id; `speedlab status` lists the ids.

A log holds the lines that a run's process wrote beside its events. With -f the events are shown too, a line each: evaluations, checkpoints,
how the run ended.

Examples:
  speedlab logs 0123456789ab
  speedlab logs 0123 -f --lines 20                       the last 20 lines, then all new ones until the run has ended
  speedlab logs results/quickstart/runs/0123456789ab")]
pub struct LogsArgs {
    /// The run: its folder, its id, or the beginning of its id
    #[arg(value_name = "RUN")]
    run: String,
    /// Go on showing what is written, until the run has ended or no process works on its sweep
    #[arg(long, short)]
    follow: bool,
    /// Show only the last N lines of what is there (with -f, of the log and of the events)
    #[arg(long, value_name = "N")]
    lines: Option<usize>,
    /// The folder that results are kept in
    #[arg(long, value_name = "DIR", default_value = DEFAULT_RESULTS)]
    results: PathBuf,
}

/// Between two looks at the files.
const LOOK: Duration = Duration::from_millis(200);

pub fn logs(args: &LogsArgs) -> anyhow::Result<Exit> {
    let run = find::find_run(&args.run, &args.results)?;
    if args.follow {
        return follow(&run, args.lines);
    }
    let mut log = Tail::new(run.log());
    let mut lines = log.new_lines().with_context(|| cannot_read(&log))?;
    lines.extend(log.torn_line());
    if lines.is_empty() {
        eprintln!("note: the run has written nothing yet; `speedlab status` shows its state");
    }
    print_bytes(&last(lines, args.lines).concat())?;
    Ok(Exit::AllDone)
}

fn follow(run: &RunFolder, most_lines: Option<usize>) -> anyhow::Result<Exit> {
    let stop = Stop::on_signals().context("cannot listen to signals")?;
    let steps = run.read_spec()?.spec.train.steps;
    // Refuses the journal of a newer program.
    read_journal(&run.journal())?;
    let mut log = Tail::new(run.log());
    let mut journal = Tail::new(run.journal());
    let mut is_first_look = true;
    loop {
        // Asked before the files are read: what was written until the end is seen.
        let is_over = has_ended(run)?;
        let mut log_lines = log.new_lines().with_context(|| cannot_read(&log))?;
        if is_over {
            log_lines.extend(log.torn_line());
        }
        let lines = journal.new_lines().with_context(|| cannot_read(&journal))?;
        // A line that is no event is what a killed writer left.
        let mut events: Vec<RunEvent> = lines.iter().filter_map(|line| serde_json::from_slice(line).ok()).collect();
        if is_first_look {
            events = of_the_last_attempt(events);
            log_lines = last(log_lines, most_lines);
        }
        let event_lines = events.iter().filter_map(|event| event_line(event, steps)).map(String::into_bytes);
        let mut event_lines: Vec<Vec<u8>> = event_lines.collect();
        if is_first_look {
            event_lines = last(event_lines, most_lines);
        }
        is_first_look = false;
        print_bytes(&[log_lines, event_lines].concat().concat())?;
        if is_over {
            return Ok(Exit::AllDone);
        }
        if stop.requests() > 0 {
            return Ok(Exit::Code(stop.exit_code().unwrap_or(130)));
        }
        thread::sleep(LOOK);
    }
}

/// Whether nothing will come any more: the run is done, or no process has it and none will take it in this session.
fn has_ended(run: &RunFolder) -> Result<bool, RecordError> {
    if run.has_ended() || !run.path.exists() {
        // An attempt of a cluster has another place when it has ended.
        return Ok(true);
    }
    if run.is_held()? {
        return Ok(false);
    }
    let Some(sweep) = run.sweep() else { return Ok(true) };
    let run_id = run.read_spec()?.run_id;
    if run.path != sweep.run(&run_id).path {
        // A cluster's attempt may wait, and go on elsewhere: it is over when it is the run.
        return Ok(false);
    }
    match LiveFile::read(&sweep)? {
        Some(live) => Ok(live.run(&run_id).is_none_or(|run| run.state.is_end())),
        None => Ok(!sweep.is_held()?),
    }
}

fn of_the_last_attempt(mut events: Vec<RunEvent>) -> Vec<RunEvent> {
    let start = events.iter().rposition(|event| matches!(event, RunEvent::Started(_))).unwrap_or(0);
    events.split_off(start)
}

/// The last `most` of the lines; all where no number is given.
fn last(mut lines: Vec<Vec<u8>>, most: Option<usize>) -> Vec<Vec<u8>> {
    let left_out = most.map_or(0, |most| lines.len().saturating_sub(most));
    lines.split_off(left_out)
}

fn cannot_read(tail: &Tail) -> String {
    format!("cannot read {}", tail.path().display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Stamp, Started};

    fn started(attempt: u32) -> RunEvent {
        RunEvent::Started(Started::of_test(attempt, 0))
    }

    #[test]
    fn earlier_attempts_are_left_out_of_what_is_followed() {
        let checkpointed = RunEvent::Checkpointed { stamp: Stamp::default(), checkpoint: 1, losses: Vec::new() };
        let events = vec![started(1), checkpointed.clone(), started(2), checkpointed.clone()];
        assert_eq!(of_the_last_attempt(events), [started(2), checkpointed.clone()]);
        assert_eq!(of_the_last_attempt(vec![checkpointed.clone()]), [checkpointed]);
        assert_eq!(of_the_last_attempt(vec![]), []);
    }

    #[test]
    fn the_last_lines_are_as_many_as_wanted_or_all() {
        let lines = || ["a\n", "b\n", "c\n"].map(|line| line.as_bytes().to_vec()).to_vec();
        assert_eq!(last(lines(), Some(2)).concat(), b"b\nc\n");
        assert_eq!(last(lines(), Some(9)), lines());
        assert_eq!(last(lines(), None), lines());
        assert_eq!(last(lines(), Some(0)), Vec::<Vec<u8>>::new());
    }
}
