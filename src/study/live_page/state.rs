//! How a sweep stands now, as its live page is told about every two seconds. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::event::RunOutcome;
use crate::record::{LiveFile, LiveQuality, LiveRun, LiveState, RunState, StudyRecord, SweepFolder};
use crate::spec::{Plan, PlannedRun, RunId};

/// The version of the page's state.
const STATE_VERSION: u32 = 1;
/// Runs of each kind that are named.
const MOST_RUNNING: usize = 16;
const MOST_NEXT: usize = 3;
const MOST_FAILED: usize = 5;

/// The state of a sweep, as JSON.
#[derive(Debug, Serialize)]
pub struct PageState<'a> {
    version: u32,
    /// What stands after `speedlab run`.
    sweep: &'a str,
    state: SweepState,
    /// The number of the newest page.
    pub report: u64,
    /// Why there is no newer one, where it could not be made.
    pub report_error: Option<&'a str>,
    counts: Counts,
    seconds_left: Option<f64>,
    running: Vec<RunningRun<'a>>,
    /// Running runs beyond those.
    running_more: usize,
    next: Vec<IdleRun<'a>>,
    failed: Vec<IdleRun<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum SweepState {
    /// A process works on it.
    Running,
    /// Every run has ended.
    Ended,
    /// The process that served the page has stopped, and runs are left.
    Stopped,
    /// No process works on it, and runs are left: perhaps a cluster has them.
    Idle,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Counts {
    all: usize,
    done: usize,
    running: usize,
    /// Waits for a slot, or has not begun.
    waiting: usize,
    /// Has recorded something, and nobody works on it that is known here.
    unfinished: usize,
    interrupted: usize,
    failed: usize,
}

#[derive(Debug, Serialize)]
struct RunningRun<'a> {
    run_id: &'a RunId,
    trial: &'a str,
    seed: u64,
    device: Option<&'a str>,
    phase: &'a str,
    step: u64,
    steps: u64,
    loss: Option<f64>,
    quality: Option<&'a LiveQuality>,
    seconds_left: Option<f64>,
}

#[derive(Debug, Serialize)]
struct IdleRun<'a> {
    run_id: &'a RunId,
    trial: &'a str,
    seed: u64,
    detail: &'a str,
}

/// The runs as their records were when they were last read.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    pub sweep_arguments: String,
    /// The words that stand for how each run stands, of those that count.
    runs: Vec<(RunId, Standing, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Waiting,
    Unfinished,
    Done,
    Failed,
}

fn of_outcome(outcome: &RunOutcome) -> (Standing, String) {
    match outcome {
        RunOutcome::Completed | RunOutcome::ReachedTarget => (Standing::Done, String::new()),
        outcome => (Standing::Failed, outcome.in_words().lines().next().unwrap_or_default().to_owned()),
    }
}

impl Recorded {
    /// Before any record was read.
    pub fn unread(plan: &Plan, sweep_arguments: String) -> Self {
        let waiting = |run: &PlannedRun| (run.run_id.clone(), Standing::Waiting, String::new());
        Self { sweep_arguments, runs: plan.runs.iter().map(waiting).collect() }
    }

    /// The same with the runs that have ended since: their `DONE` alone is read. `None` where that is none.
    pub fn with_ends(&self, folder: &SweepFolder) -> Option<Self> {
        let is_open = |standing| matches!(standing, Standing::Waiting | Standing::Unfinished);
        let end = |(run_id, standing, words): &(RunId, Standing, String)| {
            // What is damaged is told by who reads the whole record.
            let outcome = if is_open(*standing) { folder.run(run_id).read_done().ok().flatten() } else { None };
            let (standing, words) = outcome.map_or_else(|| (*standing, words.clone()), |outcome| of_outcome(&outcome));
            (run_id.clone(), standing, words)
        };
        let runs: Vec<_> = self.runs.iter().map(end).collect();
        let has_news = runs.iter().zip(&self.runs).any(|(now, before)| now.1 != before.1);
        has_news.then(|| Self { runs, sweep_arguments: self.sweep_arguments.clone() })
    }

    pub fn of(study: &StudyRecord) -> Self {
        let standing = |state: &RunState| match state {
            RunState::Waiting => (Standing::Waiting, String::new()),
            RunState::Unfinished => (Standing::Unfinished, String::new()),
            RunState::Ended(outcome) => of_outcome(outcome),
            RunState::Damaged(_) => (Standing::Failed, "its record is damaged".to_owned()),
        };
        let run = |run: &crate::record::RunRecord| {
            let (standing, words) = standing(&run.state);
            (run.planned.run_id.clone(), standing, words)
        };
        Self { sweep_arguments: study.running_arguments(), runs: study.runs.iter().map(run).collect() }
    }
}

