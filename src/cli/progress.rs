//! What a person sees of a running sweep, on standard error: live bars on a terminal, a line now and then elsewhere.

mod columns;
pub(super) mod line;
mod lines;
pub(super) mod live_area;
pub(super) mod paint;
pub(super) mod words;

use std::env;
use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use comfy_table::Table;

use self::lines::{counts_words, display};
use self::live_area::LiveArea;
use self::paint::{Ink, Paint};
use self::words::{exactly, measured, roughly, shortened};
use crate::event::{RunEvent, RunOutcome};
use crate::report::number::grouped;
use crate::schedule::{Decision, GpuKernels, News, StopReason, Summary, Update};
use crate::spec::RunId;
use crate::study::{RunLabel, Tracker};

/// Between two redraws of the bars.
const REDRAW: Duration = Duration::from_millis(200);
/// Between two summaries of the sweep where there are no bars, at least; in a long sweep a fiftieth of its age.
const SUMMARY: Duration = Duration::from_secs(10);
/// Before the further lines of a piece of news.
const INDENT: &str = "             ";
/// Lines of a crash's reason that are shown; the log has all.
const REASON_LINES: usize = 6;

/// The trial's name gives way to the seed.
pub(super) fn short_title(label: &RunLabel, columns: usize) -> String {
    let seed = format!(" seed {}", label.seed);
    let trial = shortened(&label.trial, columns.saturating_sub(seed.chars().count()));
    shortened(&(trial + &seed), columns)
}

/// Shows a session of [`crate::schedule::execute`] as it goes.
pub struct Progress {
    sweep: String,
    screen: Screen,
    paint: Paint,
}

enum Screen {
    Bars {
        area: LiveArea,
        /// The lines as they were last drawn.
        lines: Vec<String>,
        drawn_at: Duration,
    },
    Lines {
        summary_at: Duration,
    },
    /// Failures alone.
    Quiet,
}

impl Progress {
    /// `color`: whether standard error is to be coloured. Bars need a terminal that can move
    /// its cursor.
    pub fn new(sweep: &str, quiet: bool, color: bool) -> Self {
        let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
        let screen = if quiet {
            Screen::Quiet
        } else if stderr().is_terminal() && !dumb {
            Screen::Bars { area: LiveArea::default(), lines: Vec::new(), drawn_at: Duration::ZERO }
        } else {
            Screen::Lines { summary_at: Duration::ZERO }
        };
        Self { sweep: sweep.to_owned(), screen, paint: Paint { color } }
    }

    /// The observer of [`crate::schedule::execute`].
    pub fn show(&mut self, update: &Update, tracker: &Tracker) {
        match update.news {
            News::Started(start) if !self.has_bars() => {
                let note = if start.number > 1 { format!(" again (start {})", start.number) } else { String::new() };
                self.say(update.at, Ink::Plain, "started", &format!("{}{note}", tracker.title(&start.run_id)));
            }
            News::Said { run_id, event: RunEvent::Evaluated { stamp, .. } } if !self.has_bars() => {
                let steps = format!("{}/{}", grouped(stamp.step), grouped(tracker.steps(run_id)));
                let text = format!("{} at step {steps}{}", tracker.title(run_id), quality_words(tracker, run_id));
                self.say(update.at, Ink::Plain, "evaluated", &text);
            }
            News::Ended { run_id, outcome, retry_at } => {
                self.ended(tracker, update.at, run_id, outcome, retry_at);
            }
            News::LogLost { run_id, reason } => {
                let text = format!("{}: its log can no longer be written: {reason}", tracker.title(run_id));
                self.say_always(update.at, Ink::Yellow, "warning", &text);
            }
            News::Decided(decision) => self.decided(tracker, update.at, decision),
            News::Stopping(reason @ StopReason::NoDevice { .. }) => {
                self.say_always(update.at, Ink::Red, "stopping", &reason.to_string());
            }
            News::Stopping(StopReason::Asked) if !tracker.running.is_empty() => {
                let text = "running runs write a checkpoint; Ctrl-C again stops them at once";
                self.say(update.at, Ink::Yellow, "stopping", text);
            }
            News::Stopping(StopReason::Failed(run_id)) => {
                let text = format!("{} failed; running runs write a checkpoint", tracker.title(run_id));
                self.say(update.at, Ink::Yellow, "stopping", &text);
            }
            News::Killing if !tracker.running.is_empty() => {
                self.say(update.at, Ink::Yellow, "killing", "running runs end at once");
            }
            News::Finished(summary) => self.finished(summary),
            _ => {}
        }
        self.refresh(update, tracker);
    }

