//! What `status` says of runs that were handed to a cluster.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use super::super::SweepArgs;
use super::run_status::RunStatus;
use crate::cluster::LiveTask;
use crate::record::{Engine, RecordError, RunState, Submission, SweepFolder};
use crate::study::{StudyError, TaskRuns, live_tasks};

/// Between two looks at a cluster, which many people ask.
const PAUSE: Duration = Duration::from_secs(10);

/// The tasks that wait or run, with their runs; `None`, and a note, where the cluster cannot be asked.
pub(super) fn tasks(folder: &SweepFolder) -> Result<Option<Vec<TaskRuns>>, RecordError> {
    match live_tasks(folder, true) {
        Ok(tasks) => Ok(Some(tasks)),
        Err(StudyError::Record(error)) => Err(error),
        Err(error) => {
            eprintln!("note: the cluster could not be asked about its tasks: {error}");
            Ok(None)
        }
    }
}

/// A line every now and then until no task waits or runs.
pub(super) fn watch(sweep: &SweepArgs, every: Option<Duration>) -> anyhow::Result<()> {
    let mut unanswered = 0;
    loop {
        let (plan, folder) = sweep.begun()?;
        match tasks(&folder)? {
            Some(tasks) if tasks.is_empty() => return Ok(()),
            Some(tasks) => {
                unanswered = 0;
                let of = |is_wanted: fn(&LiveTask) -> bool| tasks.iter().filter(|(task, _)| is_wanted(task)).count();
                let (waiting, running) = (of(|task| task.state == "PENDING"), of(|task| task.state != "PENDING"));
                let pending = tasks.iter().filter(|(task, _)| task.state == "PENDING");
                let reasons: BTreeSet<&str> = pending.map(|(task, _)| task.reason.as_str()).collect();
                let why = match waiting {
                    0 => String::new(),
                    _ => format!(" ({})", reasons.into_iter().collect::<Vec<_>>().join(", ")),
                };
                let ended = plan.runs.iter().filter(|run| folder.run(&run.run_id).has_ended()).count();
                let runs = plan.runs.len();
                out!("{}: {ended} of {runs} runs have ended; {running} tasks run, {waiting} wait{why}", plan.name);
            }
            // A controller that is busy answers again; where there is none, nothing is to be watched.
            None if unanswered == MOST_UNANSWERED => return Ok(()),
            None => unanswered += 1,
        }
        thread::sleep(every.unwrap_or(PAUSE));
    }
}

/// Looks in a row that a cluster may leave without an answer.
const MOST_UNANSWERED: u32 = 5;

/// Says which runs were handed in and are in no task any more, and which of these left nothing at all.
pub(super) fn print_lost(folder: &SweepFolder, statuses: &[RunStatus]) -> anyhow::Result<()> {
    // Of other engines it is not known what still waits or runs.
    let is_known = |submission: &Submission| submission.engine == Engine::Slurm;
    let Some(last) = Submission::all(folder)?.pop().filter(is_known) else { return Ok(()) };
    let is_open = |status: &&RunStatus| {
        let is_open = matches!(status.record.state, RunState::Waiting | RunState::Unfinished);
        is_open && status.task.is_none() && status.live.is_none()
    };
    let lost: Vec<&RunStatus> = statuses
        .iter()
        .filter(is_open)
        .filter(|status| last.task_of(&status.record.planned.run_id).is_some())
        .collect();
    if lost.is_empty() {
        return Ok(());
    }
    let number = last.number;
    out!("\n{} runs of submission {number} are in no task any more: `speedlab submit` hands them in again", lost.len());
    let silent = lost.iter().filter(|status| status.record.attempts.is_empty()).count();
    if silent > 0 {
        let logs = folder.submission(number).join("logs");
        out!(
            "{silent} of them left nothing: their tasks' logs are below {}; without logs, nodes may not see that folder",
            logs.display()
        );
    }
    Ok(())
}
