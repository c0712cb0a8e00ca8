//! Writes `live.json` while `speedlab run` works on a sweep, for `speedlab status` and `speedlab logs` of other processes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Tracker;
use crate::event::RunOutcome;
use crate::record::{LiveFile, LiveQuality, LiveRun, LiveState, RecordError, SweepFolder};
use crate::schedule::{News, Standing, Update};
use crate::spec::{Plan, PlannedRun, RunId};

/// Between two writes; less after a run has started or ended.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_AFTER_NEWS: Duration = Duration::from_millis(250);

/// Waiting runs whose order is told.
const NEXT: usize = 10;

/// Follows a session of [`crate::schedule::execute`].
pub(super) struct LiveWriter<'a> {
    folder: &'a SweepFolder,
    plan: &'a Plan,
    file: LiveFile,
    written_at: Option<Duration>,
    /// Whether a run has started or ended since then.
    has_news: bool,
    has_failed: bool,
}

impl<'a> LiveWriter<'a> {
    /// For a process that has the sweep.
    pub fn new(folder: &'a SweepFolder, plan: &'a Plan) -> Self {
        let file = LiveFile::of_this_process(&jiff::Timestamp::now().to_string());
        Self { folder, plan, file, written_at: None, has_news: false, has_failed: false }
    }

    /// Writes how the runs stand, if it is time. A file that cannot be written is told once, and tried again.
    pub fn show(&mut self, update: &Update, tracker: &Tracker) -> Result<(), RecordError> {
        self.has_news |= matches!(update.news, News::Started(_) | News::Ended { .. } | News::Stopping(_));
        if !self.is_due(update) {
            return Ok(());
        }
        (self.written_at, self.has_news) = (Some(update.at), false);
        self.file.updated_at = jiff::Timestamp::now().to_string();
        self.file.seconds_left = tracker.sweep_seconds_left(update.queue, update.at);
        self.file.next = update.queue.waiting().take(NEXT).map(|run| run.run_id.clone()).collect();
        let standings: BTreeMap<&RunId, Standing> = update.queue.standings(update.at).collect();
        // The session may be of some of the runs alone.
        let live_run = |planned: &PlannedRun| Some(live_run(planned, standings.get(&planned.run_id)?, update, tracker));
        self.file.runs = self.plan.runs.iter().filter_map(live_run).collect();
        match self.file.write(self.folder) {
            Err(error) if !self.has_failed => {
                self.has_failed = true;
                Err(error)
            }
            _ => Ok(()),
        }
    }

    fn is_due(&self, update: &Update) -> bool {
        if matches!(update.news, News::Finished(_)) {
            return true;
        }
        let pause = if self.has_news { PAUSE_AFTER_NEWS } else { PAUSE };
        self.written_at.is_none_or(|written_at| update.at.saturating_sub(written_at) >= pause)
    }
}

fn live_run(planned: &PlannedRun, standing: &Standing, update: &Update, tracker: &Tracker) -> LiveRun {
    let run_id = &planned.run_id;
    let (state, detail) = match standing {
        Standing::Waiting(_) => (LiveState::Waiting, standing.to_string()),
        Standing::Running { .. } => (LiveState::Running, standing.to_string()),
        Standing::Ended(outcome) => {
            let words = outcome.in_words();
            (state_of(outcome), words.lines().next().unwrap_or_default().to_owned())
        }
    };
    let mut live_run = LiveRun::new(run_id.clone(), state, detail, planned.spec.train.steps);
    let quality = tracker.quality.get(run_id).filter(|(_, value)| value.is_finite());
    live_run.quality = quality.map(|&(name, value)| LiveQuality { name: name.to_owned(), value });
    if let Standing::Running { device, .. } = standing {
        live_run.device = Some(device.clone());
        if let Some(run) = tracker.run(run_id) {
            live_run.phase = Some(run.doing.word().to_owned());
            live_run.seconds_left = tracker.seconds_left(run, update.at);
            live_run.loss = run.loss;
            live_run.step = Some(run.step);
        }
    }
    live_run
}

