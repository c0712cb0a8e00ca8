//! A study conducted without a terminal and without processes: an executor of the test's own plays the runs.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::time::Duration;

use speedlab::data::{DataFolder, Progress};
use speedlab::event::{EVENT_VERSION, Measure, RunEvent, RunOutcome, Stamp, Started};
use speedlab::plan::plan_text;
use speedlab::record::{
    Journal, PlanFile, Rows, RunRecord, RunState, SweepFolder, effective_events, read_journal, write_curves,
};
use speedlab::report::Drawn;
use speedlab::schedule::{Device, News, Policy, Report, RunExecutor, Start, StartError, Stop, Update};
use speedlab::spec::{Plan, PlannedRun, RunId};
use speedlab::study::{ChosenDevices, NoRound, Observer, RunLabel, Study, Tracker, with_rule, write_report};

use crate::sandbox::TINY;

/// Hears everything.
#[derive(Default)]
struct Heard {
    notes: Vec<String>,
    runs: usize,
    started: usize,
    warnings: Vec<String>,
    finished: bool,
}

impl Observer for Heard {
    fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }

    fn preparing(&mut self, _: &Progress) {}

    fn begins(&mut self, runs: &[RunLabel]) {
        self.runs += runs.len();
    }

    fn update(&mut self, update: &Update, tracker: &Tracker) {
        match update.news {
            News::Started(start) => {
                self.started += 1;
                assert!(tracker.run(&start.run_id).is_some(), "the tracker knows it already");
            }
            News::Finished(_) => self.finished = true,
            _ => {}
        }
    }

    fn warn(&mut self, _: Duration, text: &str) {
        self.warnings.push(text.to_owned());
    }
}

/// Records at once what a run would have recorded; `crashes` says how often each dies without a word first.
struct AtOnce<'a> {
    folder: &'a SweepFolder,
    runs: BTreeMap<RunId, PlannedRun>,
    crashes: BTreeMap<RunId, u32>,
    reports: VecDeque<Report>,
    now: Duration,
    starts: Vec<RunId>,
}

impl<'a> AtOnce<'a> {
    fn new(folder: &'a SweepFolder, plan: &Plan) -> Self {
        let runs = plan.runs.iter().map(|run| (run.run_id.clone(), run.clone())).collect();
        Self { folder, runs, crashes: BTreeMap::new(), reports: VecDeque::new(), now: Duration::ZERO, starts: vec![] }
    }

    fn record(&self, planned: &PlannedRun) {
        let run = self.folder.run(&planned.run_id);
        assert_eq!(run.read_spec().unwrap(), *planned, "the folder was made");
        let mut journal = Journal::open(&run.journal()).unwrap();
        journal.append(&started(planned)).unwrap();
        let faster = match planned.arm.as_str() {
            "clts" => 1.25,
            // Now sooner, now later.
            "unsteady" if planned.seed.is_multiple_of(2) => 1.2,
            "unsteady" => 1.0 / 1.1,
            _ => 1.0,
        };
        let mut stamp = Stamp::default();
        for step in (0..=60).step_by(5) {
            stamp = Stamp { step, images_seen: step * 16, train_seconds: step as f64, ..stamp };
            let value = 10.0 * (-0.05 * faster * step as f64).exp() + 0.01 * planned.seed as f64;
            let measures = vec![Measure { metric: "fid".into(), protocol: "of the test".into(), value }];
            journal.append(&RunEvent::Evaluated { stamp, measures, samples: "none.png".into() }).unwrap();
        }
        journal.append(&RunEvent::Ended { stamp, outcome: RunOutcome::Completed }).unwrap();
        let events = effective_events(read_journal(&run.journal()).unwrap().events);
        write_curves(&run.curves(), [(planned, &Rows::of(&events))]).unwrap();
        run.write_done(&RunOutcome::Completed).unwrap();
    }
}

fn started(planned: &PlannedRun) -> RunEvent {
    RunEvent::Started(Started {
        version: EVENT_VERSION,
        run_id: planned.run_id.clone(),
        attempt: 1,
        from_checkpoint: 0,
        from_step: 0,
        shared_from: None,
        program: "a test".into(),
        device: "cpu".into(),
        started_at: "2026-01-01T00:00:00Z".into(),
        build: String::new(),
        micro_batches: 1,
        data_sha256: String::new(),
        decoder_sha256: String::new(),
    })
}

