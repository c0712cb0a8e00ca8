//! `plan.json`: the plan frozen before the first run starts, and every later change to it.

use serde::{Deserialize, Serialize};

use super::files::{read_json, write_json};
use super::{RecordError, SweepFolder};
use crate::spec::{Labels, Plan, PlannedRun, UntilDecided, is_label};

/// The version of `plan.json`. A newer one is refused, an older one is read.
///
/// 2: it carries a checksum. 3: it may hold a rule by which seeds are added.
const PLAN_FILE_VERSION: u32 = 3;
/// The first version with a checksum.
const SUMMED_SINCE: u32 = 2;

/// The contents of `plan.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanFile {
    /// The format's version when it was written.
    pub version: u32,
    /// The program that wrote it, with its version.
    pub program: String,
    /// RFC 3339, UTC.
    pub planned_at: String,
    /// The sweep's file and what was set beside it, as on the command line after `speedlab run`.
    pub sweep_arguments: String,
    pub plan: Plan,
    /// The changes after the plan was first frozen, oldest first.
    pub revisions: Vec<Revision>,
    /// The programs that started runs, and where, oldest first: an entry whenever that differs from the time before.
    /// Plans of an older program have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<Session>,
    /// How long devices were held for runs, over all rounds that came to their end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldTime>,
}

/// How long devices were held for runs, and used. Places: see [`crate::schedule::Slot`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeldTime {
    /// From the first start to the last end, in seconds.
    pub seconds: f64,
    /// The same, summed over places for runs.
    pub place_seconds: f64,
    /// Of these, in which a place had the process of a run.
    pub busy_seconds: f64,
    /// How often such a process was started.
    pub starts: usize,
}

impl HeldTime {
    /// Adds what was held at another time or elsewhere.
    pub fn add(&mut self, other: Self) {
        self.seconds += other.seconds;
        self.place_seconds += other.place_seconds;
        self.busy_seconds += other.busy_seconds;
        self.starts += other.starts;
    }
}

/// Which program started runs, and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// RFC 3339, UTC.
    pub started_at: String,
    /// The program and its version.
    pub program: String,
    /// The first digits of the program file's SHA-256.
    pub build: String,
    pub host: String,
    /// The devices as on the command line.
    pub devices: Vec<String>,
}

/// A change to a plan that was already frozen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// RFC 3339, UTC.
    pub changed_at: String,
    /// One sentence a change.
    pub changes: Vec<String>,
    /// Runs that had ended when it was changed.
    pub runs_ended_before: usize,
    /// Whether it touches the answer (`compare`, the rule for seeds, or runs taken out): a target chosen after seeing results is no fair target.
    pub changes_the_answer: bool,
}

impl PlanFile {
    pub fn read(folder: &SweepFolder) -> Result<Option<Self>, RecordError> {
        let path = folder.plan_file();
        if !path.exists() {
            return Ok(None);
        }
        let file: Self = read_json(&path, PLAN_FILE_VERSION, SUMMED_SINCE)?;
        match wrong_name(&file.plan) {
            Some(reason) => Err(RecordError::Damaged { path, reason }),
            None => Ok(Some(file)),
        }
    }

    /// The contents for a plan that is in no file.
    pub fn unfrozen(plan: Plan) -> Self {
        Self {
            version: PLAN_FILE_VERSION,
            program: String::new(),
            planned_at: String::new(),
            sweep_arguments: String::new(),
            plan,
            revisions: vec![],
            sessions: vec![],
            held: None,
        }
    }

    /// Whether `plan` is the frozen one, or that with runs that its rule for seeds announces.
    pub fn is_of(&self, plan: &Plan) -> bool {
        self.plan.asks_as(plan) || announces(&self.plan, plan)
    }

