//! Several studies in one report, where they measured the same thing in the same way.
//!
//! The records stay where they are: what is made is a study in memory whose arms are called `study/arm`, for the report to read.

mod copies;
mod draws;
mod error;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

pub use error::CompareError;

use self::draws::Draws;
use crate::record::StudyRecord;
use crate::spec::{
    ArmLabel, Compare, IMPORTED, Labels, MEASURED_BY_TRAINER, Metric, Pair, Plan, PlannedRun, RunSpec, Target,
};

/// The studies as one, and what a person should know of them.
pub struct Compared {
    pub study: StudyRecord,
    pub notes: Vec<String>,
}

/// Seeds of studies that share no draws are told apart by so much.
const APART: u64 = 1_000_000_000;

/// Joins studies by the names that they are to have. `baseline`: `study/arm`. `command`: the command that made it.
pub fn compare(studies: &[(String, StudyRecord)], baseline: &str, command: &str) -> Result<Compared, CompareError> {
    let names: Vec<String> = studies
        .iter()
        .flat_map(|(name, study)| study.plan.arms.iter().map(move |arm| format!("{name}/{arm}")))
        .collect();
    if !names.iter().any(|name| name == baseline) {
        let arms = crate::spec::quoted_list(names.iter().map(String::as_str));
        return Err(CompareError::NoBaseline { given: baseline.to_owned(), arms });
    }
    let is_base = |name: &str| baseline.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
    let base = studies.iter().position(|(name, _)| is_base(name)).expect("an arm of it is the baseline");
    let (base_name, base_study) = &studies[base];
    let compare = base_study.plan.compare.as_ref();
    let compare = compare.ok_or_else(|| CompareError::NothingCompared { study: base_name.clone() })?;
    for (name, study) in studies.iter().filter(|(name, _)| name != base_name) {
        if let Some((what, one, other)) = difference(base_study, study, compare.metric) {
            return Err(CompareError::Differs {
                what,
                one_study: base_name.clone(),
                other_study: name.clone(),
                one,
                other,
            });
        }
    }
    let base_draws = Draws::of(base_study);
    let mut notes = copies::shared_records(studies)?;
    let seeds_of = |study: &StudyRecord| study.plan.runs.iter().map(|run| run.seed).collect::<BTreeSet<u64>>();
    let base_seeds = seeds_of(base_study);
    let mut joined = StudyRecord {
        plan: Plan {
            name: studies.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join("+"),
            arms: names,
            seeds: Vec::new(),
            runs: Vec::new(),
            until_decided: None,
            compare: Some(renamed(compare, base_name, baseline, studies)),
            labels: labels(studies),
            ..base_study.plan.clone()
        },
        sweep_arguments: command.to_owned(),
        revisions: studies.iter().flat_map(|(_, study)| study.revisions.clone()).collect(),
        held: None,
        runs: Vec::new(),
        folder: base_study.folder.clone(),
        place: None,
    };
    for (number, (name, study)) in studies.iter().enumerate() {
        let shares = number == base || Draws::of(study).is_some_and(|draws| Some(&draws) == base_draws.as_ref());
        let apart = if shares { 0 } else { APART * (number as u64 + 1) };
        notes.extend(study_notes(name, study, compare.metric));
        let shares_seeds = !base_seeds.is_disjoint(&seeds_of(study));
        notes.push(match (number == base, shares) {
            (true, _) => format!("`{name}` has the baseline"),
            (_, true) if !shares_seeds => format!(
                "`{name}` is not paired with `{base_name}`: they share no seed, so arms are compared by Welch's t"
            ),
            (_, true) => format!("`{name}` is paired with `{base_name}` by seed: Speedlab drew the same for both"),
            (_, false) => format!(
                "`{name}` is not paired with `{base_name}`: they share no draws, so its seeds are shown with {apart} \
                 added, and arms are compared by Welch's t"
            ),
        });
        for run in &study.runs {
            let mut run = run.clone();
            run.planned = PlannedRun {
                arm: format!("{name}/{}", run.planned.arm),
                trial: format!("{name}/{}", run.planned.trial),
                seed: run.planned.seed.saturating_add(apart),
                ..run.planned
            };
            joined.plan.runs.push(run.planned.clone());
            joined.runs.push(run);
        }
    }
    let seeds: BTreeSet<u64> = joined.plan.runs.iter().map(|run| run.seed).collect();
    joined.plan.seeds = seeds.into_iter().collect();
    joined.plan.question = question(studies, &notes);
    Ok(Compared { study: joined, notes })
}

/// `compare` of the baseline's study with the new names of arms; pairs of every study.
fn renamed(compare: &Compare, base_name: &str, baseline: &str, studies: &[(String, StudyRecord)]) -> Compare {
    let target = compare.target.clone().map(|target| match target {
        Target::Final { from, at } => Target::Final { from: format!("{base_name}/{from}"), at },
        value @ Target::Value { .. } => value,
    });
    let pairs = studies.iter().flat_map(|(name, study)| {
        let pairs = study.plan.compare.iter().flat_map(|compare| &compare.pairs);
        pairs.map(move |Pair { arm, against }| Pair {
            arm: format!("{name}/{arm}"),
            against: format!("{name}/{against}"),
        })
    });
    Compare { baseline: baseline.to_owned(), target, pairs: pairs.collect(), ..compare.clone() }
}

