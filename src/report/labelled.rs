//! The study as a report shows it: its arms called and ordered as `labels` says.

use std::borrow::Cow;

use crate::record::StudyRecord;
use crate::spec::{Compare, Labels, Pair, Plan, PlannedRun, Target};

/// The study with labels in place of the arms' names. Numbers and ids do not depend on them: see [`crate::spec::Labels::name_of`].
/// Labels by which arms could be taken for each other are left out: they can come only from a file that no sweep has made.
pub fn labelled(study: &StudyRecord) -> Cow<'_, StudyRecord> {
    let plan = &study.plan;
    if plan.labels.is_empty() {
        return Cow::Borrowed(study);
    }
    let mut labels = plan.labels.clone();
    labels.arms.retain(|arm, _| plan.arms.contains(arm));
    if labels.clash(&plan.arms).is_some() {
        labels.arms.values_mut().for_each(|label| label.label = None);
    }
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
    let mut labelled = StudyRecord { plan: Plan { compare, arms, ..plan.clone() }, ..study.clone() };
    let planned = labelled.plan.runs.iter_mut().chain(labelled.runs.iter_mut().map(|run| &mut run.planned));
    planned.for_each(|run| {
        let shown = labels.of(&run.arm).to_owned();
        run.trial = renamed(&run.trial, &run.arm, &shown);
        run.arm = shown;
    });
    labelled.plan.labels = labels;
    Cow::Owned(labelled)
}

/// The trial of a run of [`labelled`] by the arm's name, as records have it.
pub fn recorded_trial(labels: &Labels, run: &PlannedRun) -> String {
    renamed(&run.trial, &run.arm, labels.name_of(&run.arm))
}

/// A trial begins with its arm.
fn renamed(trial: &str, arm: &str, other: &str) -> String {
    trial.strip_prefix(arm).map_or_else(|| trial.to_owned(), |rest| format!("{other}{rest}"))
}
