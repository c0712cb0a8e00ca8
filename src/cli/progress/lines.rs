//! The lines of the live display, each fitted to the terminal's width. Pure.

use std::time::Duration;

use super::columns::Columns;
use super::line::{GAP, Line};
use super::paint::{Ink, Paint};
use super::short_title;
use super::words::{measured, roughly, shortened};
use crate::report::number::grouped;
use crate::schedule::{Counts, Queue};
use crate::study::{Doing, Tracked, Tracker};

/// More running runs than this are only counted.
const SHOWN_RUNS: usize = 12;

/// The whole display: a line per running run, and one for the sweep. No line is wider than `width` columns.
pub fn display(tracker: &Tracker, sweep: &str, queue: &Queue, at: Duration, width: usize, paint: Paint) -> Vec<String> {
    let columns = Columns::fit(tracker, sweep, width);
    let mut lines: Vec<String> =
        tracker.running.values().take(SHOWN_RUNS).map(|run| run_line(tracker, run, at, &columns, paint)).collect();
    if tracker.running.len() > SHOWN_RUNS {
        let rest = format!("and {} more running", tracker.running.len() - SHOWN_RUNS);
        lines.push(paint.ink(Ink::Dim, &shortened(&rest, width)));
    }
    lines.push(sweep_line(tracker, sweep, queue, at, &columns, paint));
    lines
}

/// `4/15 done`, `2 running`, and what else there is to say.
pub fn counts_words(counts: &Counts) -> Vec<(Ink, String)> {
    let mut words = vec![(Ink::Plain, format!("{}/{} done", counts.done(), counts.total()))];
    let mut add = |ink, number, word| {
        if number > 0 {
            words.push((ink, format!("{number} {word}")));
        }
    };
    add(Ink::Plain, counts.running, "running");
    add(Ink::Red, counts.failed(), "failed");
    add(Ink::Yellow, counts.diverged, "diverged");
    add(Ink::Yellow, counts.interrupted, "interrupted");
    add(Ink::Yellow, counts.put_off, "put off");
    words
}

fn run_line(tracker: &Tracker, run: &Tracked, at: Duration, columns: &Columns, paint: Paint) -> String {
    let label = tracker.labels.get(&run.run_id);
    let title = label.map_or_else(|| run.run_id.to_string(), |label| short_title(label, columns.title));
    let doing = match (run.doing, run.loss) {
        (Doing::Starting, _) => (Ink::Dim, "starting".to_owned()),
        (Doing::Evaluating, _) => (Ink::Yellow, "evaluating".to_owned()),
        (Doing::Stopping, _) => (Ink::Yellow, "stopping".to_owned()),
        (Doing::Training, Some(loss)) => (Ink::Plain, format!("loss {}", measured(loss))),
        (Doing::Training, None) => (Ink::Plain, String::new()),
    };
    let steps = format!("{}/{}", grouped(run.step), grouped(tracker.steps(&run.run_id)));
    let quality = tracker.quality.get(&run.run_id).map(|(name, value)| format!("{name} {}", measured(*value)));
    let left = tracker.seconds_left(run, at).filter(|_| run.doing != Doing::Stopping).map(left_words);
    let mut line = Line::new(columns.width, paint);
    line.left(Ink::Plain, &title, columns.title);
    line.bar(Ink::Cyan, tracker.fraction(run), columns.bar);
    line.right(Ink::Plain, &steps, columns.steps);
    line.left(doing.0, &doing.1, columns.loss);
    line.left(Ink::Green, &quality.unwrap_or_default(), columns.quality);
    line.right(Ink::Dim, &left.unwrap_or_default(), columns.left);
    line.text
}

fn sweep_line(tracker: &Tracker, sweep: &str, queue: &Queue, at: Duration, columns: &Columns, paint: Paint) -> String {
    let mut line = Line::new(columns.width, paint);
    line.left(Ink::Bold, &shortened(sweep, columns.title), columns.title);
    line.bar(Ink::Green, tracker.sweep_fraction(queue), columns.bar);
    let left = tracker.sweep_seconds_left(queue, at).map(left_words).unwrap_or_default();
    let mut room = (columns.after_bar().saturating_sub(columns.left)).saturating_sub(GAP);
    for (ink, word) in counts_words(&queue.counts()) {
        let needed = GAP + word.chars().count();
        if needed > room {
            break;
        }
        line.left(ink, &word, needed - GAP);
        room -= needed;
    }
    line.space(room);
    line.right(Ink::Bold, &left, columns.left);
    line.text
}

