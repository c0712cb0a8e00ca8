//! Seeds that are added to a study until it is decided: at looks that its frozen plan announces.

use std::collections::BTreeSet;

use super::{Observer, OpenStudy, StudyError};
use crate::record::{PlanFile, StudyRecord, SweepFolder};
use crate::report::{Comparison, look_words, until_decided};
use crate::spec::{Plan, PlannedRun, RunId, RunSpec, UntilDecided, is_part, whole_points};

/// Fewer seeds say too little of their spread to be looked at.
pub const FEWEST_SEEDS: usize = 3;
const MOST_SEEDS: usize = 100;

/// Why no seed was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoRound {
    /// Runs of the last round have not ended.
    NotThereYet,
    /// No comparison is open.
    Decided,
    /// The rule has no more seeds.
    NoMoreSeeds,
    /// So many runs more are more than there is time for.
    TooLong { runs: usize },
}

/// The plan with the rule, and the runs that it has asked for so far: those frozen or recorded. What it asks for next is for
/// [`OpenStudy::next_round`] to add. `most_seeds`: as asked for now; otherwise the rule of the frozen plan holds, if it has one.
pub fn with_rule(plan: Plan, folder: &SweepFolder, most_seeds: Option<usize>) -> Result<Plan, StudyError> {
    with_rule_of(plan, folder, PlanFile::read(folder)?.as_ref(), most_seeds)
}

/// The same, where the frozen plan has been read already.
pub fn with_rule_of(
    plan: Plan,
    folder: &SweepFolder,
    frozen: Option<&PlanFile>,
    most_seeds: Option<usize>,
) -> Result<Plan, StudyError> {
    let known = frozen.and_then(|file| file.plan.until_decided.as_ref());
    let (seeds, looks) = match (most_seeds, known) {
        (Some(most), _) => {
            let first = plan.seeds.len().max(FEWEST_SEEDS);
            if most < first {
                return Err(StudyError::TooFewSeeds { most, first });
            }
            if most > MOST_SEEDS {
                return Err(StudyError::TooManySeeds { most, limit: MOST_SEEDS });
            }
            (more_seeds(&plan.seeds, most), (first..=most).collect())
        }
        (None, Some(rule)) => (rule.seeds.clone(), rule.looks.clone()),
        (None, None) => return Ok(plan),
    };
    let mut plan = first_round(plan, seeds, looks, known)?;
    let is_known = |run: &PlannedRun| {
        let is_frozen = |file: &PlanFile| file.plan.runs.iter().any(|other| other.run_id == run.run_id);
        frozen.is_some_and(is_frozen) || folder.run(&run.run_id).has_ended()
    };
    let mut file = PlanFile::unfrozen(plan.clone());
    loop {
        match next_round(&Comparison::of(&StudyRecord::of(folder, file.clone())?)) {
            Ok(grown) if grown.runs[plan.runs.len()..].iter().all(is_known) => plan = grown,
            Ok(_) | Err(_) => return Ok(plan),
        }
        file.plan = plan.clone();
    }
}

/// Those given, then the least that are larger.
fn more_seeds(seeds: &[u64], count: usize) -> Vec<u64> {
    let next = seeds.iter().max().map_or(0, |last| last.saturating_add(1));
    seeds.iter().copied().chain(next..).take(count).collect()
}

/// `known`: the rule that is frozen already; its levels stay what they are where nothing else of it changes.
fn first_round(
    plan: Plan,
    seeds: Vec<u64>,
    looks: Vec<usize>,
    known: Option<&UntilDecided>,
) -> Result<Plan, StudyError> {
    let comparisons = comparisons(&plan).ok_or(StudyError::NothingToDecide)?;
    let mut trials: Vec<&PlannedRun> = Vec::new();
    let mut names = BTreeSet::new();
    for run in &plan.runs {
        if names.insert(&run.trial) {
            trials.push(run);
        }
    }
    if trials.len() * plan.seeds.len() != plan.runs.len() {
        return Err(StudyError::SeedsDiffer);
    }
    let first = &seeds[..looks[0]];
    let runs = first.iter().flat_map(|&seed| trials.iter().map(move |trial| with_seed(trial, seed))).collect();
    let first = first.to_vec();
    let is_same = |rule: &&UntilDecided| rule.seeds == seeds && rule.looks == looks && rule.levels.len() == comparisons;
    let rule = known.filter(is_same).cloned().unwrap_or_else(|| until_decided(seeds, looks, comparisons));
    Ok(Plan { seeds: first, runs, until_decided: Some(rule), ..plan })
}

/// How many share a correction, at most; `None` where nothing is compared.
pub(super) fn comparisons(plan: &Plan) -> Option<usize> {
    let compare = plan.compare.as_ref()?;
    let points = whole_points(plan.runs.iter().map(|run| &run.point));
    let with_baseline: BTreeSet<&str> =
        plan.runs.iter().filter(|run| run.arm != compare.baseline).map(|run| run.trial.as_str()).collect();
    (!with_baseline.is_empty()).then(|| with_baseline.len().max(points.len() * compare.pairs.len()))
}

fn with_seed(trial: &PlannedRun, seed: u64) -> PlannedRun {
    let spec = RunSpec { seed, ..trial.spec.clone() };
    PlannedRun { run_id: RunId::of(&spec), seed, spec, ..trial.clone() }
}

