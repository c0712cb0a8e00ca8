//! The lines of the live table, each fitted to the terminal's width. Pure.

use std::collections::BTreeMap;

use super::super::progress;
use super::super::progress::line::{GAP, Line};
use super::super::progress::paint::{Ink, Paint};
use super::super::progress::words::{measured, roughly, shortened};
use crate::record::{LiveFile, LiveRun, LiveState};
use crate::report::number::grouped;
use crate::spec::RunId;
use crate::study::RunLabel;

/// More than these are only counted, so that all fits a terminal of 24 rows.
const SHOWN_RUNNING: usize = 10;
const SHOWN_WAITING: usize = 3;
const SHOWN_FAILED: usize = 3;

/// `evaluating`, `loss 0.0312`; `fid 143.25`; `2m 10s left`
const DOING: usize = 11;
const QUALITY: usize = 10;
const LEFT: usize = 11;
const LEAST_BAR: usize = 6;
const MOST_BAR: usize = 40;

pub(super) type Labels = BTreeMap<RunId, RunLabel>;

/// A line for each running run, for those that start next and why they wait, for those that failed, and one for the sweep. No
/// line is wider than `width` columns.
pub(super) fn live_lines(live: &LiveFile, labels: &Labels, sweep: &str, width: usize, paint: Paint) -> Vec<String> {
    let of = |state: LiveState| live.runs.iter().filter(move |run| run.state == state);
    let running: Vec<&LiveRun> = of(LiveState::Running).collect();
    let columns = Columns::fit(&running, live, labels, sweep, width);
    let mut lines = Vec::new();
    let count_the_rest = |lines: &mut Vec<String>, rest: usize, word: &str| {
        if rest > 0 {
            let rest = format!("and {rest} more {word}");
            lines.push(paint.ink(Ink::Dim, &shortened(&rest, width)));
        }
    };
    lines.extend(running.iter().take(SHOWN_RUNNING).map(|&run| running_line(run, labels, &columns, paint)));
    count_the_rest(&mut lines, running.len().saturating_sub(SHOWN_RUNNING), "running");

    let next: Vec<&LiveRun> = live.next.iter().take(SHOWN_WAITING).filter_map(|run_id| live.run(run_id)).collect();
    lines.extend(next.iter().map(|&run| idle_line(run, labels, &columns, Ink::Dim, paint)));
    count_the_rest(&mut lines, of(LiveState::Waiting).count().saturating_sub(next.len()), "waiting");

    let failed = of(LiveState::Failed).take(SHOWN_FAILED);
    lines.extend(failed.map(|run| idle_line(run, labels, &columns, Ink::Red, paint)));
    count_the_rest(&mut lines, of(LiveState::Failed).count().saturating_sub(SHOWN_FAILED), "failed");

    lines.push(sweep_line(live, sweep, &columns, paint));
    lines
}

/// The sweep in one line, where there is no terminal: `2/15 done, 2 running, 11 waiting, 12m left; clts seed 0 40%, ..`.
pub(super) fn live_words(live: &LiveFile, labels: &Labels) -> String {
    let mut words: Vec<String> = counts_words(live).into_iter().map(|(_, word)| word).collect();
    words.extend(live.seconds_left.map(left_words));
    let running = live.runs.iter().filter(|run| run.state == LiveState::Running).take(4);
    let running: Vec<String> =
        running.map(|run| format!("{} {:.0}%", title(run, labels), 100.0 * fraction(run))).collect();
    let separator = if running.is_empty() { "" } else { "; " };
    format!("{}{separator}{}", words.join(", "), running.join(", "))
}

/// Widths of the columns, the same for all lines. 0: left out.
struct Columns {
    width: usize,
    title: usize,
    device: usize,
    bar: usize,
    steps: usize,
    doing: usize,
    quality: usize,
    left: usize,
}

impl Columns {
    fn fit(running: &[&LiveRun], live: &LiveFile, labels: &Labels, sweep: &str, width: usize) -> Self {
        let titles = live.runs.iter().map(|run| title(run, labels).chars().count());
        let longest_title = titles.chain([sweep.chars().count()]).max().unwrap_or(0);
        let devices = running.iter().filter_map(|run| run.device.as_deref()).map(|device| device.chars().count());
        let most_steps = live.runs.iter().map(|run| run.steps).max().unwrap_or(0);
        let mut columns = Self {
            width,
            title: longest_title.min((width / 4).max(12)),
            device: devices.max().unwrap_or(0).min(12),
            bar: 0,
            steps: 2 * grouped(most_steps).len() + 1,
            doing: DOING,
            quality: QUALITY,
            left: LEFT,
        };
        // What a narrow terminal can do without, least important first.
        let drops: [fn(&mut Self); 4] = [|c| c.device = 0, |c| c.doing = 0, |c| c.steps = 0, |c| c.quality = 0];
        let mut drops = drops.into_iter();
        loop {
            columns.bar = width.saturating_sub(columns.but_the_bar()).min(MOST_BAR);
            match drops.next() {
                Some(drop) if columns.bar < LEAST_BAR => drop(&mut columns),
                _ => return columns,
            }
        }
    }

