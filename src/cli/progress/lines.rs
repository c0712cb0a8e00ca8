//! The lines of the live display, each fitted to the terminal's width. Pure.

use std::time::Duration;

use super::paint::{Ink, Paint};
use super::tracker::{Doing, Tracked, Tracker};
use super::words::{counted, measured, roughly, shortened};
use crate::schedule::{Counts, Queue};

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
    words
}

const GAP: usize = 2;
/// `loss 0.0312`, `fid 143.25`, `2m 10s left`
const LOSS: usize = 11;
const QUALITY: usize = 10;
const LEFT: usize = 11;
const LEAST_BAR: usize = 6;
const MOST_BAR: usize = 40;

/// Widths of the columns, the same for all lines and, while the terminal keeps its size, at all times. 0: left out.
struct Columns {
    width: usize,
    title: usize,
    bar: usize,
    steps: usize,
    loss: usize,
    quality: usize,
    left: usize,
}

impl Columns {
    fn fit(tracker: &Tracker, sweep: &str, width: usize) -> Self {
        let titles = tracker.labels.values().map(|label| label.title().chars().count());
        let longest_title = titles.chain([sweep.chars().count()]).max().unwrap_or(0);
        let most_steps = tracker.labels.values().map(|label| label.steps).max().unwrap_or(0);
        let title = longest_title.min((width / 4).max(12));
        let steps = 2 * counted(most_steps).len() + 1;
        let mut columns = Self { width, title, bar: 0, steps, loss: LOSS, quality: QUALITY, left: LEFT };
        // What a narrow terminal can do without, least important first.
        for drop in
            [|_: &mut Self| {}, |c: &mut Self| c.loss = 0, |c: &mut Self| c.steps = 0, |c: &mut Self| c.quality = 0]
        {
            drop(&mut columns);
            let rest = columns.after_bar() + columns.title + GAP;
            columns.bar = width.saturating_sub(rest).min(MOST_BAR);
            if columns.bar >= LEAST_BAR {
                break;
            }
        }
        columns
    }

    /// Columns to the right of the bar.
    fn after_bar(&self) -> usize {
        [self.steps, self.loss, self.quality, self.left]
            .iter()
            .filter(|&&width| width > 0)
            .map(|width| GAP + width)
            .sum()
    }
}

fn run_line(tracker: &Tracker, run: &Tracked, at: Duration, columns: &Columns, paint: Paint) -> String {
    let label = tracker.labels.get(&run.run_id);
    let title = label.map_or_else(|| run.run_id.to_string(), |label| label.short_title(columns.title));
    let doing = match (run.doing, run.loss) {
        (Doing::Starting, _) => (Ink::Dim, "starting".to_owned()),
        (Doing::Evaluating, _) => (Ink::Yellow, "evaluating".to_owned()),
        (Doing::Stopping, _) => (Ink::Yellow, "stopping".to_owned()),
        (Doing::Training, Some(loss)) => (Ink::Plain, format!("loss {}", measured(loss))),
        (Doing::Training, None) => (Ink::Plain, String::new()),
    };
    let steps = format!("{}/{}", counted(run.step), counted(tracker.steps(&run.run_id)));
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

/// A line in the making, of columns with a gap between them.
struct Line {
    text: String,
    used: usize,
    width: usize,
    paint: Paint,
}

impl Line {
    fn new(width: usize, paint: Paint) -> Self {
        Self { text: String::new(), used: 0, width, paint }
    }

    fn left(&mut self, ink: Ink, text: &str, columns: usize) {
        self.column(ink, text, columns, false);
    }

    fn right(&mut self, ink: Ink, text: &str, columns: usize) {
        self.column(ink, text, columns, true);
    }

    fn bar(&mut self, ink: Ink, fraction: f64, columns: usize) {
        let halves = (fraction * 2.0 * columns as f64) as usize;
        let done = "━".repeat(halves / 2) + if halves % 2 == 1 { "╸" } else { "" };
        let rest = "─".repeat(columns - done.chars().count());
        self.gap(columns);
        if self.used + columns <= self.width {
            self.text += &(self.paint.ink(ink, &done) + &self.paint.ink(Ink::Dim, &rest));
            self.used += columns;
        }
    }

    fn column(&mut self, ink: Ink, text: &str, columns: usize, to_the_right: bool) {
        self.gap(columns);
        let columns = columns.min(self.width - self.used);
        let text = shortened(text, columns);
        let padding = columns - text.chars().count();
        let painted = self.paint.ink(ink, &text);
        if to_the_right {
            self.space(padding);
            self.text += &painted;
        } else {
            self.text += &painted;
            self.space(padding);
        }
        self.used += columns - padding;
    }

    /// Before a column that is not left out, unless it is the first.
    fn gap(&mut self, columns: usize) {
        if self.used > 0 && columns > 0 {
            self.space(GAP.min(self.width - self.used));
        }
    }

    fn space(&mut self, columns: usize) {
        self.text += &" ".repeat(columns);
        self.used += columns;
    }
}