fn left_words(seconds: f64) -> String {
    format!("{} left", roughly(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Measure, Phase, RunEvent, RunOutcome, Stamp};
    use crate::schedule::{Device, News, Policy, QueuedRun, Start, StopReason, Update};
    use crate::spec::RunId;
    use crate::study::RunLabel;

    const SECOND: Duration = Duration::from_secs(1);

    /// A session of four runs on two slots, driven by hand.
    struct Session {
        queue: Queue,
        tracker: Tracker,
    }

    impl Session {
        fn new() -> Self {
            let trials = ["baseline", "clts+mdlrc model.channels=32 optimizer.beta1=0.9", "mdlrc", "same-lr"];
            let run_id = |number: usize| RunId::parse(&format!("{number:012x}")).unwrap();
            let label = |(number, trial): (usize, &&str)| RunLabel {
                run_id: run_id(number),
                trial: (*trial).to_owned(),
                seed: 7,
                steps: 2000,
                first_step: 0,
                cost: None,
                log: "log.txt".into(),
            };
            let run = |number| QueuedRun::new(run_id(number), 7, None, 1);
            let device = Device::new("cpu", 2, 1);
            Self {
                queue: Queue::new((0..4).map(run).collect(), vec![device], Policy::default()),
                tracker: Tracker::new(trials.iter().enumerate().map(label).collect()),
            }
        }

        fn start(&mut self, at: Duration) -> Start {
            let start = self.queue.next(at).unwrap();
            self.tracker.take(&Update { at, queue: &self.queue, news: News::Started(&start) });
            start
        }

        fn said(&mut self, start: &Start, at: Duration, event: RunEvent) {
            let news = News::Said { run_id: &start.run_id, event: &event };
            self.tracker.take(&Update { at, queue: &self.queue, news });
        }

        fn progress(&mut self, start: &Start, at: Duration, step: u64, loss: f64, phase: Phase) {
            let stamp = Stamp { step, ..Stamp::default() };
            self.said(start, at, RunEvent::Progress { stamp, loss: Some(loss), phase });
        }

        fn evaluated(&mut self, start: &Start, at: Duration, step: u64, metric: &str, value: f64) {
            let stamp = Stamp { step, ..Stamp::default() };
            let measures = vec![Measure { metric: metric.into(), protocol: "".into(), value }];
            self.said(start, at, RunEvent::Evaluated { stamp, measures, samples: String::new() });
        }

        fn ended(&mut self, start: &Start, at: Duration, outcome: RunOutcome) {
            let retry_at = self.queue.ended(&start.run_id, outcome.clone(), at);
            let news = News::Ended { run_id: &start.run_id, outcome: &outcome, retry_at };
            self.tracker.take(&Update { at, queue: &self.queue, news });
        }

        fn display(&self, at: Duration, width: usize) -> Vec<String> {
            let paint = Paint { color: false };
            display(&self.tracker, "quickstart", &self.queue, at, width, paint)
        }
    }

    fn started(from_step: u64) -> RunEvent {
        let json = serde_json::json!({
            "event": "started", "version": 1, "run_id": "000000000000", "attempt": 1, "from_checkpoint": 0,
            "from_step": from_step, "program": "speedlab", "device": "cpu", "started_at": "2026-11-22T19:00:00Z",
        });
        serde_json::from_value(json).unwrap()
    }

    /// Two runs in the middle of their training.
    fn busy_session() -> Session {
        let mut session = Session::new();
        let first = session.start(Duration::ZERO);
        let second = session.start(Duration::ZERO);
        session.said(&first, SECOND, started(0));
        session.said(&second, SECOND, started(1000));
        session.evaluated(&first, 20 * SECOND, 400, "fid", 143.25);
        session.progress(&first, 21 * SECOND, 500, 0.03125, Phase::Training);
        session.progress(&second, 21 * SECOND, 1200, f64::NAN, Phase::Evaluating);
        session
    }

    /// 0.06 s per step so far: the first run ends in 60 s, the second in 80, then each slot takes one run of 120 s.
    #[test]
    fn at_eighty_columns_everything_has_its_place() {
        let lines = busy_session().display(21 * SECOND, 79);
        let expected = [
            "baseline seed 7      ━╸─────    500/2,000  loss 0.0312  fid 143.2   1m 00s left",
            "clts+mdlrc … seed 7  ━━━━───  1,200/2,000  evaluating               1m 20s left",
            "quickstart           ━──────  0/4 done  2 running                   3m 20s left",
        ];
        for (line, expected) in lines.iter().zip(expected) {
            assert_eq!(line.trim_end(), expected);
        }
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_at_any_width() {
        let session = busy_session();
        for width in 1..200 {
            for line in session.display(21 * SECOND, width) {
                assert!(line.chars().count() <= width, "{width}: {line:?}");
            }
        }
    }

    #[test]
    fn colours_add_no_columns() {
        let session = busy_session();
        let paint = Paint { color: true };
        let coloured = display(&session.tracker, "quickstart", &session.queue, 21 * SECOND, 79, paint);
        assert!(coloured.iter().all(|line| line.contains("\x1b[36m") || line.contains("\x1b[32m")));
        let mut plain = coloured.join("\n");
        for code in [0, 1, 2, 31, 32, 33, 36] {
            plain = plain.replace(&format!("\x1b[{code}m"), "");
        }
        assert_eq!(plain, session.display(21 * SECOND, 79).join("\n"));
    }

    #[test]
    fn an_evaluation_without_fid_shows_the_validation_loss() {
        let mut session = Session::new();
        let start = session.start(Duration::ZERO);
        session.evaluated(&start, SECOND, 100, "validation_loss", 0.5);
        assert!(session.display(SECOND, 79)[0].contains("val 0.5000"), "{:?}", session.display(SECOND, 79));
    }

    #[test]
    fn ended_runs_leave_their_line_and_are_counted() {
        let mut session = busy_session();
        let first = Start {
            run_id: RunId::parse("000000000000").unwrap(),
            number: 1,
            device: "cpu".into(),
            slot: crate::schedule::Slot { device: 0, index: 0 },
            threads: 1,
            gpu_kernels: crate::schedule::GpuKernels::Fused,
            micro_batches: 1,
        };
        session.progress(&first, 81 * SECOND, 2000, 0.01, Phase::Training);
        session.ended(&first, 81 * SECOND, RunOutcome::OutOfMemory { reason: "5 GB".into() });
        let lines = session.display(81 * SECOND, 79);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].contains("0/4 done  1 running  1 failed"), "{}", lines[1]);
    }

    #[test]
    fn many_running_runs_are_counted_instead_of_shown() {
        let run_id = |number: usize| RunId::parse(&format!("{number:012x}")).unwrap();
        let run = |number| QueuedRun::new(run_id(number), 0, None, 64);
        let device = Device::new("cpu", 64, 1);
        let mut queue = Queue::new((0..64).map(run).collect(), vec![device], Policy::default());
        let mut tracker = Tracker::new(Vec::new());
        while let Some(start) = queue.next(SECOND) {
            tracker.take(&Update { at: SECOND, queue: &queue, news: News::Started(&start) });
        }
        let paint = Paint { color: false };
        let lines = display(&tracker, "quickstart", &queue, SECOND, 79, paint);
        assert_eq!(lines.len(), SHOWN_RUNS + 2);
        assert_eq!(lines[SHOWN_RUNS], "and 52 more running");
    }

    #[test]
    fn while_stopping_no_time_is_promised() {
        let mut session = busy_session();
        let news = News::Stopping(&StopReason::Asked);
        session.tracker.take(&Update { at: 22 * SECOND, queue: &session.queue, news });
        let lines = session.display(22 * SECOND, 79);
        assert!(lines.iter().all(|line| !line.contains("left")), "{lines:?}");
        assert!(lines[0].contains("stopping"), "{lines:?}");
    }
}