    /// All columns but the bar's, and the gap before it.
    fn but_the_bar(&self) -> usize {
        let others = [self.device, self.steps, self.doing, self.quality, self.left];
        let others: usize = others.iter().filter(|&&width| width > 0).map(|width| GAP + width).sum();
        self.title + GAP + others
    }
}

fn running_line(run: &LiveRun, labels: &Labels, columns: &Columns, paint: Paint) -> String {
    let phase = run.phase.as_deref().unwrap_or("running");
    let doing = match (phase, run.loss) {
        ("training", Some(loss)) => (Ink::Plain, format!("loss {}", measured(loss))),
        ("training", None) => (Ink::Plain, String::new()),
        (phase, _) => (Ink::Yellow, phase.to_owned()),
    };
    let steps = format!("{}/{}", grouped(run.step.unwrap_or(0)), grouped(run.steps));
    let quality = run.quality.as_ref().map(|quality| format!("{} {}", quality.name, measured(quality.value)));
    let mut line = Line::new(columns.width, paint);
    line.left(Ink::Plain, &short_title(run, labels, columns.title), columns.title);
    line.left(Ink::Dim, run.device.as_deref().unwrap_or_default(), columns.device);
    line.bar(Ink::Cyan, fraction(run), columns.bar);
    line.right(Ink::Plain, &steps, columns.steps);
    line.left(doing.0, &doing.1, columns.doing);
    line.left(Ink::Green, &quality.unwrap_or_default(), columns.quality);
    line.right(Ink::Dim, &run.seconds_left.map(left_words).unwrap_or_default(), columns.left);
    line.text
}

/// A run that waits or has failed: its title, and why.
fn idle_line(run: &LiveRun, labels: &Labels, columns: &Columns, ink: Ink, paint: Paint) -> String {
    let mut line = Line::new(columns.width, paint);
    line.left(Ink::Plain, &short_title(run, labels, columns.title), columns.title);
    line.left(ink, &run.detail, columns.width);
    line.text
}

fn sweep_line(live: &LiveFile, sweep: &str, columns: &Columns, paint: Paint) -> String {
    let mut line = Line::new(columns.width, paint);
    line.left(Ink::Bold, sweep, columns.title);
    let mut room = columns.width.saturating_sub(columns.title);
    let left = live.seconds_left.map(|left| (Ink::Bold, left_words(left)));
    for (ink, word) in counts_words(live).into_iter().chain(left) {
        let needed = GAP + word.chars().count();
        if needed > room {
            break;
        }
        line.left(ink, &word, needed - GAP);
        room -= needed;
    }
    line.text
}

/// `4/15 done`, `2 running`, and what else there is to say.
fn counts_words(live: &LiveFile) -> Vec<(Ink, String)> {
    let count = |state: LiveState| live.runs.iter().filter(|run| run.state == state).count();
    let mut words = vec![(Ink::Plain, format!("{}/{} done", count(LiveState::Done), live.runs.len()))];
    let others = [
        (Ink::Plain, LiveState::Running, "running"),
        (Ink::Plain, LiveState::Waiting, "waiting"),
        (Ink::Red, LiveState::Failed, "failed"),
        (Ink::Yellow, LiveState::Interrupted, "interrupted"),
    ];
    let others = others.into_iter().map(|(ink, state, word)| (ink, count(state), word));
    let others = others.filter(|&(_, number, _)| number > 0);
    words.extend(others.map(|(ink, number, word)| (ink, format!("{number} {word}"))));
    words
}

fn title(run: &LiveRun, labels: &Labels) -> String {
    labels.get(&run.run_id).map_or_else(|| run.run_id.to_string(), RunLabel::title)
}

fn short_title(run: &LiveRun, labels: &Labels, columns: usize) -> String {
    labels.get(&run.run_id).map_or_else(|| run.run_id.to_string(), |label| progress::short_title(label, columns))
}

/// Share of a run's steps that are done, 0 to 1.
fn fraction(run: &LiveRun) -> f64 {
    (run.step.unwrap_or(0) as f64 / run.steps.max(1) as f64).min(1.0)
}

