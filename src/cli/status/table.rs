//! The table of runs, and what those that failed said last.

use comfy_table::Table;

use super::super::table::new_table;
use super::run_status::RunStatus;
use crate::report::number::{duration, percent};

/// The place of the column of how busy devices were: behind that of what they waited for.
const BUSY: usize = 7;

pub(super) fn to_table(statuses: &[RunStatus]) -> Table {
    // Only GPUs are known to have it.
    let is_measured = statuses.iter().any(|status| status.record.device_utilization.is_some());
    let mut header = vec!["run", "trial", "seed", "device", "step", "train time", "waited", "state", "detail"];
    if is_measured {
        header.insert(BUSY, "busy");
    }
    let mut table = new_table(header);
    for status in statuses {
        let record = &status.record;
        let (state, detail) = status.describe();
        let mut row = vec![
            record.planned.run_id.to_string(),
            record.planned.trial.clone(),
            record.planned.seed.to_string(),
            status.device().map_or_else(String::new, |device| short_device(device).to_owned()),
            format!("{}/{}", status.step(), record.planned.spec.train.steps),
            record.rows.last().map_or_else(String::new, |row| duration(row.train_seconds)),
            record.waiting.map_or_else(String::new, |waiting| percent(waiting.share())),
            state.to_owned(),
            detail.lines().next().unwrap_or_default().to_owned(),
        ];
        if is_measured {
            row.insert(BUSY, record.device_utilization.map_or_else(String::new, percent));
        }
        table.add_row(row);
    }
    table
}

/// Which run it is, the whole reason, and where its log is; `None` for a run that did not fail.
pub(super) fn failure_text(status: &RunStatus) -> Option<String> {
    let words = status.failure()?.in_words();
    let planned = &status.record.planned;
    let mut text = format!("run {}, {} seed {}", planned.run_id, planned.trial, planned.seed);
    for (index, line) in words.lines().enumerate() {
        text += if index == 0 { ": " } else { "\n  " };
        text += line;
    }
    text += &format!("\n  log: {}", status.log.display());
    Some(text)
}

/// `cpu` of `cpu: AMD EPYC 9R14, 1 thread, 2 runs at once`.
fn short_device(device: &str) -> &str {
    device.split_once(": ").map_or(device, |(short, _)| short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::RunOutcome;
    use crate::record::{RunRecord, RunState};
    use crate::spec::{PlannedRun, RunId, RunSpec};

    fn status(state: RunState, last_outcome: Option<RunOutcome>) -> RunStatus {
        let planned = PlannedRun {
            run_id: RunId::parse("0123456789ab").unwrap(),
            arm: "clts".to_owned(),
            trial: "clts".to_owned(),
            point: Default::default(),
            seed: 7,
            spec: RunSpec::default(),
        };
        let record = RunRecord { state, last_outcome, ..RunRecord::new(planned) };
        RunStatus { record, live: None, is_held: false, log: "runs/0123456789ab/log.txt".into(), task: None }
    }

    #[test]
    fn a_failed_run_shows_its_whole_reason_and_its_log() {
        let reason = "killed by signal 6 (SIGABRT)\nthread 'main' panicked\nnote: run with RUST_BACKTRACE=1";
        let failed = status(RunState::Unfinished, Some(RunOutcome::Crashed { reason: reason.to_owned() }));
        let expected = "run 0123456789ab, clts seed 7: crashed: killed by signal 6 (SIGABRT)
  thread 'main' panicked
  note: run with RUST_BACKTRACE=1
  log: runs/0123456789ab/log.txt";
        assert_eq!(failure_text(&failed).as_deref(), Some(expected));
        let table = to_table(&[failed]).to_string();
        assert!(table.contains("SIGABRT") && !table.contains("RUST_BACKTRACE"), "{table}");
    }

    #[test]
    fn how_busy_devices_were_has_a_column_where_some_run_knows_it() {
        let runs = [Some(0.873), None].map(|device_utilization| {
            let mut status = status(RunState::Waiting, None);
            status.record.device_utilization = device_utilization;
            status
        });
        let table = to_table(&runs).to_string();
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let lines: Vec<Vec<String>> = table.lines().map(words).collect();
        assert_eq!(lines[0][6..], ["time", "waited", "busy", "state", "detail"], "{table}");
        assert!(
            table.lines().nth(1).unwrap().contains("87 %") && !table.lines().nth(2).unwrap().contains('%'),
            "{table}"
        );
        assert!(!to_table(&runs[1..]).to_string().contains("busy"));
    }

    #[test]
    fn a_run_that_did_not_fail_has_no_section() {
        let interrupted = RunOutcome::Interrupted { reason: "asked to stop".to_owned() };
        let completed = RunState::Ended(RunOutcome::Completed);
        let cases = [(RunState::Waiting, None), (RunState::Unfinished, Some(interrupted)), (completed, None)];
        for (state, outcome) in cases {
            assert_eq!(failure_text(&status(state, outcome)), None);
        }
    }

    #[test]
    fn a_device_is_named_as_on_the_command_line() {
        assert_eq!(short_device("cpu: AMD EPYC 9R14, 1 thread"), "cpu");
        assert_eq!(short_device("cuda:0: NVIDIA H100"), "cuda:0");
        assert_eq!(short_device("cpu"), "cpu");
    }
}
