//! `plan.json`: the plan frozen before the first run starts, and every later change to it.

use serde::{Deserialize, Serialize};

use super::folder::{read_json, write_json};
use super::{RecordError, SweepFolder};
use crate::spec::{PLAN_VERSION, Plan, PlannedRun};

/// What `plan.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanFile {
    /// [`PLAN_VERSION`] when it was written.
    pub version: u32,
    /// The program that wrote it, with its version.
    pub program: String,
    /// RFC 3339, UTC.
    pub planned_at: String,
    /// The sweep's file and what was set beside it, as on the command line after `speedlab run`.
    pub sweep_arguments: String,
    pub plan: Plan,
    /// What was changed after the plan was first frozen, oldest first.
    pub revisions: Vec<Revision>,
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
    /// Whether it touches the answer (`compare`, or runs taken out): a target chosen after seeing results is no fair target.
    pub changes_the_answer: bool,
}

impl PlanFile {
    pub fn read(folder: &SweepFolder) -> Result<Option<Self>, RecordError> {
        let path = folder.plan_file();
        if !path.exists() {
            return Ok(None);
        }
        read_json(&path, PLAN_VERSION).map(Some)
    }

    /// Freezes `plan`. If another plan is frozen already, it is replaced and what changed is added to `revisions`.
    pub fn freeze(
        folder: &SweepFolder,
        plan: &Plan,
        program: &str,
        now: &str,
        sweep_arguments: &str,
    ) -> Result<Self, RecordError> {
        let file = match Self::read(folder)? {
            Some(earlier) if earlier.plan == *plan => return Ok(earlier),
            Some(earlier) => earlier.revised(folder, plan, now)?,
            None => Self {
                version: PLAN_VERSION,
                program: program.to_owned(),
                planned_at: now.to_owned(),
                sweep_arguments: sweep_arguments.to_owned(),
                plan: plan.clone(),
                revisions: vec![],
            },
        };
        write_json(&folder.plan_file(), &file)?;
        Ok(file)
    }

    fn revised(mut self, folder: &SweepFolder, plan: &Plan, now: &str) -> Result<Self, RecordError> {
        let mut runs_ended_before = 0;
        for run in &self.plan.runs {
            runs_ended_before += usize::from(folder.run(&run.run_id).read_done()?.is_some());
        }
        let changes = changes(&self.plan, plan);
        let is_kept = |run: &PlannedRun| plan.runs.iter().any(|other| other.run_id == run.run_id);
        let changes_the_answer = self.plan.compare != plan.compare || !self.plan.runs.iter().all(is_kept);
        self.revisions.push(Revision { changed_at: now.to_owned(), changes, runs_ended_before, changes_the_answer });
        self.plan = plan.clone();
        Ok(self)
    }
}

/// What differs between two plans, in sentences.
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
    if before.question != after.question {
        changes.push(format!("the question was \"{}\"", before.question));
    }
    if changes.is_empty() {
        changes.push("names or order of arms, axes or runs changed".to_owned());
    }
    changes
}
