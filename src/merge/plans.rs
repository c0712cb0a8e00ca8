//! One plan of several.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::{MergeError, Source};
use crate::record::PlanFile;
use crate::spec::{Plan, PlannedRun, RunSpec, canonical_json};

/// The plan of all sources' runs, or what keeps them from being one study.
pub(super) fn join(sources: &[Source]) -> Result<PlanFile, MergeError> {
    let mut files =
        sources.iter().filter_map(|source| source.plan.clone().map(|plan| (source.folder.plan_file(), plan)));
    let (first_path, mut joined) = files.next().expect("at least one folder with a plan was given");
    let mut firsts = BTreeMap::new();
    note_trials(&first_path, &joined.plan, &mut firsts)?;
    for (path, file) in files {
        if let Some(what) = difference(&joined.plan, &file.plan) {
            return Err(MergeError::OtherPlan { one: first_path, other: path, what });
        }
        note_trials(&path, &file.plan, &mut firsts)?;
        joined.plan = match joined.plan.until_decided {
            Some(_) => grown(&joined.plan, &file.plan).ok_or_else(|| MergeError::OtherPlan {
                one: first_path.clone(),
                other: path.clone(),
                what: "seeds were added to them in different ways".to_owned(),
            })?,
            None => union(&joined.plan, &file.plan),
        };
        if joined.plan.labels.is_empty() {
            joined.plan.labels = file.plan.labels;
        }
        if file.planned_at < joined.planned_at {
            joined.planned_at = file.planned_at;
            joined.program = file.program;
            joined.sweep_arguments = file.sweep_arguments;
        }
        // Where one was not measured, too few starts are known, and readers see it.
        match (&mut joined.held, file.held) {
            (Some(held), Some(other)) => held.add(other),
            (held, other) => *held = held.or(other),
        }
        let new_revisions: Vec<_> =
            file.revisions.into_iter().filter(|revision| !joined.revisions.contains(revision)).collect();
        joined.revisions.extend(new_revisions);
        let new_sessions: Vec<_> =
            file.sessions.into_iter().filter(|session| !joined.sessions.contains(session)).collect();
        joined.sessions.extend(new_sessions);
    }
    joined.revisions.sort_by(|one, other| one.changed_at.cmp(&other.changed_at));
    joined.sessions.sort_by(|one, other| one.started_at.cmp(&other.started_at));
    Ok(joined)
}

/// What keeps two plans from being one study, beside runs.
fn difference(one: &Plan, other: &Plan) -> Option<String> {
    let parts = [
        ("name", json(&one.name), json(&other.name)),
        ("question", json(&one.question), json(&other.question)),
        ("compare", json(&one.compare), json(&other.compare)),
        ("grid", json(&one.axes), json(&other.axes)),
        ("exclusive", json(&one.exclusive), json(&other.exclusive)),
        ("rule for seeds", json(&one.until_decided), json(&other.until_decided)),
    ];
    let (name, one, other) = parts.into_iter().find(|(_, one, other)| one != other)?;
    Some(format!("`{name}` is {one} in the first and {other} in the second"))
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("a plan is plain data, which JSON can hold")
}

/// By trial: the file that planned it first, and its spec.
type Trials = BTreeMap<String, (PathBuf, RunSpec)>;

/// Refuses a trial whose runs differ from those of an earlier plan in more than the seed.
fn note_trials(path: &Path, plan: &Plan, firsts: &mut Trials) -> Result<(), MergeError> {
    let mut seen = BTreeSet::new();
    for run in plan.runs.iter().filter(|run| seen.insert(run.trial.clone())) {
        let spec = RunSpec { seed: 0, ..run.spec.clone() };
        let Some((one, first)) = firsts.get(&run.trial) else {
            firsts.insert(run.trial.clone(), (path.to_owned(), spec));
            continue;
        };
        let canonical = |spec: &RunSpec| -> Value { serde_json::from_str(&canonical_json(spec)).expect("it is JSON") };
        if let Some((key, value, other_value)) = first_difference("", &canonical(first), &canonical(&spec)) {
            let (one, other, trial) = (one.clone(), path.to_owned(), run.trial.clone());
            let what = format!("`{key}` is {value} in the first and {other_value} in the second");
            return Err(MergeError::OtherSpec { one, other, trial, what });
        }
    }
    Ok(())
}

/// The first key whose values differ, and both values.
fn first_difference(path: &str, one: &Value, other: &Value) -> Option<(String, String, String)> {
    if one == other {
        return None;
    }
    let dot = if path.is_empty() { "" } else { "." };
    if let (Value::Object(entries), Value::Object(others)) = (one, other) {
        let keys: BTreeSet<&String> = entries.keys().chain(others.keys()).collect();
        return keys.into_iter().find_map(|key| {
            let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
            first_difference(&format!("{path}{dot}{key}"), &of(entries), &of(others))
        });
    }
    Some((path.to_owned(), one.to_string(), other.to_string()))
}

/// The longer of two plans that one rule for seeds has made, if the shorter is its beginning.
fn grown(one: &Plan, other: &Plan) -> Option<Plan> {
    let (short, long) = if one.runs.len() <= other.runs.len() { (one, other) } else { (other, one) };
    let ids = |plan: &Plan| plan.runs.iter().map(|run| run.run_id.clone()).collect::<Vec<_>>();
    (ids(long).starts_with(&ids(short)) && long.seeds.starts_with(&short.seeds)).then(|| long.clone())
}

/// The runs of both in the order of a plan: seeds outermost, then trials.
fn union(one: &Plan, other: &Plan) -> Plan {
    let mut seeds = in_order(&one.seeds, &other.seeds);
    if one.seeds.is_sorted() && other.seeds.is_sorted() {
        seeds.sort_unstable();
    }
    let trials_of = |plan: &Plan| in_order(&plan.runs.iter().map(|run| run.trial.clone()).collect::<Vec<_>>(), &[]);
    let trials = in_order(&trials_of(one), &trials_of(other));
    let seed_places: BTreeMap<u64, usize> = seeds.iter().copied().zip(0..).collect();
    let trial_places: BTreeMap<&String, usize> = trials.iter().zip(0..).collect();
    let place = |run: &PlannedRun| (seed_places.get(&run.seed).copied(), trial_places.get(&run.trial).copied());
    let mut seen = BTreeSet::new();
    let both = one.runs.iter().chain(&other.runs).filter(|run| seen.insert(run.run_id.clone()));
    let mut runs: Vec<PlannedRun> = both.cloned().collect();
    runs.sort_by_cached_key(place);
    Plan { arms: in_order(&one.arms, &other.arms), seeds, runs, ..one.clone() }
}

/// Each once, in the order in which it is first met.
fn in_order<T: Clone + Ord>(one: &[T], other: &[T]) -> Vec<T> {
    let mut seen = BTreeSet::new();
    one.iter().chain(other).filter(|item| seen.insert((*item).clone())).cloned().collect()
}
