//! The state of every run of the session, from the updates. Pure.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::event::{Phase, RunEvent};
use crate::schedule::{News, Queue, Slot, Start, Update, makespan};
use crate::spec::{PlannedRun, RunId};

/// A run as it is told of.
#[derive(Clone, Debug)]
pub struct RunLabel {
    pub run_id: RunId,
    pub trial: String,
    pub seed: u64,
    /// Planned optimizer steps.
    pub steps: u64,
    /// The first of them that is to be trained; those before are another run's too.
    pub first_step: u64,
    /// What all of them are expected to take, in any unit that is the same for all: known for every run or for none.
    pub cost: Option<f64>,
    pub log: PathBuf,
}

impl RunLabel {
    pub fn new(run: &PlannedRun, cost: Option<f64>, log: PathBuf) -> Self {
        let PlannedRun { run_id, trial, seed, spec, .. } = run;
        let (run_id, trial, steps) = (run_id.clone(), trial.clone(), spec.train.steps);
        Self { run_id, trial, seed: *seed, steps, first_step: 0, cost, log }
    }

    pub fn title(&self) -> String {
        format!("{} seed {}", self.trial, self.seed)
    }
}

/// Follows a session.
pub struct Tracker {
    pub labels: BTreeMap<RunId, RunLabel>,
    /// Sorted by slot, so that a run keeps its place on the screen.
    pub running: BTreeMap<Slot, Tracked>,
    /// The latest measure of quality of every run: (short name, value).
    pub quality: BTreeMap<RunId, (&'static str, f64)>,
    /// Seconds spent and cost got done by the processes that ended.
    spent_seconds: f64,
    spent_cost: f64,
    costs_known: bool,
    stopping: bool,
    /// How long the process ran that ended last.
    ended_after: Duration,
}

/// A running run.
pub struct Tracked {
    pub run_id: RunId,
    pub started_at: Duration,
    /// When it first said something.
    awake_at: Option<Duration>,
    from_step: u64,
    pub step: u64,
    pub loss: Option<f64>,
    pub doing: Doing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    Starting,
    Training,
    Evaluating,
    Stopping,
}

impl Doing {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Training => "training",
            Self::Evaluating => "evaluating",
            Self::Stopping => "stopping",
        }
    }
}

impl Tracker {
    pub fn new(labels: Vec<RunLabel>) -> Self {
        let is_known = |label: &RunLabel| label.cost.is_some_and(|cost| cost.is_finite() && cost > 0.0);
        Self {
            costs_known: labels.iter().all(is_known),
            labels: labels.into_iter().map(|label| (label.run_id.clone(), label)).collect(),
            running: BTreeMap::new(),
            quality: BTreeMap::new(),
            spent_seconds: 0.0,
            spent_cost: 0.0,
            stopping: false,
            ended_after: Duration::ZERO,
        }
    }

    pub fn take(&mut self, update: &Update) {
        match update.news {
            News::Started(start) => self.started(start, update.at),
            News::Said { run_id, event } => self.said(run_id, event, update.at),
            News::Ended { run_id, .. } => {
                let slot = self.running.iter().find(|(_, run)| run.run_id == *run_id).map(|(&slot, _)| slot);
                if let Some(run) = slot.and_then(|slot| self.running.remove(&slot)) {
                    let (seconds, cost) = self.spent(&run, update.at);
                    self.ended_after = update.at.saturating_sub(run.started_at);
                    self.spent_seconds += seconds;
                    self.spent_cost += cost;
                }
            }
            News::Stopping(_) => {
                self.stopping = true;
                self.running.values_mut().for_each(|run| run.doing = Doing::Stopping);
            }
            News::LogLost { .. } | News::Decided(_) | News::Killing | News::Tick | News::Finished(_) => {}
        }
    }

    /// The run of a running process; `None` once it has ended.
    pub fn run(&self, run_id: &RunId) -> Option<&Tracked> {
        self.running.values().find(|run| run.run_id == *run_id)
    }

    /// How long the process ran that ended last: that of a [`News::Ended`] that was just taken.
    pub fn ended_after(&self) -> Duration {
        self.ended_after
    }

    pub fn title(&self, run_id: &RunId) -> String {
        self.labels.get(run_id).map_or_else(|| run_id.to_string(), RunLabel::title)
    }

    /// The planned steps of a run.
    pub fn steps(&self, run_id: &RunId) -> u64 {
        self.labels.get(run_id).map_or(0, |label| label.steps)
    }

    /// Share of a run's steps that are done, 0 to 1.
    pub fn fraction(&self, run: &Tracked) -> f64 {
        (run.step as f64 / self.steps(&run.run_id).max(1) as f64).min(1.0)
    }

    /// Share of the sweep's work that is done, 0 to 1. Ended runs count in full, however they ended.
    pub fn sweep_fraction(&self, queue: &Queue) -> f64 {
        let all: f64 = self.labels.values().map(|label| self.cost_to_train(label)).sum();
        let waiting = queue.waiting().filter_map(|run| self.labels.get(&run.run_id));
        let waiting: f64 = waiting.map(|label| self.cost_to_train(label)).sum();
        let running: f64 = self.running.values().map(|run| self.cost_left(run)).sum();
        if all > 0.0 { (1.0 - (waiting + running) / all).clamp(0.0, 1.0) } else { 1.0 }
    }