    fn decided(&mut self, tracker: &Tracker, at: Duration, decision: &Decision) {
        match decision {
            Decision::DeviceOut { device, reason } => {
                let reason = reason.lines().next().unwrap_or_default();
                self.say_always(at, Ink::Red, "device out", &format!("nothing starts on {device} any more: {reason}"));
            }
            Decision::OtherKernels { device, gpu_kernels, .. } => {
                let with = match gpu_kernels {
                    GpuKernels::Fused => "fused kernels",
                    GpuKernels::Unfused => "kernels that are not fused",
                    GpuKernels::Burns => "burn's kernels alone",
                };
                let text = format!("{device} is tried again with {with}, which are slower and may be right");
                self.say_always(at, Ink::Yellow, "kernels", &text);
            }
            Decision::BurnsKernels { run_id } => {
                let text = format!("{} is tried with burn's kernels alone", tracker.title(run_id));
                self.say_always(at, Ink::Yellow, "kernels", &text);
            }
            Decision::MicroBatches { run_id, micro_batches } => {
                let text = format!("{} takes each batch in {micro_batches} pieces", tracker.title(run_id));
                self.say(at, Ink::Yellow, "smaller", &text);
            }
            Decision::Paused { reason } => {
                let reason = reason.lines().next().unwrap_or_default();
                let text =
                    format!("{reason}\n{INDENT}nothing starts until there is room; then the sweep goes on by itself");
                self.say_always(at, Ink::Yellow, "paused", &text);
            }
            Decision::Resumed => self.say_always(at, Ink::Green, "resumed", "there is room on the disk"),
        }
    }

    /// What is known of the runs after the last update.
    /// Says that something is amiss with the session itself.
    pub(super) fn warn(&mut self, at: Duration, text: &str) {
        self.say_always(at, Ink::Yellow, "warning", text);
    }

    fn has_bars(&self) -> bool {
        matches!(self.screen, Screen::Bars { .. })
    }

    fn ended(
        &mut self,
        tracker: &Tracker,
        at: Duration,
        run_id: &RunId,
        outcome: &RunOutcome,
        retry_at: Option<Duration>,
    ) {
        let took = tracker.ended_after();
        let title = tracker.title(run_id);
        let result = format!("{title}{}, {}", quality_words(tracker, run_id), exactly(took.as_secs_f64()));
        let (ink, word, reason) = match outcome {
            RunOutcome::Completed => return self.say(at, Ink::Green, "completed", &result),
            RunOutcome::ReachedTarget => return self.say(at, Ink::Green, "reached", &result),
            RunOutcome::Interrupted { reason } => {
                return self.say(at, Ink::Yellow, "interrupted", &format!("{title}: {reason}"));
            }
            RunOutcome::Diverged { reason } => (Ink::Yellow, "diverged", reason),
            RunOutcome::OutOfMemory { reason }
            | RunOutcome::Crashed { reason }
            | RunOutcome::TimedOut { reason }
            | RunOutcome::DeviceLost { reason }
            | RunOutcome::DeviceDisagrees { reason }
            | RunOutcome::DiskFull { reason } => (Ink::Red, outcome.word(), reason),
        };
        let mut reason_lines = reason.lines();
        let how = reason_lines.next().unwrap_or("no reason given");
        let rest: Vec<&str> = reason_lines.collect();
        let mut text = format!("{title}: {how}");
        let mut add = |line: &str| text += &format!("\n{INDENT}{line}");
        if let Some(retry_at) = retry_at {
            match outcome {
                // What is decided for these is said on its own.
                RunOutcome::DiskFull { .. } | RunOutcome::DeviceLost { .. } | RunOutcome::DeviceDisagrees { .. } => {}
                RunOutcome::OutOfMemory { .. } => {
                    add("starts again from its checkpoint, with its batch in smaller pieces")
                }
                _ => {
                    let pause = roughly(retry_at.saturating_sub(at).as_secs_f64());
                    add(&format!("starts again from its checkpoint in {pause}, or when there is a place for it"));
                }
            }
            return self.say(at, Ink::Yellow, word, &text);
        }
        rest[rest.len().saturating_sub(REASON_LINES)..].iter().for_each(|line| add(line));
        if let Some(label) = tracker.labels.get(run_id) {
            add(&format!("log: {}", label.log.display()));
        }
        self.say_always(at, ink, word, &text);
    }