/// What is known of the process that works on a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// One has the sweep.
    Working,
    /// The one that served the page has done what it could.
    Done,
    /// None has the sweep.
    None,
}

/// The runs of a plan by their ids.
pub type Runs<'a> = BTreeMap<&'a RunId, &'a PlannedRun>;

pub fn runs_of(plan: &Plan) -> Runs<'_> {
    plan.runs.iter().map(|run| (&run.run_id, run)).collect()
}

impl<'a> PageState<'a> {
    /// As the process says that works on the sweep.
    pub fn live(live: &'a LiveFile, plan: &'a Plan, recorded: &'a Recorded) -> Self {
        let runs = runs_of(plan);
        let mut counts = Counts { all: live.runs.len(), ..Counts::default() };
        for run in &live.runs {
            let count = match run.state {
                LiveState::Waiting => &mut counts.waiting,
                LiveState::Running => &mut counts.running,
                LiveState::Done => &mut counts.done,
                LiveState::Failed => &mut counts.failed,
                LiveState::Interrupted => &mut counts.interrupted,
            };
            *count += 1;
        }
        let idle = |run: &'a LiveRun| named(&runs, &run.run_id, &run.detail);
        let running = live.runs.iter().filter(|run| run.state == LiveState::Running).take(MOST_RUNNING);
        let failed = live.runs.iter().filter(|run| run.state == LiveState::Failed).take(MOST_FAILED);
        Self {
            seconds_left: live.seconds_left,
            running: running.map(|run| running_run(&runs, run)).collect(),
            running_more: counts.running.saturating_sub(MOST_RUNNING),
            next: live.next.iter().take(MOST_NEXT).filter_map(|run_id| live.run(run_id)).map(idle).collect(),
            failed: failed.map(idle).collect(),
            ..Self::new(SweepState::Running, counts, recorded)
        }
    }

    /// As the records say, where no process tells more.
    pub fn recorded(recorded: &'a Recorded, plan: &'a Plan, process: Process) -> Self {
        let count = |standing| recorded.runs.iter().filter(|(_, other, _)| *other == standing).count();
        let counts = Counts {
            all: recorded.runs.len(),
            done: count(Standing::Done),
            waiting: count(Standing::Waiting),
            unfinished: count(Standing::Unfinished),
            failed: count(Standing::Failed),
            ..Counts::default()
        };
        let state = match counts.waiting + counts.unfinished {
            0 => SweepState::Ended,
            _ => match process {
                Process::Working => SweepState::Running,
                Process::Done => SweepState::Stopped,
                Process::None => SweepState::Idle,
            },
        };
        let runs = runs_of(plan);
        let failed = recorded.runs.iter().filter(|(_, standing, _)| *standing == Standing::Failed).take(MOST_FAILED);
        let failed = failed.map(|(run_id, _, words)| named(&runs, run_id, words)).collect();
        Self { failed, ..Self::new(state, counts, recorded) }
    }

    fn new(state: SweepState, counts: Counts, recorded: &'a Recorded) -> Self {
        Self {
            version: STATE_VERSION,
            sweep: &recorded.sweep_arguments,
            state,
            report: 0,
            report_error: None,
            counts,
            seconds_left: None,
            running: vec![],
            running_more: 0,
            next: vec![],
            failed: vec![],
        }
    }
}

/// Its trial and its seed; the id alone of a run that the plan does not have.
fn name<'a>(runs: &Runs<'a>, run_id: &'a RunId) -> (&'a str, u64) {
    runs.get(run_id).map_or((run_id.as_str(), 0), |run| (run.trial.as_str(), run.seed))
}

fn named<'a>(runs: &Runs<'a>, run_id: &'a RunId, detail: &'a str) -> IdleRun<'a> {
    let (trial, seed) = name(runs, run_id);
    IdleRun { run_id, trial, seed, detail }
}

