//! A line of a display, column by column. Pure.

use super::paint::{Ink, Paint};
use super::words::shortened;

/// Between two columns.
pub const GAP: usize = 2;

/// A line in the making, of columns with a gap between them.
pub struct Line {
    pub text: String,
    used: usize,
    width: usize,
    paint: Paint,
}

impl Line {
    pub fn new(width: usize, paint: Paint) -> Self {
        Self { text: String::new(), used: 0, width, paint }
    }

    pub fn left(&mut self, ink: Ink, text: &str, columns: usize) {
        self.column(ink, text, columns, false);
    }

    pub fn right(&mut self, ink: Ink, text: &str, columns: usize) {
        self.column(ink, text, columns, true);
    }

    pub fn bar(&mut self, ink: Ink, fraction: f64, columns: usize) {
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

    pub fn space(&mut self, columns: usize) {
        self.text += &" ".repeat(columns);
        self.used += columns;
    }
}
