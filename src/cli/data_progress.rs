//! Progress of what takes long and is no training, on stderr: images fetched and decoded, files written.

use std::io::{IsTerminal as _, Write as _};

use super::progress::live_area::LiveArea;
use super::table::bytes;
use crate::data::{Progress, Unit};
use crate::report::number::grouped;
use crate::train::Stopwatch;

/// One line, redrawn in place on a terminal; elsewhere a line every so often.
pub(super) struct DataProgress {
    quiet: bool,
    on_terminal: bool,
    area: LiveArea,
    stopwatch: Stopwatch,
    /// When the last line was shown, and what it was about.
    shown: Option<(f64, String)>,
}

/// Seconds between two lines on a terminal, and elsewhere.
const TERMINAL_SECONDS: f64 = 0.1;
const LOG_SECONDS: f64 = 5.0;
/// Nobody's terminal is known to be wider; longer lines are cut by the terminal.
const COLUMNS: usize = 120;

impl DataProgress {
    pub fn new(quiet: bool) -> Self {
        Self {
            quiet,
            on_terminal: std::io::stderr().is_terminal(),
            area: LiveArea::default(),
            stopwatch: Stopwatch::continuing(&crate::event::Stamp::default()),
            shown: None,
        }
    }

    pub fn show(&mut self, progress: &Progress) {
        self.show_line(&progress.doing, || words(progress));
    }

    /// `merging  12 of 96 runs`.
    pub fn count(&mut self, doing: &str, done: usize, total: usize, unit: &str) {
        self.show_line(doing, || format!("{doing}  {} of {} {unit}", grouped(done as u64), grouped(total as u64)));
    }

    fn show_line(&mut self, doing: &str, line: impl FnOnce() -> String) {
        let now = self.stopwatch.wall_seconds();
        let pause = if self.on_terminal { TERMINAL_SECONDS } else { LOG_SECONDS };
        let is_new = |(at, last): &(f64, String)| now - at >= pause || last != doing;
        if self.quiet || !self.shown.as_ref().is_none_or(is_new) {
            return;
        }
        self.shown = Some((now, doing.to_owned()));
        let line = line();
        let text = if self.on_terminal { self.area.draw(&[line], COLUMNS) } else { format!("{line}\n") };
        // Whoever closed stderr wants no progress.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
        if self.on_terminal && self.shown.is_some() && !self.quiet {
            let _ = std::io::stderr().write_all(self.area.clear(COLUMNS).as_bytes());
            self.shown = None;
        }
    }
}

impl Drop for DataProgress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// `decoding cifar10  30,000 of 60,000 images (50 %)`.
fn words(progress: &Progress) -> String {
    let Progress { doing, done, total, unit } = progress;
    let amount = |amount: u64| match unit {
        Unit::Bytes => bytes(amount as f64),
        Unit::Images => grouped(amount),
    };
    let images = if *unit == Unit::Images { " images" } else { "" };
    match total {
        Some(total) if *total > 0 => {
            let percent = (100.0 * *done as f64 / *total as f64).floor();
            format!("{doing}  {} of {}{images} ({percent} %)", amount(*done), amount(*total))
        }
        _ if *done == 0 => doing.clone(),
        _ => format!("{doing}  {}{images}", amount(*done)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_done_and_how_far_it_is() {
        let progress = |unit, total| Progress { doing: "decoding x".to_owned(), done: 1500, total, unit };
        assert_eq!(words(&progress(Unit::Images, Some(60_000))), "decoding x  1,500 of 60,000 images (2 %)");
        assert_eq!(words(&progress(Unit::Images, None)), "decoding x  1,500 images");
        assert_eq!(words(&Progress { done: 0, ..progress(Unit::Bytes, None) }), "decoding x");
        let all = Progress { done: 2_000_000, ..progress(Unit::Bytes, Some(2_000_000)) };
        assert_eq!(words(&all), format!("decoding x  {0} of {0} (100 %)", bytes(2e6)));
    }
}
