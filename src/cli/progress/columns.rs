//! How wide the columns of the live display are. Pure.

use super::line::GAP;
use crate::report::number::grouped;
use crate::study::Tracker;

/// `loss 0.0312`, `fid 143.25`, `2m 10s left`
const LOSS: usize = 11;
const QUALITY: usize = 10;
const LEFT: usize = 11;
const LEAST_BAR: usize = 6;
const MOST_BAR: usize = 40;

/// Widths of the columns, the same for all lines and, while the terminal keeps its size, at all times. 0: left out.
pub struct Columns {
    pub width: usize,
    pub title: usize,
    pub bar: usize,
    pub steps: usize,
    pub loss: usize,
    pub quality: usize,
    pub left: usize,
}

impl Columns {
    pub fn fit(tracker: &Tracker, sweep: &str, width: usize) -> Self {
        let titles = tracker.labels.values().map(|label| label.title().chars().count());
        let longest_title = titles.chain([sweep.chars().count()]).max().unwrap_or(0);
        let most_steps = tracker.labels.values().map(|label| label.steps).max().unwrap_or(0);
        let title = longest_title.min((width / 4).max(12));
        let steps = 2 * grouped(most_steps).len() + 1;
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
    pub fn after_bar(&self) -> usize {
        [self.steps, self.loss, self.quality, self.left]
            .iter()
            .filter(|&&width| width > 0)
            .map(|width| GAP + width)
            .sum()
    }
}