fn left_words(seconds: f64) -> String {
    format!("{} left", roughly(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::LiveQuality;

    fn run_id(number: usize) -> RunId {
        RunId::parse(&format!("{number:012x}")).unwrap()
    }

    fn run(number: usize, state: LiveState, detail: &str) -> LiveRun {
        LiveRun::new(run_id(number), state, detail, 2000)
    }

    fn running(number: usize, phase: &str, step: u64) -> LiveRun {
        LiveRun {
            device: Some("cpu".to_owned()),
            phase: Some(phase.to_owned()),
            step: Some(step),
            ..run(number, LiveState::Running, "running on slot 0")
        }
    }

    /// Two running runs, two that wait, one that failed, one that is done.
    fn live() -> LiveFile {
        let mut live = LiveFile::of_this_process("2026-11-22T19:00:00Z");
        live.seconds_left = Some(200.0);
        live.next = vec![run_id(2), run_id(3)];
        live.runs = vec![
            LiveRun {
                loss: Some(0.03125),
                quality: Some(LiveQuality { name: "fid".to_owned(), value: 143.25 }),
                seconds_left: Some(60.0),
                ..running(0, "training", 500)
            },
            running(1, "evaluating", 1200),
            run(2, LiveState::Waiting, "waits for a free slot: next"),
            run(3, LiveState::Waiting, "waits for a free slot: 1 run goes before it"),
            run(4, LiveState::Failed, "crashed: exited with status 3"),
            run(5, LiveState::Done, "completed"),
        ];
        live
    }

    fn labels() -> Labels {
        let trials =
            ["baseline", "clts+mdlrc model.channels=32 optimizer.beta1=0.9", "mdlrc", "same-lr", "clts", "edm"];
        let label = |(number, trial): (usize, &&str)| RunLabel {
            run_id: run_id(number),
            trial: (*trial).to_owned(),
            seed: 7,
            steps: 2000,
            first_step: 0,
            cost: None,
            log: "log.txt".into(),
        };
        trials.iter().enumerate().map(label).map(|label| (label.run_id.clone(), label)).collect()
    }

    fn lines(live: &LiveFile, width: usize) -> Vec<String> {
        live_lines(live, &labels(), "quickstart", width, Paint { color: false })
    }

    #[test]
    fn what_runs_what_waits_and_why_and_what_failed_has_its_line() {
        let lines = lines(&live(), 100);
        let starts = ["baseline seed 7", "clts+mdlrc", "mdlrc seed 7", "same-lr seed 7", "clts seed 7", "quickstart"];
        assert_eq!(lines.len(), starts.len());
        for (line, start) in lines.iter().zip(starts) {
            assert!(line.starts_with(start), "{line}");
        }
        for part in ["cpu", "500/2,000", "loss 0.0312", "fid 143.2", "1m 00s left", "━"] {
            assert!(lines[0].contains(part), "{part} is not in {}", lines[0]);
        }
        assert!(lines[1].contains("evaluating") && lines[1].contains("… seed 7"), "{}", lines[1]);
        assert!(lines[2].contains("waits for a free slot: next"), "{}", lines[2]);
        assert!(lines[3].contains("1 run goes before it"), "{}", lines[3]);
        assert!(lines[4].contains("crashed: exited with status 3"), "{}", lines[4]);
        let sums = "1/6 done  2 running  2 waiting  1 failed  3m 20s left";
        assert!(lines[5].contains(sums), "{}", lines[5]);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_at_any_width() {
        for width in 1..200 {
            for line in lines(&live(), width) {
                assert!(line.chars().count() <= width, "{width}: {line:?}");
            }
        }
    }

    #[test]
    fn a_thousand_runs_fit_a_terminal() {
        let mut live = live();
        live.runs = (0..1000)
            .map(|number| match number % 4 {
                0 => running(number, "training", 10),
                1 => run(number, LiveState::Waiting, "waits for a free slot"),
                2 => run(number, LiveState::Failed, "crashed: exited with status 3"),
                _ => run(number, LiveState::Done, "completed"),
            })
            .collect();
        live.next = [1, 5, 9, 13].map(run_id).to_vec();
        let lines = lines(&live, 80);
        assert_eq!(lines.len(), SHOWN_RUNNING + SHOWN_WAITING + SHOWN_FAILED + 4);
        assert!(lines.iter().any(|line| line == "and 247 more waiting"), "{lines:?}");
    }

    #[test]
    fn without_a_terminal_it_is_one_line() {
        let words = live_words(&live(), &labels());
        let start = "1/6 done, 2 running, 2 waiting, 1 failed, 3m 20s left; baseline seed 7 25%, clts+mdlrc";
        assert!(words.starts_with(start) && words.ends_with(" 60%"), "{words}");
    }
}
