//! The state of runs, and the changes after the plan was frozen.

use std::collections::{BTreeMap, HashMap};

use crate::event::RunOutcome;
use crate::record::{Revision, RunRecord, RunState, Shared, SpentTime, StudyRecord};
use crate::report::comparison::ArmComparison;
use crate::report::number::{duration, grouped, percent};
use crate::spec::RunId;

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

/// Which runs have their first steps from others, as one sentence; `None` where none has.
pub fn shared_words(study: &StudyRecord) -> Option<String> {
    let by_id: HashMap<&RunId, &RunRecord> = study.runs.iter().map(|run| (&run.planned.run_id, run)).collect();
    let mut seeds: BTreeMap<(&str, u64, &str), Vec<u64>> = BTreeMap::new();
    for run in &study.runs {
        let Some(Shared { from, .. }) = &run.shared else { continue };
        // A run of another plan is called by its id.
        let other = by_id.get(&from.run_id).map_or(from.run_id.as_str(), |other| other.planned.trial.as_str());
        seeds.entry((run.planned.trial.as_str(), from.step, other)).or_default().push(run.planned.seed);
    }
    let part = |((trial, step, other), seeds): (&(&str, u64, &str), &Vec<u64>)| {
        let numbers = seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        let seeds = if seeds.len() == 1 { "seed" } else { "seeds" };
        format!("{trial} those up to step {} from {other} ({seeds} {numbers})", grouped(*step))
    };
    let mut parts: Vec<String> = seeds.iter().take(MOST_SHARED_NAMED).map(part).collect();
    if seeds.len() > MOST_SHARED_NAMED {
        parts.push(format!("and {} others", grouped((seeds.len() - MOST_SHARED_NAMED) as u64)));
    }
    (!parts.is_empty()).then(|| {
        format!(
            "steps that two runs of a seed train alike were trained once: {}. Curves and clocks contain these steps as if each run had trained them, \
             so that they change no speedup; the time that was spent counts them once",
            parts.join("; ")
        )
    })
}

/// The most trials that are named in [`shared_words`].
const MOST_SHARED_NAMED: usize = 20;

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