    /// Freezes `plan`. If another plan is frozen already, it is replaced and what changed is added to `revisions`: nothing, if only
    /// the runs came that the frozen plan's own rule announces.
    pub fn freeze(
        folder: &SweepFolder,
        plan: &Plan,
        program: &str,
        now: &str,
        sweep_arguments: &str,
    ) -> Result<Self, RecordError> {
        let file = match Self::read(folder)? {
            Some(earlier) if earlier.plan == *plan => return Ok(earlier),
            // What arms are called is no part of what was frozen.
            Some(earlier) if earlier.plan.asks_as(plan) => {
                Self { plan: Plan { labels: plan.labels.clone(), ..earlier.plan }, ..earlier }
            }
            Some(earlier) if announces(&earlier.plan, plan) => {
                Self { version: PLAN_FILE_VERSION, plan: plan.clone(), ..earlier }
            }
            Some(earlier) => Self { sweep_arguments: sweep_arguments.to_owned(), ..earlier.revised(folder, plan, now) },
            None => Self {
                program: program.to_owned(),
                planned_at: now.to_owned(),
                sweep_arguments: sweep_arguments.to_owned(),
                ..Self::unfrozen(plan.clone())
            },
        };
        write_json(&folder.plan_file(), &file)?;
        Ok(file)
    }

    /// Puts other labels into the plan that is frozen in `folder`, as [`Self::freeze`] does; nothing else changes. Whether they are there now:
    /// not while another process has the sweep, which writes the file, too.
    pub fn keep_labels(folder: &SweepFolder, labels: &Labels) -> Result<bool, RecordError> {
        if Self::read(folder)?.is_none_or(|file| file.plan.labels == *labels) {
            return Ok(true);
        }
        let _lock = match folder.lock() {
            Err(RecordError::Held { .. }) => return Ok(false),
            locked => locked?,
        };
        // Another process may have written it since.
        if let Some(mut file) = Self::read(folder)? {
            file.plan.labels = labels.clone();
            file.write(folder)?;
        }
        Ok(true)
    }

    /// Replaces the file in `folder`.
    pub fn write(&self, folder: &SweepFolder) -> Result<(), RecordError> {
        write_json(&folder.plan_file(), self)
    }

    /// Takes note of a session that begins, if it differs from the last.
    pub fn begin_session(&mut self, folder: &SweepFolder, session: Session) -> Result<(), RecordError> {
        let same = |earlier: &Session| Session { started_at: session.started_at.clone(), ..earlier.clone() } == session;
        if self.sessions.last().is_some_and(same) {
            return Ok(());
        }
        self.sessions.push(session);
        self.version = PLAN_FILE_VERSION;
        write_json(&folder.plan_file(), self)
    }

    /// Adds the time of a round of runs that has come to its end.
    pub fn add_held(&mut self, folder: &SweepFolder, round: HeldTime) -> Result<(), RecordError> {
        self.held.get_or_insert_default().add(round);
        self.version = PLAN_FILE_VERSION;
        write_json(&folder.plan_file(), self)
    }

    fn revised(mut self, folder: &SweepFolder, plan: &Plan, now: &str) -> Self {
        let runs_ended_before = self.plan.runs.iter().filter(|run| folder.run(&run.run_id).has_ended()).count();
        let changes = changes(&self.plan, plan);
        let is_kept = |run: &PlannedRun| plan.runs.iter().any(|other| other.run_id == run.run_id);
        let changes_the_answer = self.plan.compare != plan.compare
            || self.plan.until_decided != plan.until_decided
            || !self.plan.runs.iter().all(is_kept);
        self.revisions.push(Revision { changed_at: now.to_owned(), changes, runs_ended_before, changes_the_answer });
        self.plan = plan.clone();
        self.version = PLAN_FILE_VERSION;
        self
    }
}

