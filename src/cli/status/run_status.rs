//! What is known of one run: its record, and what the process that has the sweep says of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rayon::prelude::*;
use serde_json::json;

use super::super::progress::words::{measured, roughly};
use crate::cluster::LiveTask;
use crate::event::RunOutcome;
use crate::record::{LiveFile, LiveRun, LiveState, RecordError, RunRecord, RunState, SweepFolder, first_and_count};
use crate::spec::{Plan, PlannedRun, RunId};
use crate::study::TaskRuns;

pub(super) struct RunStatus {
    pub record: RunRecord,
    /// `None` if no process has the sweep, or it does not know the run.
    pub live: Option<LiveRun>,
    /// Whether some process has the run's folder.
    pub is_held: bool,
    pub log: PathBuf,
    /// The task of a cluster that has the run, and waits or runs.
    pub task: Option<LiveTask>,
}

impl RunStatus {
    /// Of every run, in the plan's order.
    pub fn read_all(folder: &SweepFolder, plan: &Plan, tasks: &[TaskRuns]) -> Result<Vec<Self>, RecordError> {
        let tasks = tasks.iter().flat_map(|(task, runs)| runs.iter().map(move |run| (run, task)));
        let tasks: BTreeMap<&RunId, &LiveTask> = tasks.collect();
        // Before the records: what they say of a run that has just ended is the newer.
        let live = LiveFile::read(folder)?;
        let live_runs = live.iter().flat_map(|live| &live.runs);
        let live_runs: BTreeMap<&RunId, &LiveRun> = live_runs.map(|run| (&run.run_id, run)).collect();
        let live_run = |planned: &PlannedRun| live_runs.get(&planned.run_id).map(|&run| run.clone());
        let read = |planned: &PlannedRun| {
            let task = tasks.get(&planned.run_id).map(|&task| task.clone());
            Self::read(folder, planned, live_run(planned), task)
        };
        plan.runs.par_iter().map(read).collect()
    }

    fn read(
        folder: &SweepFolder,
        planned: &PlannedRun,
        live: Option<LiveRun>,
        task: Option<LiveTask>,
    ) -> Result<Self, RecordError> {
        let run_folder = folder.current(&planned.run_id)?;
        let record = RunRecord::read_in(&run_folder, planned)?;
        let is_held = record.state == RunState::Unfinished && run_folder.is_held()?;
        Ok(Self { record, live, is_held, log: run_folder.log(), task })
    }

    /// (state, why) in words.
    pub fn describe(&self) -> (&'static str, String) {
        let live = self.live.as_ref();
        let live_state = live.map(|live| live.state);
        let live_words = |words: fn(&LiveRun) -> String| live.map(words).unwrap_or_default();
        match (&self.record.state, live_state, &self.record.last_outcome) {
            (RunState::Damaged(damage), ..) => ("damaged", first_and_count(damage)),
            (RunState::Ended(outcome), ..) if is_failure(outcome) => ("failed", outcome.in_words()),
            (RunState::Ended(outcome), ..) => ("done", outcome.in_words()),
            (_, Some(LiveState::Running), _) => ("running", live_words(doing_in_words)),
            (_, Some(LiveState::Waiting), _) => ("waiting", live_words(|live| live.detail.clone())),
            (state, ..) if let Some(task) = &self.task => match task.state.as_str() {
                "PENDING" => ("waiting", format!("{}: {}", task.words(), task.reason)),
                _ if *state == RunState::Waiting => ("waiting", format!("{}: starts", task.words())),
                _ => ("running", task.words()),
            },
            (RunState::Waiting, ..) => ("waiting", "not started".to_owned()),
            (RunState::Unfinished, ..) if self.is_held => ("running", String::new()),
            (RunState::Unfinished, _, Some(outcome)) => ("unfinished", outcome.in_words()),
            (RunState::Unfinished, _, None) => ("unfinished", "killed; goes on from its last checkpoint".to_owned()),
        }
    }

    /// How the run failed, unless it is running again.
    pub fn failure(&self) -> Option<&RunOutcome> {
        let outcome = match &self.record.state {
            RunState::Waiting | RunState::Damaged(_) => None,
            RunState::Unfinished => self.record.last_outcome.as_ref(),
            RunState::Ended(outcome) => Some(outcome),
        };
        outcome.filter(|outcome| is_failure(outcome) && self.describe().0 != "running")
    }

    /// Optimizer steps done.
    pub fn step(&self) -> u64 {
        let recorded = self.record.rows.last().map_or(0, |row| row.step);
        self.live.as_ref().and_then(|live| live.step).map_or(recorded, |step| step.max(recorded))
    }

    /// The device it runs on, else the one that its last attempt ran on, with its model.
    pub fn device(&self) -> Option<&str> {
        let live = self.live.as_ref().and_then(|live| live.device.as_deref());
        live.or_else(|| self.record.attempts.last().map(|started| started.device.as_str()))
    }