    fn finished(&mut self, summary: &Summary) {
        let Summary { counts, done_before, elapsed, .. } = summary;
        let parts = [
            (*done_before, "ended before"),
            (counts.diverged, "diverged"),
            (counts.failed(), "failed"),
            (counts.interrupted, "interrupted"),
            (counts.put_off, "put off"),
            (counts.waiting, "not started"),
        ];
        let parts =
            parts.into_iter().filter(|&(number, _)| number > 0).map(|(number, word)| format!("{number} {word}"));
        let parts = parts.collect::<Vec<_>>().join(", ");
        let took = exactly(elapsed.as_secs_f64());
        let mut text = format!("{} of {} runs in {took}", counts.done(), counts.total());
        if !parts.is_empty() {
            text += &format!("; {parts}");
        }
        let ink = if summary.all_done() { Ink::Green } else { Ink::Yellow };
        self.say(*elapsed, ink, "done", &text);
    }

    /// Redraws the bars, or sums up the sweep, when it is time.
    fn refresh(&mut self, update: &Update, tracker: &Tracker) {
        let Update { at, queue, news } = *update;
        match &mut self.screen {
            Screen::Bars { area, lines, .. } if matches!(news, News::Finished(_)) => {
                lines.clear();
                write(&area.clear(terminal_width()));
            }
            Screen::Bars { area, lines, drawn_at } => {
                let changed = matches!(news, News::Started(_) | News::Ended { .. } | News::Stopping(_));
                if changed || at.saturating_sub(*drawn_at) >= REDRAW {
                    *drawn_at = at;
                    let width = terminal_width();
                    *lines = display(tracker, &self.sweep, queue, at, width - 1, self.paint);
                    write(&area.draw(lines, width));
                }
            }
            Screen::Lines { summary_at } => {
                if at.saturating_sub(*summary_at) >= SUMMARY.max(at / 50) && !matches!(news, News::Finished(_)) {
                    *summary_at = at;
                    let mut words: Vec<String> =
                        counts_words(&queue.counts()).into_iter().map(|(_, word)| word).collect();
                    words.extend(tracker.sweep_seconds_left(queue, at).map(|left| format!("{} left", roughly(left))));
                    let running = tracker
                        .running
                        .values()
                        .take(4)
                        .map(|run| format!("{} {:.0}%", tracker.title(&run.run_id), 100.0 * tracker.fraction(run)));
                    let running = running.collect::<Vec<_>>().join(", ");
                    let text =
                        if running.is_empty() { words.join(", ") } else { format!("{}; {running}", words.join(", ")) };
                    let sweep = self.sweep.clone();
                    self.say(at, Ink::Plain, "sweep", &format!("{sweep}: {text}"));
                }
            }
            Screen::Quiet => {}
        }
    }

    /// One line of news, unless quiet.
    fn say(&mut self, at: Duration, ink: Ink, word: &str, text: &str) {
        if !matches!(self.screen, Screen::Quiet) {
            self.say_always(at, ink, word, text);
        }
    }

    fn say_always(&mut self, at: Duration, ink: Ink, word: &str, text: &str) {
        let word = self.paint.ink(ink, &format!("{word:>11}"));
        let age = self.paint.ink(Ink::Dim, &format!("[{:>7}]", exactly(at.as_secs_f64())));
        match &mut self.screen {
            Screen::Bars { area, lines, .. } => {
                write(&area.print_above(&format!("{word}  {text}").replace('\n', "\r\n"), lines, terminal_width()));
            }
            Screen::Lines { .. } | Screen::Quiet => write(&format!("{age} {word}  {text}\n")),
        }
    }
}

/// `, fid 12.31` once there was an evaluation.
fn quality_words(tracker: &Tracker, run_id: &RunId) -> String {
    let quality = tracker.quality.get(run_id);
    quality.map(|(name, value)| format!(", {name} {}", measured(*value))).unwrap_or_default()
}

fn write(text: &str) {
    let mut stderr = stderr().lock();
    // It fails when nobody reads standard error any more; the sweep goes on, and its records tell the same.
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Columns of the terminal that standard error is.
fn terminal_width() -> usize {
    // The crate that lays out tables knows how to ask.
    Table::new().use_stderr().width().filter(|&width| width > 0).map_or(80, |width| usize::from(width).max(2))
}
