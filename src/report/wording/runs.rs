//! The state of runs, and the changes after the plan was frozen.

use crate::event::RunOutcome;
use crate::record::{Revision, RunRecord, RunState, SpentTime, StudyRecord};
use crate::report::comparison::ArmComparison;
use crate::report::number::{duration, percent};

/// Runs that did not end as planned, or not yet; empty where all did.
pub fn troubles(arm: &ArmComparison) -> String {
    type Is = fn(&RunRecord) -> bool;
    let kinds: [(&str, Is); 11] = [
        ("diverged", |run| matches!(ending(run), Some(RunOutcome::Diverged { .. }))),
        ("ran out of memory", |run| matches!(ending(run), Some(RunOutcome::OutOfMemory { .. }))),
        ("crashed", |run| matches!(ending(run), Some(RunOutcome::Crashed { .. }))),
        ("fell silent", |run| matches!(ending(run), Some(RunOutcome::TimedOut { .. }))),
        ("lost their device", |run| matches!(ending(run), Some(RunOutcome::DeviceLost { .. }))),
        ("had a device that disagrees with the CPU", |run| {
            matches!(ending(run), Some(RunOutcome::DeviceDisagrees { .. }))
        }),
        ("had no room on the disk", |run| matches!(ending(run), Some(RunOutcome::DiskFull { .. }))),
        ("interrupted", |run| matches!(ending(run), Some(RunOutcome::Interrupted { .. }))),
        ("unfinished", |run| run.state == RunState::Unfinished && ending(run).is_none()),
        ("not started", |run| run.state == RunState::Waiting),
        ("left out, their records damaged", |run| matches!(run.state, RunState::Damaged(_))),
    ];
    let total = arm.runs.len();
    let counted = kinds.iter().filter_map(|(words, is)| {
        let count = arm.count(|run| is(run.record));
        (count > 0).then(|| format!("{count} of {total} {words}"))
    });
    let counted: Vec<String> = counted.collect();
    if counted.is_empty() { String::new() } else { format!("Runs of {}: {}.", arm.arm, counted.join(", ")) }
}

/// How the run, or its last attempt, ended.
fn ending(run: &RunRecord) -> Option<&RunOutcome> {
    match &run.state {
        RunState::Ended(outcome) => Some(outcome),
        RunState::Unfinished => run.last_outcome.as_ref(),
        RunState::Waiting | RunState::Damaged(_) => None,
    }
}

/// How a run stands, in a table cell.
pub fn state(run: &RunRecord) -> String {
    match (&run.state, ending(run)) {
        (RunState::Waiting, _) => "not started".to_owned(),
        (RunState::Damaged(damage), _) => format!("record damaged, left out: {}", damage.join("; ")),
        (RunState::Unfinished, None) => "unfinished".to_owned(),
        (_, Some(RunOutcome::ReachedTarget)) => "stopped at the target".to_owned(),
        (_, Some(outcome)) => outcome.in_words(),
        (RunState::Ended(_), None) => unreachable!("a run that has ended has an outcome"),
    }
}

/// Where the time of a study went, the largest part first.
pub fn spent_words(spent: &SpentTime) -> String {
    let mut parts = spent.parts();
    let all: f64 = parts.iter().map(|(_, seconds)| seconds).sum();
    parts.sort_by(|(_, first), (_, second)| second.total_cmp(first));
    let shares = parts.iter().map(|(name, seconds)| format!("{} {name}", percent(seconds / all)));
    let shares = shares.collect::<Vec<_>>().join(", ");
    match spent.elapsed {
        Some(elapsed) => {
            format!("{} from start to end, {} of all places together: {shares}", duration(elapsed), duration(all))
        }
        None => format!("{} of all runs together: {shares}", duration(all)),
    }
}

/// The changes after the plan was frozen; empty if there were none.
pub fn revisions(study: &StudyRecord) -> Vec<String> {
    let sentence = |revision: &Revision| {
        let when = match revision.runs_ended_before {
            0 => "before any run had ended".to_owned(),
            1 => "after 1 run had ended".to_owned(),
            count => format!("after {count} runs had ended"),
        };
        format!("{}, {when}: {}", revision.changed_at, revision.changes.join("; "))
    };
    study.revisions.iter().map(sentence).collect()
}