impl RunExecutor for AtOnce<'_> {
    fn start(&mut self, start: &Start) -> Result<(), StartError> {
        self.starts.push(start.run_id.clone());
        let outcome = match self.crashes.get_mut(&start.run_id) {
            Some(left) if *left > 0 => {
                *left -= 1;
                RunOutcome::Crashed { reason: "killed by the test".into() }
            }
            _ => {
                self.record(&self.runs[&start.run_id]);
                RunOutcome::Completed
            }
        };
        self.reports.push_back(Report::Ended { run_id: start.run_id.clone(), outcome });
        Ok(())
    }

    fn next(&mut self, patience: Duration) -> Option<Report> {
        self.now += patience;
        self.reports.pop_front()
    }

    fn stop(&mut self) {}

    fn kill(&mut self) {}

    fn now(&self) -> Duration {
        self.now
    }

    fn has_room(&mut self) -> bool {
        true
    }
}

fn study(results: &Path, text: &str) -> Study {
    let devices = ChosenDevices {
        devices: vec![Device::new("cpu", 2, 1)],
        words: "a device of the test".into(),
        note: None,
        evaluate_on: None,
        captures_steps: false,
    };
    Study {
        only: None,
        shares: true,
        plan: plan_text(Path::new("sweep.yaml"), text, &[]).unwrap(),
        results: results.to_owned(),
        data_folder: DataFolder::find(Some(&results.join("data"))).unwrap(),
        devices,
        sweep_arguments: "sweep.yaml".into(),
    }
}

#[test]
fn a_study_goes_from_its_plan_to_its_report_and_an_added_seed_runs_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut heard = Heard::default();
    let first = study(folder.path(), TINY);
    let plan = first.plan.clone();
    let mut open = first.open(&mut heard).unwrap();
    let sweep = open.folder().clone();
    assert_eq!(PlanFile::read(&sweep).unwrap().unwrap().plan, plan, "frozen before anything runs");
    // Nobody else conducts it meanwhile.
    let second = study(folder.path(), TINY).open(&mut Heard::default()).err().unwrap().to_string();
    assert!(second.contains("is in use by process"), "{second}");

    let queue = open.begin().unwrap();
    assert!(queue.has_work() && queue.room_bytes > 0);
    let mut executor = AtOnce::new(&sweep, &plan);
    executor.crashes.insert(plan.runs[1].run_id.clone(), 1);
    let summary = open.train(queue, Policy::default(), &mut executor, &mut heard, &Stop::default()).unwrap();
    assert!(summary.all_done() && heard.finished);
    assert_eq!((heard.runs, heard.started, executor.starts.len(), summary.retries), (4, 5, 5, 1));
    // The tiny sweep's target is the median of the baseline's last values.
    assert!(heard.notes[0].starts_with("about half of the 2 runs"), "{:?}", heard.notes);
    assert!(heard.warnings.is_empty(), "{:?}", heard.warnings);
    // The silent end is on record.
    let events = read_journal(&sweep.run(&plan.runs[1].run_id).journal()).unwrap().events;
    let crashed = RunOutcome::Crashed { reason: "killed by the test".into() };
    assert!(matches!(&events[0], RunEvent::Ended { outcome, .. } if *outcome == crashed), "{:?}", events[0]);
    assert!(sweep.live_file().is_file());
    let (record, report) = write_report(&sweep, &Drawn::Few.into()).unwrap();
    assert!(record.runs.iter().all(|run| run.state == RunState::Ended(RunOutcome::Completed)));
    assert!(report.page.is_file() && report.summary.contains("All 4 runs are finished"), "{}", report.summary);
    drop(open);

    // The same study with one more seed: what is done stays, and the change is on record.
    let more = study(folder.path(), &TINY.replace("seeds: 2", "seeds: 3"));
    let plan = more.plan.clone();
    let mut open = more.open(&mut heard).unwrap();
    let queue = open.begin().unwrap();
    let mut executor = AtOnce::new(&sweep, &plan);
    let summary = open.train(queue, Policy::default(), &mut executor, &mut heard, &Stop::default()).unwrap();
    assert!(summary.all_done());
    assert_eq!((executor.starts.len(), summary.done_before), (2, 4));
    assert_eq!(PlanFile::read(&sweep).unwrap().unwrap().revisions[0].changes, ["2 runs were added"]);
}