/// A name that would lead out of the folder that is called by it: no sweep of ours has one, but a file of unknown origin may.
fn wrong_name(plan: &Plan) -> Option<String> {
    let is_name = |name: &str| !name.contains('\0') && !name.trim_matches('.').is_empty();
    let is_of_folder = |name: &str| is_name(name) && !name.contains('/');
    let wrong = |what: &str, name: &str| Some(format!("the {what} {name:?} is no name that a folder can have"));
    if !is_of_folder(&plan.name) {
        return wrong("sweep's name", &plan.name);
    }
    let arms = plan.arms.iter().chain(plan.runs.iter().map(|run| &run.arm));
    if let Some(arm) = arms.into_iter().find(|arm| !is_of_folder(arm)) {
        return wrong("arm", arm);
    }
    let of_arms = plan.labels.arms.values().filter_map(|label| label.label.as_ref());
    let of_axes = plan.labels.axes.values().flat_map(|label| label.label.iter().chain(label.values.values()));
    let labels = of_arms.chain(of_axes);
    if let Some(label) = labels.into_iter().find(|label| !is_label(label)) {
        return Some(format!("the label {label:?} is no line of 1 to 80 characters"));
    }
    // A trial names values of axes too, which may be paths.
    let trial = plan.runs.iter().map(|run| &run.trial).find(|trial| !is_name(trial))?;
    wrong("trial", trial)
}

/// Whether `after` is `before` with runs that its rule for seeds announces.
fn announces(before: &Plan, after: &Plan) -> bool {
    let known = (&before.seeds, &before.runs);
    let is_longer = after.seeds.starts_with(known.0) && after.runs.starts_with(known.1);
    let cut = |plan: &Plan| Plan { seeds: vec![], runs: vec![], ..plan.clone() };
    before.until_decided.is_some() && is_longer && cut(before).asks_as(&cut(after))
}