fn state_of(outcome: &RunOutcome) -> LiveState {
    match outcome {
        RunOutcome::Completed | RunOutcome::ReachedTarget => LiveState::Done,
        RunOutcome::Interrupted { .. } => LiveState::Interrupted,
        _ => LiveState::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::super::RunLabel;
    use super::*;
    use crate::event::{Measure, Phase, RunEvent, Stamp};
    use crate::schedule::{Device, Policy, Queue, QueuedRun, Start, StopReason};
    use crate::spec::RunSpec;

    const SECOND: Duration = Duration::from_secs(1);

    /// Three runs on one slot.
    struct Session {
        plan: Plan,
        queue: Queue,
        tracker: Tracker,
    }

    impl Session {
        fn new() -> Self {
            let planned = |number: usize| PlannedRun {
                run_id: RunId::parse(&format!("{number:012x}")).unwrap(),
                ..PlannedRun::of_baseline(RunSpec::default())
            };
            let runs: Vec<PlannedRun> = (0..3).map(planned).collect();
            let queued = |run: &PlannedRun| QueuedRun::new(run.run_id.clone(), 0, None, 64);
            let device = Device::new("cpu", 1, 1);
            let policy = Policy { retries: 0, ..Policy::default() };
            let labels = runs.iter().map(|run| RunLabel::new(run, None, "log.txt".into())).collect();
            Self {
                queue: Queue::new(runs.iter().map(queued).collect(), vec![device], policy),
                tracker: Tracker::new(labels),
                plan: Plan::of_test("tiny", runs),
            }
        }

        fn take(&mut self, at: Duration, news: News) {
            self.tracker.take(&Update { at, queue: &self.queue, news });
        }

        fn start(&mut self, at: Duration) -> Start {
            let start = self.queue.next(at).expect("a slot is free");
            self.take(at, News::Started(&start));
            start
        }

        fn live_run(&self, number: usize, at: Duration) -> LiveRun {
            let planned = &self.plan.runs[number];
            let (_, standing) = (self.queue.standings(at).find(|(run_id, _)| **run_id == planned.run_id))
                .expect("every planned run is in the queue");
            live_run(planned, &standing, &Update { at, queue: &self.queue, news: News::Tick }, &self.tracker)
        }
    }

    #[test]
    fn each_run_says_where_it_stands_and_why() {
        let mut session = Session::new();
        let start = session.start(Duration::ZERO);
        let stamp = Stamp { step: 400, ..Stamp::default() };
        let measures = vec![Measure { metric: "fid".into(), protocol: "".into(), value: 143.25 }];
        let evaluated = RunEvent::Evaluated { stamp, measures, samples: String::new() };
        session.take(SECOND, News::Said { run_id: &start.run_id, event: &evaluated });
        let progress = RunEvent::Progress { stamp, loss: Some(0.25), phase: Phase::Training };
        session.take(2 * SECOND, News::Said { run_id: &start.run_id, event: &progress });

        let running = session.live_run(0, 3 * SECOND);
        assert_eq!((running.state, running.device.as_deref()), (LiveState::Running, Some("cpu")));
        assert_eq!((running.phase.as_deref(), running.step, running.loss), (Some("training"), Some(400), Some(0.25)));
        assert_eq!(running.quality, Some(LiveQuality { name: "fid".to_owned(), value: 143.25 }));
        let waiting = [1, 2].map(|number| session.live_run(number, 3 * SECOND));
        assert!(waiting.iter().all(|run| run.state == LiveState::Waiting && run.device.is_none()));
        let details = waiting.map(|run| run.detail);
        assert_eq!(details, ["waits for a free slot: next", "waits for a free slot: 1 run goes before it"]);

        let outcome = RunOutcome::Crashed { reason: "exited with status 3\nlast words".into() };
        session.queue.ended(&start.run_id, outcome.clone(), 4 * SECOND);
        session.take(4 * SECOND, News::Ended { run_id: &start.run_id, outcome: &outcome, retry_at: None });
        let failed = session.live_run(0, 4 * SECOND);
        assert_eq!((failed.state, failed.detail.as_str()), (LiveState::Failed, "crashed: exited with status 3"));
    }

    #[test]
    fn it_is_written_at_once_then_now_and_then_and_a_full_disk_is_told_once() {
        let results = tempfile::tempdir().unwrap();
        let folder = SweepFolder::new(results.path(), "tiny");
        let _lock = folder.lock().unwrap();
        let asked = StopReason::Asked;
        let Session { plan, queue, tracker } = Session::new();
        let mut live = LiveWriter::new(&folder, &plan);
        let mut show =
            |millis, news| live.show(&Update { at: Duration::from_millis(millis), queue: &queue, news }, &tracker);
        let path = folder.live_file();
        let mut is_written_after = |millis, news| {
            let _ = std::fs::remove_file(&path);
            show(millis, news).unwrap();
            path.exists()
        };
        assert!(is_written_after(0, News::Tick));
        assert!(!is_written_after(900, News::Tick));
        assert!(is_written_after(1000, News::Tick));
        assert!(!is_written_after(1100, News::Stopping(&asked)));
        assert!(is_written_after(1250, News::Tick), "sooner after news");
        assert!(!is_written_after(1500, News::Tick));
        // A folder in its place: the file cannot be renamed onto it.
        std::fs::create_dir_all(path.join("in the way")).unwrap();
        assert!(show(3000, News::Tick).is_err());
        assert!(show(5000, News::Tick).is_ok(), "it was told already");
    }
}
