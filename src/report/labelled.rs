//! The study as a report shows it: its arms, axes and values called as `labels` says, and its arms ordered so.

use std::borrow::Cow;

use crate::record::StudyRecord;
use crate::spec::{Axis, Compare, Labels, Pair, Plan, PlannedRun, Target};

/// The study with labels in place of the arms' names. Numbers and ids do not depend on them: see [`crate::spec::Labels::name_of`].
pub fn labelled(study: &StudyRecord) -> Cow<'_, StudyRecord> {
    let Some(plan) = with_labels(&study.plan) else { return Cow::Borrowed(study) };
    let mut labelled = StudyRecord { plan, ..study.clone() };
    let StudyRecord { plan, runs, .. } = &mut labelled;
    runs.iter_mut().for_each(|run| rename(&mut run.planned, &plan.axes, &plan.labels));
    Cow::Owned(labelled)
}

/// The plan as [`labelled`] has it; `None` without labels. Labels by which arms, axes or values could be taken for each other are left
/// out: they can come only from a file that no sweep has made.
pub fn with_labels(plan: &Plan) -> Option<Plan> {
    if plan.labels.is_empty() {
        return None;
    }
    let (labels, _) = plan.labels.fitting(&plan.arms, &plan.axes);
    let shown = |arm: &String| labels.of(arm).to_owned();
    let compare = plan.compare.as_ref().map(|compare| Compare {
        baseline: shown(&compare.baseline),
        target: compare.target.clone().map(|target| match target {
            Target::Final { from, at } => Target::Final { from: shown(&from), at },
            stated @ Target::Value { .. } => stated,
        }),
        pairs: compare.pairs.iter().map(|pair| Pair { arm: shown(&pair.arm), against: shown(&pair.against) }).collect(),
        ..compare.clone()
    });
    let arms = labels.ordered(&plan.arms).iter().map(shown).collect();
    let mut shown = Plan { compare, arms, ..plan.clone() };
    shown.runs.iter_mut().for_each(|run| rename(run, &plan.axes, &labels));
    shown.labels = labels;
    Some(shown)
}

fn rename(run: &mut PlannedRun, axes: &[Axis], labels: &Labels) {
    // Whoever imports runs may call their trials otherwise.
    run.trial = match run.trial == Labels::default().trial(&run.arm, axes, &run.point) {
        true => labels.trial(&run.arm, axes, &run.point),
        false => renamed(&run.trial, &run.arm, labels.of(&run.arm)),
    };
    run.arm = labels.of(&run.arm).to_owned();
}

/// The trial of a run of [`labelled`] by the names of arm, axes and values, as records have it. `plan`: the labelled one.
pub fn recorded_trial(plan: &Plan, run: &PlannedRun) -> String {
    let (labels, arm) = (&plan.labels, plan.labels.name_of(&run.arm));
    match run.trial == labels.trial(arm, &plan.axes, &run.point) {
        true => Labels::default().trial(arm, &plan.axes, &run.point),
        false => renamed(&run.trial, &run.arm, arm),
    }
}

/// A trial begins with its arm.
fn renamed(trial: &str, arm: &str, other: &str) -> String {
    trial.strip_prefix(arm).map_or_else(|| trial.to_owned(), |rest| format!("{other}{rest}"))
}