/// What the studies call their arms, with the study before it; and axes and values, by the first study that calls them something.
fn labels(studies: &[(String, StudyRecord)]) -> Labels {
    let of_study = |(name, study): &(String, StudyRecord)| {
        let of_arm = |(arm, label): (&String, &ArmLabel)| {
            let shown = label.label.as_ref().map(|label| format!("{name}/{label}"));
            (format!("{name}/{arm}"), ArmLabel { label: shown, color: label.color })
        };
        study.plan.labels.arms.iter().map(of_arm).collect::<Vec<_>>()
    };
    let mut axes = BTreeMap::new();
    for (path, label) in studies.iter().flat_map(|(_, study)| &study.plan.labels.axes) {
        axes.entry(path.clone()).or_insert_with(|| label.clone());
    }
    Labels { arms: studies.iter().flat_map(of_study).collect(), order: vec![], axes }
}

/// What differs that must not: its name, and what each study has.
fn difference(one: &StudyRecord, other: &StudyRecord, metric: Metric) -> Option<(&'static str, String, String)> {
    let differs = |what, one: String, other: String| (one != other).then_some((what, one, other));
    let metrics =
        |study: &StudyRecord| study.plan.compare.as_ref().map_or(metric, |compare| compare.metric).name().to_owned();
    let axes = |study: &StudyRecord| match study.plan.axes.is_empty() {
        true => "none".to_owned(),
        false => json!(study.plan.axes).to_string(),
    };
    let data = |study: &StudyRecord| each_once(study, |spec| json!(spec.data).to_string());
    // What an import freezes there is a default that nobody asked for.
    let of_data = match one.plan.is_imported() || other.plan.is_imported() {
        true => None,
        false => differs("data", data(one), data(other)),
    };
    of_data
        .or_else(|| differs("metric", metrics(one), metrics(other)))
        .or_else(|| differs("grid", axes(one), axes(other)))
        .or_else(|| differing_protocol(one, other, metric))
}

/// What runs' settings say, each once.
fn each_once(study: &StudyRecord, of: impl Fn(&RunSpec) -> String) -> String {
    let found: BTreeSet<String> = study.plan.runs.iter().map(|run| of(&run.spec)).collect();
    found.into_iter().collect::<Vec<_>>().join(", ")
}

/// At a grid point, how the metric was measured.
fn differing_protocol(
    one: &StudyRecord,
    other: &StudyRecord,
    metric: Metric,
) -> Option<(&'static str, String, String)> {
    let (one, other) = (protocols(one, metric), protocols(other, metric));
    let words = |found: Option<&BTreeSet<String>>| match found {
        Some(found) => found.iter().cloned().collect::<Vec<_>>().join(", "),
        None => "nothing measured".to_owned(),
    };
    let points: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let differing = points.into_iter().find(|point| one.get(*point) != other.get(*point))?;
    Some(("protocol", words(one.get(differing)), words(other.get(differing))))
}

/// By grid point: the protocols of a metric.
fn protocols(study: &StudyRecord, metric: Metric) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for run in &study.runs {
        // The first is what is compared; those of `evaluate.also` are further ones.
        for (_, protocol) in run.rows.names().filter(|(name, _)| *name == metric.name()).take(1) {
            found.entry(json!(run.planned.point).to_string()).or_default().insert(protocol.to_owned());
        }
    }
    found
}

/// What is to be known of a study beside how it is paired.
fn study_notes(name: &str, study: &StudyRecord, metric: Metric) -> Vec<String> {
    let mut notes = Vec::new();
    if study.plan.until_decided.is_some() {
        notes.push(format!("`{name}` had seeds added until it was decided; here they count as fixed, so intervals are a little too narrow"));
    }
    if study.plan.is_imported() {
        notes.push(format!(
            "`{name}` was imported: what data it was trained on is not known, and that it is the same as elsewhere is not checked"
        ));
    }
    let is_foreign = |protocol: &String| protocol.starts_with(IMPORTED) || protocol.starts_with(MEASURED_BY_TRAINER);
    if protocols(study, metric).values().flatten().any(is_foreign) {
        notes
            .push(format!("`{name}` was measured as its source says: that it is the same as elsewhere is not checked"));
    }
    notes
}

/// Stands first on the page.
fn question(studies: &[(String, StudyRecord)], notes: &[String]) -> String {
    let asked = studies.iter().map(|(name, study)| match study.plan.question.trim() {
        "" => format!("`{name}`"),
        question => format!("`{name}` ({question})"),
    });
    format!(
        "Compared from {} studies, each trained on its own: {}. Arms are called study/arm. {}.",
        studies.len(),
        asked.collect::<Vec<_>>().join(", "),
        notes.join(". ")
    )
}