/// The differences between two plans, in sentences.
fn changes(before: &Plan, after: &Plan) -> Vec<String> {
    let mut changes = Vec::new();
    let ids = |plan: &Plan| plan.runs.iter().map(|run| run.run_id.clone()).collect::<std::collections::BTreeSet<_>>();
    let (ids_before, ids_after) = (ids(before), ids(after));
    let added = ids_after.difference(&ids_before).count();
    let removed = ids_before.difference(&ids_after).count();
    if added > 0 {
        changes.push(format!("{added} runs were added"));
    }
    if removed > 0 {
        changes.push(format!("{removed} runs are no longer planned; what they recorded is kept"));
    }
    if before.compare != after.compare {
        let json = |plan: &Plan| serde_json::to_string(&plan.compare).expect("plain data");
        changes.push(format!("`compare` was {} and is {}", json(before), json(after)));
    }
    if before.until_decided != after.until_decided {
        let words = |plan: &Plan| match &plan.until_decided {
            None => "fixed".to_owned(),
            Some(UntilDecided { seeds, looks, levels }) => format!(
                "added until the study is decided ({} to {}, {} looks at level {:.4} for {} comparisons)",
                looks.first().copied().unwrap_or(0),
                seeds.len(),
                looks.len(),
                levels.last().copied().unwrap_or(0.0),
                levels.len()
            ),
        };
        changes.push(format!("seeds were {} and are {}", words(before), words(after)));
    }
    if before.exclusive != after.exclusive {
        changes.push(format!("`exclusive` was {} and is {}", before.exclusive, after.exclusive));
    }
    if before.question != after.question {
        changes.push(format!("the question was \"{}\"", before.question));
    }
    if changes.is_empty() {
        changes.push("names or order of arms, axes or runs changed".to_owned());
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{ArmLabel, AxisLabel, RunSpec};

    #[test]
    fn other_labels_are_taken_over_without_a_revision() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = SweepFolder { path: temporary.path().to_owned() };
        let plan = Plan::of_test("x", vec![PlannedRun::of_baseline(RunSpec::default())]);
        let first = PlanFile::freeze(&folder, &plan, "speedlab 1", "then", "x.yaml").unwrap();
        let label = ArmLabel { label: Some("Uniform".into()), color: None };
        let labels = Labels { arms: [("baseline".to_owned(), label)].into(), ..Labels::default() };
        let labelled = Plan { labels, ..plan };
        assert!(first.is_of(&labelled));
        let second = PlanFile::freeze(&folder, &labelled, "speedlab 2", "now", "other.yaml").unwrap();
        assert_eq!(second, PlanFile { plan: labelled, ..first });
        assert_eq!(PlanFile::read(&folder).unwrap(), Some(second));
    }

    #[test]
    fn labels_are_kept_beside_what_is_frozen_unless_another_process_has_the_sweep() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = SweepFolder { path: temporary.path().to_owned() };
        let label = ArmLabel { label: Some("Uniform".into()), color: None };
        let labels = Labels { arms: [("baseline".to_owned(), label)].into(), ..Labels::default() };
        assert!(PlanFile::keep_labels(&folder, &labels).unwrap(), "nothing is frozen, and nothing is made");
        assert_eq!(PlanFile::read(&folder).unwrap(), None);
        let plan = Plan::of_test("x", vec![PlannedRun::of_baseline(RunSpec::default())]);
        let mut frozen = PlanFile::freeze(&folder, &plan, "speedlab 1", "then", "x.yaml").unwrap();
        frozen.add_held(&folder, HeldTime { seconds: 1.5, ..HeldTime::default() }).unwrap();
        let lock = folder.lock().unwrap();
        assert!(!PlanFile::keep_labels(&folder, &labels).unwrap());
        assert_eq!(PlanFile::read(&folder).unwrap().as_ref(), Some(&frozen));
        drop(lock);
        assert!(PlanFile::keep_labels(&folder, &labels).unwrap());
        frozen.plan.labels = labels;
        assert_eq!(PlanFile::read(&folder).unwrap(), Some(frozen));
    }

    #[test]
    fn a_name_that_leads_out_of_its_folder_is_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = SweepFolder { path: temporary.path().to_owned() };
        let run = PlannedRun { trial: "baseline data.path=/a/b".into(), ..PlannedRun::of_baseline(RunSpec::default()) };
        let good = Plan::of_test("a b.c", vec![run.clone()]);
        let read = |plan: Plan| {
            PlanFile::unfrozen(plan).write(&folder).unwrap();
            PlanFile::read(&folder).map(Option::unwrap).map_err(|error| error.to_string())
        };
        assert_eq!(read(good.clone()).unwrap().plan, good);
        for name in ["../pwned/x", "..", "", "a/b", "a\0b"] {
            let error = read(Plan { name: name.into(), ..good.clone() }).unwrap_err();
            let words = format!("plan.json is damaged: the sweep's name {name:?} is no name that a folder can have");
            assert!(error.ends_with(&words), "{error}");
            assert!(read(Plan { arms: vec![name.into()], ..good.clone() }).unwrap_err().contains("the arm "));
        }
        let label = ArmLabel { label: Some("\u{1b}[31m".into()), color: None };
        let labels = Labels { arms: [("baseline".to_owned(), label)].into(), ..Labels::default() };
        assert!(read(Plan { labels, ..good.clone() }).unwrap_err().contains("is no line of 1 to 80 characters"));
        let label = AxisLabel { label: None, values: [("1".to_owned(), "a\nb".to_owned())].into() };
        let labels = Labels { axes: [("train.steps".to_owned(), label)].into(), ..Labels::default() };
        assert!(read(Plan { labels, ..good.clone() }).unwrap_err().contains("is no line of 1 to 80 characters"));
        let trial = PlannedRun { trial: "...".into(), ..run.clone() };
        assert!(read(Plan { runs: vec![trial], ..good.clone() }).unwrap_err().contains("the trial \"...\" is no name"));
        let arm = PlannedRun { arm: "../x".into(), ..run };
        assert!(read(Plan { runs: vec![arm], ..good }).unwrap_err().contains("the arm \"../x\" is no name"));
    }
}