/// The plan with the runs of the next look.
fn next_round(comparison: &Comparison) -> Result<Plan, NoRound> {
    let record = comparison.study;
    let Some(rule) = &record.plan.until_decided else { return Err(NoRound::Decided) };
    let looks = comparison.looks.as_deref().unwrap_or_default();
    let Some(last) = looks.last() else { return Err(NoRound::NotThereYet) };
    if last.open_arms.is_empty() {
        return Err(NoRound::Decided);
    }
    if looks.len() == rule.looks.len() {
        return Err(NoRound::NoMoreSeeds);
    }
    let seeds = rule.new_seeds(looks.len());
    if record.plan.runs.iter().any(|run| seeds.contains(&run.seed)) {
        return Err(NoRound::NotThereYet);
    }
    let is_open = |run: &&PlannedRun| {
        let is_at = |point: usize| is_part(&run.point, comparison.points[point].point);
        last.open_arms.iter().any(|(point, arm)| *arm == run.arm && is_at(*point))
    };
    let first = rule.seeds[0];
    let trials: Vec<&PlannedRun> = record.plan.runs.iter().filter(|run| run.seed == first).filter(is_open).collect();
    let mut plan = record.plan.clone();
    plan.seeds.extend(seeds);
    plan.runs.extend(seeds.iter().flat_map(|&seed| trials.iter().map(move |trial| with_seed(trial, seed))));
    Ok(plan)
}

impl OpenStudy {
    /// Looks at what is recorded, and adds the runs of the next look to the frozen plan if the rule asks for them and there is
    /// time for so many (`is_affordable`, told too how many seconds a run has taken so far).
    pub fn next_round(
        &mut self,
        observer: &mut dyn Observer,
        is_affordable: impl FnOnce(usize, f64) -> bool,
    ) -> Result<Result<(), NoRound>, StudyError> {
        if self.study.plan.until_decided.is_none() {
            return Ok(Err(NoRound::Decided));
        }
        let record = StudyRecord::read(&self.folder)?;
        let comparison = Comparison::of(&record);
        if let Some(sentence) = look_words(&comparison).last() {
            observer.note(sentence);
        }
        let plan = match next_round(&comparison) {
            Ok(plan) => plan,
            Err(none) => return Ok(Err(none)),
        };
        let runs = plan.runs.len() - record.plan.runs.len();
        if !is_affordable(runs, seconds_each(&record)) {
            return Ok(Err(NoRound::TooLong { runs }));
        }
        self.freeze(plan)?;
        Ok(Ok(()))
    }
}

/// The mean of what the runs so far took from start to end.
fn seconds_each(record: &StudyRecord) -> f64 {
    let seconds: Vec<f64> = record.runs.iter().filter_map(|run| run.rows.last()).map(|row| row.wall_seconds).collect();
    seconds.iter().sum::<f64>() / seconds.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::plan::plan_text;

    fn plan(text: &str) -> Plan {
        plan_text(Path::new("sweep.yaml"), text, &[]).unwrap()
    }

    const SWEEP: &str =
        "compare: { baseline: baseline }\narms: { baseline: {}, other: { noise: { kind: immiscible } } }\n";

    #[test]
    fn the_first_look_is_after_three_seeds_or_those_of_the_sweep() {
        let folder = tempfile::tempdir().unwrap();
        let folder = SweepFolder::new(folder.path(), "sweep");
        let of = |seeds: &str, most| with_rule(plan(&format!("{SWEEP}seeds: {seeds}\n")), &folder, most);
        let announced = of("1", Some(5)).unwrap();
        assert_eq!((announced.seeds.as_slice(), announced.runs.len()), ([0, 1, 2].as_slice(), 6));
        let rule = announced.until_decided.unwrap();
        assert_eq!((rule.seeds.as_slice(), rule.looks.as_slice()), ([0, 1, 2, 3, 4].as_slice(), [3, 4, 5].as_slice()));
        assert_eq!(rule.levels.len(), 1);
        let rule = of("[9, 4, 2, 7]", Some(6)).unwrap().until_decided.unwrap();
        assert_eq!((rule.seeds, rule.looks), (vec![9, 4, 2, 7, 10, 11], vec![4, 5, 6]));
        // The runs of the sweep's own seeds are those it has without the rule.
        let (with, without) = (of("4", Some(9)).unwrap(), of("4", None).unwrap());
        assert_eq!((with.runs, without.until_decided), (without.runs, None));
    }

    #[test]
    fn what_cannot_be_decided_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let folder = SweepFolder::new(folder.path(), "sweep");
        let refused = |text: &str, most| with_rule(plan(text), &folder, Some(most)).unwrap_err().to_string();
        assert!(refused("seeds: 3\n", 5).contains("compare"), "{}", refused("seeds: 3\n", 5));
        assert!(refused("compare: { baseline: baseline }\n", 5).contains("arm"));
        assert!(refused(&format!("{SWEEP}seeds: 6\n"), 5).contains("--max-seeds 5"));
        let uneven = format!("{SWEEP}exclude: [{{ arm: other, seed: 2 }}]\n");
        assert!(refused(&uneven, 5).contains("exclude"));
    }
}