    /// Seconds until a run ends at its present pace; `None` while that is not known.
    pub fn seconds_left(&self, run: &Tracked, at: Duration) -> Option<f64> {
        let awake_seconds = at.saturating_sub(run.awake_at?).as_secs_f64();
        let done = run.step.saturating_sub(run.from_step);
        let left = self.steps(&run.run_id).saturating_sub(run.step);
        (done > 0 && awake_seconds >= 1.0).then(|| awake_seconds / done as f64 * left as f64)
    }

    /// Seconds until the sweep ends; `None` while that is not known.
    pub fn sweep_seconds_left(&self, queue: &Queue, at: Duration) -> Option<f64> {
        let (mut seconds, mut cost) = (self.spent_seconds, self.spent_cost);
        for run in self.running.values() {
            let (run_seconds, run_cost) = self.spent(run, at);
            (seconds, cost) = (seconds + run_seconds, cost + run_cost);
        }
        if cost <= 0.0 || seconds < 1.0 {
            return None;
        }
        let pace = seconds / cost;
        let running: Vec<f64> = (self.running.values())
            .map(|run| self.seconds_left(run, at).unwrap_or_else(|| self.cost_left(run) * pace))
            .collect();
        if self.stopping {
            return None; // checkpoints take what they take
        }
        let waiting = queue.waiting().filter_map(|run| self.labels.get(&run.run_id));
        let waiting = waiting.map(|label| self.cost_to_train(label) * pace);
        Some(makespan(&running, waiting, queue.devices().iter().map(|device| device.slots).sum()))
    }

    fn started(&mut self, start: &Start, at: Duration) {
        let run = Tracked {
            run_id: start.run_id.clone(),
            started_at: at,
            awake_at: None,
            from_step: 0,
            step: 0,
            loss: None,
            doing: Doing::Starting,
        };
        self.running.insert(start.slot, run);
    }

    fn said(&mut self, run_id: &RunId, event: &RunEvent, at: Duration) {
        let Some(run) = self.running.values_mut().find(|run| run.run_id == *run_id) else { return };
        if matches!(event, RunEvent::Progress { phase: Phase::Preparing, .. }) {
            return; // it does not know yet where it goes on from
        }
        if let RunEvent::Started(started) = event {
            (run.from_step, run.step) = (started.first_step(), started.first_step());
        }
        run.awake_at.get_or_insert(at);
        let doing = match event {
            RunEvent::Started(_) | RunEvent::DeviceCompared(_) | RunEvent::TimestepDensity { .. } => Doing::Training,
            RunEvent::Trained { stamp, loss, .. } => {
                (run.step, run.loss) = (stamp.step, Some(*loss));
                Doing::Training
            }
            RunEvent::Progress { stamp, loss, phase } => {
                (run.step, run.loss) = (stamp.step, loss.or(run.loss));
                match phase {
                    Phase::Preparing => Doing::Starting,
                    Phase::Training => Doing::Training,
                    Phase::Evaluating => Doing::Evaluating,
                }
            }
            RunEvent::Evaluated { stamp, measures, .. } => {
                run.step = stamp.step;
                let named = |metric: &str| measures.iter().find(|measure| measure.metric == metric);
                let fid = named("fid").map(|measure| ("fid", measure.value));
                if let Some(quality) = fid.or_else(|| named("validation_loss").map(|measure| ("val", measure.value))) {
                    self.quality.insert(run_id.clone(), quality);
                }
                Doing::Training
            }
            RunEvent::Checkpointed { .. } | RunEvent::Ended { .. } => run.doing,
        };
        run.doing = if self.stopping { Doing::Stopping } else { doing };
    }

    /// The planner's estimate if every run has one, else its steps.
    fn cost(&self, label: &RunLabel) -> f64 {
        label.cost.filter(|_| self.costs_known).unwrap_or(label.steps.max(1) as f64)
    }

    /// Without the steps that it begins after.
    fn cost_to_train(&self, label: &RunLabel) -> f64 {
        self.cost(label) * (1.0 - label.first_step as f64 / label.steps.max(1) as f64)
    }

    fn cost_left(&self, run: &Tracked) -> f64 {
        self.labels.get(&run.run_id).map_or(0.0, |label| self.cost(label) * (1.0 - self.fraction(run)))
    }

    /// (seconds, cost) that the process of a run took and got done.
    fn spent(&self, run: &Tracked, at: Duration) -> (f64, f64) {
        let Some(label) = self.labels.get(&run.run_id) else { return (0.0, 0.0) };
        let share = run.step.saturating_sub(run.from_step) as f64 / label.steps.max(1) as f64;
        (at.saturating_sub(run.started_at).as_secs_f64(), self.cost(label) * share.min(1.0))
    }
}