    pub fn to_json(&self) -> serde_json::Value {
        let Self { record, live, .. } = self;
        let (state, detail) = self.describe();
        let live = live.as_ref();
        let quality = live.and_then(|live| live.quality.as_ref());
        let quality = quality.map(|quality| json!({ "name": quality.name, "value": quality.value }));
        json!({
            "run_id": record.planned.run_id,
            "arm": record.planned.arm,
            "trial": record.planned.trial,
            "seed": record.planned.seed,
            "state": state,
            "detail": detail,
            "device": self.device(),
            "attempts": record.attempts.len(),
            "step": self.step(),
            "steps": record.planned.spec.train.steps,
            "phase": live.and_then(|live| live.phase.clone()),
            "loss": live.and_then(|live| live.loss),
            "quality": quality,
            "seconds_left": live.and_then(|live| live.seconds_left),
            "train_seconds": record.rows.last().map(|row| row.train_seconds),
            "wait_seconds": record.waiting.map(|waiting| waiting.wait_seconds),
            "device_utilization": record.device_utilization,
            "log": self.log.display().to_string(),
        })
    }
}

/// Whether there is a reason that a person wants to read.
pub(super) fn is_failure(outcome: &RunOutcome) -> bool {
    !matches!(outcome, RunOutcome::Completed | RunOutcome::ReachedTarget | RunOutcome::Interrupted { .. })
}

/// `training, loss 0.0312, fid 143.2, 2m 10s left`.
fn doing_in_words(live: &LiveRun) -> String {
    let mut words: Vec<String> = live.phase.iter().cloned().collect();
    words.extend(live.loss.map(|loss| format!("loss {}", measured(loss))));
    words.extend(live.quality.as_ref().map(|quality| format!("{} {}", quality.name, measured(quality.value))));
    words.extend(live.seconds_left.map(|left| format!("{} left", roughly(left))));
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::LiveQuality;
    use crate::spec::RunSpec;

    fn live(state: LiveState) -> LiveRun {
        LiveRun::new(RunId::of(&RunSpec::default()), state, "waits for a free slot: next", 2000)
    }

    fn status(state: RunState, last_outcome: Option<RunOutcome>, live: Option<LiveRun>) -> RunStatus {
        let planned = PlannedRun::of_baseline(RunSpec::default());
        let record = RunRecord { state, last_outcome, ..RunRecord::new(planned) };
        RunStatus { record, live, is_held: false, log: "log.txt".into(), task: None }
    }

    fn crashed() -> RunOutcome {
        RunOutcome::Crashed { reason: "exited with status 3\nlast words".to_owned() }
    }

    #[test]
    fn who_has_the_sweep_knows_why_a_run_waits() {
        let waiting = status(RunState::Waiting, None, Some(live(LiveState::Waiting)));
        assert_eq!(waiting.describe(), ("waiting", "waits for a free slot: next".to_owned()));
        let alone = status(RunState::Waiting, None, None);
        assert_eq!(alone.describe(), ("waiting", "not started".to_owned()));
        // It crashed in an earlier session and has not begun again.
        let again = status(RunState::Unfinished, Some(crashed()), Some(live(LiveState::Waiting)));
        assert_eq!(again.describe().0, "waiting");
        assert!(again.failure().is_some());
    }

    #[test]
    fn a_run_of_a_cluster_says_which_task_has_it() {
        let task = |state: &str| LiveTask {
            job: "17".to_owned(),
            name: "speedlab-0123abcd-1-0".to_owned(),
            index: Some(3),
            state: state.to_owned(),
            reason: "Resources".to_owned(),
        };
        let of = |state, task| RunStatus { task: Some(task), ..status(state, None, None) }.describe();
        assert_eq!(of(RunState::Waiting, task("PENDING")), ("waiting", "job 17_3: Resources".to_owned()));
        assert_eq!(of(RunState::Waiting, task("RUNNING")), ("waiting", "job 17_3: starts".to_owned()));
        assert_eq!(of(RunState::Unfinished, task("RUNNING")), ("running", "job 17_3".to_owned()));
        assert_eq!(of(RunState::Ended(RunOutcome::Completed), task("RUNNING")).0, "done");
    }

    #[test]
    fn a_running_run_says_what_it_does_and_its_old_crash_is_forgotten() {
        let running = LiveRun {
            device: Some("cpu".to_owned()),
            phase: Some("training".to_owned()),
            loss: Some(0.03125),
            step: Some(400),
            quality: Some(LiveQuality { name: "fid".to_owned(), value: 143.25 }),
            seconds_left: Some(130.0),
            ..live(LiveState::Running)
        };
        let status = status(RunState::Unfinished, Some(crashed()), Some(running));
        let words = "training, loss 0.0312, fid 143.2, 2m 10s left".to_owned();
        assert_eq!(status.describe(), ("running", words));
        assert_eq!((status.step(), status.device(), status.failure()), (400, Some("cpu"), None));
        assert_eq!(status.to_json()["quality"]["value"], 143.25);
    }

    #[test]
    fn what_is_recorded_for_good_counts_more_than_what_was_said() {
        let done = status(RunState::Ended(RunOutcome::Completed), None, Some(live(LiveState::Running)));
        assert_eq!(done.describe(), ("done", "completed".to_owned()));
        let diverged = RunOutcome::Diverged { reason: "loss is NaN at step 7".to_owned() };
        let failed = status(RunState::Ended(diverged.clone()), None, None);
        assert_eq!(failed.describe(), ("failed", "diverged: loss is NaN at step 7".to_owned()));
        assert_eq!(failed.failure(), Some(&diverged));
        let failed_now = status(RunState::Unfinished, Some(crashed()), Some(live(LiveState::Failed)));
        assert_eq!(failed_now.describe(), ("unfinished", "crashed: exited with status 3\nlast words".to_owned()));
    }
}