#[test]
fn a_study_that_is_asked_to_stop_starts_nothing_and_goes_on_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut open = study(folder.path(), TINY).open(&mut Heard::default()).unwrap();
    let sweep = open.folder().clone();
    let plan = PlanFile::read(&sweep).unwrap().unwrap().plan;
    let stop = Stop::default();
    stop.request();
    let queue = open.begin().unwrap();
    let mut executor = AtOnce::new(&sweep, &plan);
    let summary = open.train(queue, Policy::default(), &mut executor, &mut Heard::default(), &stop).unwrap();
    assert_eq!((executor.starts.len(), summary.counts.waiting, summary.all_done()), (0, 4, false));
    let queue = open.begin().unwrap();
    let summary = open.train(queue, Policy::default(), &mut executor, &mut Heard::default(), &Stop::default());
    assert!(summary.unwrap().all_done());
    assert!(matches!(RunRecord::read(&sweep, &plan.runs[0]).unwrap().state, RunState::Ended(_)));
}

const UNSTEADY: &str = "  unsteady: { noise: { kind: immiscible } }\nseeds: 3\n";

/// The plan of a sweep of three arms with the rule for seeds, by what is recorded.
fn until_decided(results: &Path, most_seeds: Option<usize>) -> Study {
    let plain = study(results, &TINY.replace("seeds: 2\n", UNSTEADY));
    let folder = SweepFolder::new(results, &plain.plan.name);
    Study { plan: with_rule(plain.plan, &folder, most_seeds).unwrap(), ..plain }
}

#[test]
fn seeds_are_added_to_what_is_open_until_the_rule_has_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut heard = Heard::default();
    let first = until_decided(folder.path(), Some(5));
    assert_eq!((first.plan.runs.len(), first.plan.seeds.len()), (9, 3));
    let mut open = first.open(&mut heard).unwrap();
    let sweep = open.folder().clone();
    let frozen = || PlanFile::read(&sweep).unwrap().unwrap();
    assert_eq!(frozen().plan.until_decided.unwrap().looks, [3, 4, 5], "announced before anything runs");
    // Nothing has run: there is nothing to look at.
    assert_eq!(open.next_round(&mut heard, |_, _| true).unwrap(), Err(NoRound::NotThereYet));
    let mut starts = Vec::new();
    let mut train = |open: &mut speedlab::study::OpenStudy| {
        let mut heard = Heard::default();
        let queue = open.begin().unwrap();
        let mut executor = AtOnce::new(&sweep, &frozen().plan);
        open.train(queue, Policy::default(), &mut executor, &mut heard, &Stop::default()).unwrap();
        starts.push(executor.starts.len());
    };
    train(&mut open);
    assert_eq!(open.next_round(&mut heard, |runs, _| runs < 2).unwrap(), Err(NoRound::TooLong { runs: 2 }));
    assert_eq!(open.next_round(&mut heard, |_, _| true).unwrap(), Ok(()));
    let said = heard.notes.last().unwrap();
    assert_eq!(said, "After 3 seeds: clts: faster; 1 comparison is open.");
    let added: Vec<(String, u64)> = frozen().plan.runs[9..].iter().map(|run| (run.arm.clone(), run.seed)).collect();
    assert_eq!(added, [("baseline".to_owned(), 3), ("unsteady".to_owned(), 3)], "clts is decided");

    // Interrupted here, the same command goes on, and so does one that does not say the rule again.
    drop(open);
    for most in [Some(5), None] {
        assert_eq!(until_decided(folder.path(), most).plan, frozen().plan);
    }
    let mut open = until_decided(folder.path(), None).open(&mut heard).unwrap();
    train(&mut open);
    assert_eq!(open.next_round(&mut heard, |_, _| true).unwrap(), Ok(()));
    train(&mut open);
    assert_eq!(open.next_round(&mut heard, |_, _| true).unwrap(), Err(NoRound::NoMoreSeeds));
    assert_eq!(starts, [9, 2, 2]);
    assert!(frozen().revisions.is_empty(), "what was announced is no revision: {:?}", frozen().revisions);
    let (_, report) = write_report(&sweep, &Drawn::Few.into()).unwrap();
    let last = "After 5 seeds: 1 comparison is open, and the rule has no more seeds.";
    assert!(report.summary.contains(last), "{}", report.summary);
    drop(open);

    // Another rule after seeing results: every seed so far counts for its looks, and the change is on record.
    let more = until_decided(folder.path(), Some(6));
    assert_eq!(more.plan.runs.len(), 13, "what it asks for next is not there before it is asked");
    drop(more.open(&mut heard).unwrap());
    let revision = &frozen().revisions[0];
    assert!(revision.changes_the_answer && revision.runs_ended_before == 13, "{revision:?}");
    assert_eq!(
        revision.changes,
        [
            "seeds were added until the study is decided (3 to 5, 3 looks at level 0.0108 for 2 comparisons) and are added until the study is decided (3 to 6, 4 looks at level 0.0087 for 2 comparisons)"
        ]
    );
}