fn running_run<'a>(runs: &Runs<'a>, run: &'a LiveRun) -> RunningRun<'a> {
    let (trial, seed) = name(runs, &run.run_id);
    RunningRun {
        run_id: &run.run_id,
        trial,
        seed,
        device: run.device.as_deref(),
        phase: run.phase.as_deref().unwrap_or("running"),
        step: run.step.unwrap_or(0),
        steps: run.steps,
        loss: run.loss,
        quality: run.quality.as_ref(),
        seconds_left: run.seconds_left,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::spec::RunSpec;

    fn run_id(number: usize) -> RunId {
        RunId::parse(&format!("{number:012x}")).unwrap()
    }

    fn plan(runs: usize) -> Plan {
        let planned = |number: usize| PlannedRun {
            run_id: run_id(number),
            ..PlannedRun::of_baseline(RunSpec { seed: number as u64, ..RunSpec::default() })
        };
        Plan::of_test("tiny", (0..runs).map(planned).collect())
    }

    fn value(state: &PageState) -> Value {
        serde_json::to_value(state).unwrap()
    }

    #[test]
    fn a_running_sweep_is_told_as_its_process_says() {
        let mut live = LiveFile::of_this_process("2026-11-22T19:00:00Z");
        live.seconds_left = Some(200.0);
        live.next = vec![run_id(1)];
        let of = |number, state, detail| LiveRun::new(run_id(number), state, detail, 2000);
        let running = LiveRun {
            phase: Some("training".into()),
            step: Some(500),
            loss: Some(0.25),
            quality: Some(LiveQuality { name: "fid".into(), value: 143.25 }),
            ..of(0, LiveState::Running, "running on slot 0")
        };
        live.runs = vec![
            running,
            of(1, LiveState::Waiting, "waits for a free slot: next"),
            of(2, LiveState::Failed, "crashed: exited with status 3"),
            of(3, LiveState::Done, "completed"),
        ];
        let (plan, recorded) = (plan(4), Recorded::default());
        let state = value(&PageState::live(&live, &plan, &recorded));
        assert_eq!(state["state"], "running");
        assert_eq!(
            state["counts"],
            json!({ "all": 4, "done": 1, "running": 1, "waiting": 1, "unfinished": 0, "interrupted": 0, "failed": 1 })
        );
        assert_eq!((&state["seconds_left"], &state["running"][0]["quality"]["value"]), (&200.0.into(), &143.25.into()));
        assert_eq!((&state["running"][0]["step"], &state["running"][0]["trial"]), (&500.into(), &"baseline".into()));
        assert_eq!(state["next"][0]["detail"], "waits for a free slot: next");
        assert_eq!(state["failed"][0]["detail"], "crashed: exited with status 3");
    }

    #[test]
    fn a_thousand_running_runs_are_a_small_answer() {
        let mut live = LiveFile::of_this_process("2026-11-22T19:00:00Z");
        live.runs = (0..1000).map(|number| LiveRun::new(run_id(number), LiveState::Running, "x", 10)).collect();
        let (plan, recorded) = (plan(1000), Recorded::default());
        let state = value(&PageState::live(&live, &plan, &recorded));
        assert_eq!((state["running"].as_array().unwrap().len(), &state["running_more"]), (MOST_RUNNING, &984.into()));
        assert!(state.to_string().len() < 6000);
    }

    #[test]
    fn without_a_process_the_records_say_how_it_stands() {
        let plan = plan(3);
        let of = |standings: [Standing; 3]| {
            let runs = (0..3).zip(standings).map(|(number, standing)| (run_id(number), standing, "diverged".into()));
            Recorded { sweep_arguments: "tiny.yaml".into(), runs: runs.collect() }
        };
        let [done, failed, waiting] = [Standing::Done, Standing::Failed, Standing::Waiting];
        let all = of([done, failed, done]);
        let state = value(&PageState::recorded(&all, &plan, Process::Done));
        assert_eq!((&state["state"], &state["counts"]["done"]), (&"ended".into(), &2.into()));
        assert_eq!(state["failed"][0]["detail"], "diverged");
        let some = of([done, waiting, Standing::Unfinished]);
        assert_eq!(value(&PageState::recorded(&some, &plan, Process::Done))["state"], "stopped");
        assert_eq!(value(&PageState::recorded(&some, &plan, Process::Working))["state"], "running");
        assert_eq!(value(&PageState::recorded(&all, &plan, Process::Working))["state"], "ended");
        let state = value(&PageState::recorded(&some, &plan, Process::None));
        assert_eq!((&state["state"], &state["sweep"]), (&"idle".into(), &"tiny.yaml".into()));
    }
}
