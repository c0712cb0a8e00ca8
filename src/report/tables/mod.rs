//! The speedup table: one small file for each format.

mod cell_links;
mod csv;
mod json;
mod latex;
mod markdown;
mod measures;
mod typst;

pub use cell_links::CellLinks;
pub use csv::csv;
pub use json::SPEEDUPS_VERSION;
pub use json::json;
pub use latex::latex;
pub use markdown::markdown;
pub use measures::{MEASURES_NOTE, best_averages, cell, column_name, measures_csv, planned};
pub use typst::typst;

use super::comparison::{ArmComparison, Comparison, Contrast, NoSpeedup, PointComparison, Spread};
use super::cost::Cost;
use super::interval::wilson;
use super::number::{percent, significant};
use super::speedup::{Estimate, Speedup};
use super::wording::{interval_cell, metric_value, metric_words, pair_name, speedup_cell, verdict};

/// One line of a table: an arm on one axis.
pub struct Row<'a> {
    pub arm: &'a ArmComparison<'a>,
    /// The arm that it is compared with, where that is not the baseline.
    pub against: Option<&'a str>,
    pub cost: Cost,
    pub estimator: Estimator,
    pub result: Result<Speedup, NoSpeedup>,
}

/// The way in which a line's speedup is estimated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Estimator {
    /// The headline: over the band.
    Band,
    /// The last quality that both arms reach, which is this value.
    LastQuality(f64),
    /// One factor for the whole curve, which is a poor summary where the speedup changes over the band.
    WholeCurve { changes: bool },
    /// The first evaluation at or below the study's target.
    FirstCrossing(f64),
}

/// The lines of a grid point's table: those of each arm, then those of each pair of `compare.pairs`.
pub fn groups<'a>(point: &'a PointComparison<'a>) -> Vec<Vec<Row<'a>>> {
    let pairs = point.pairs.iter().map(|pair| {
        let arm = point.arms.iter().find(|arm| arm.arm == pair.arm).expect("a pair is made of the point's arms");
        rows(point, arm, Some(pair.against), &pair.contrast)
    });
    point.arms.iter().map(|arm| rows(point, arm, None, &arm.contrast)).chain(pairs).collect()
}

/// One line for the baseline or without a comparison; else the headline on both axes, and the other estimators in images.
fn rows<'a>(
    point: &PointComparison,
    arm: &'a ArmComparison<'a>,
    against: Option<&'a str>,
    contrast: &'a Contrast,
) -> Vec<Row<'a>> {
    let is_alone = matches!(contrast.speedups[0], Err(NoSpeedup::IsBaseline | NoSpeedup::NoCompare));
    let costs = if is_alone { &Cost::ALL[..1] } else { &Cost::ALL };
    let row = |estimator, cost, result| Row { arm, against, cost, estimator, result };
    let mut rows: Vec<Row> = costs
        .iter()
        .zip(&contrast.speedups)
        .map(|(cost, result)| row(Estimator::Band, *cost, result.clone()))
        .collect();
    if is_alone {
        return rows;
    }
    if let (Some(profile), Ok(headline)) = (&contrast.profiles[0], &contrast.speedups[0]) {
        let like = |estimate| {
            let left_out = headline.left_out.clone();
            Ok(Speedup::of_band(headline.pairing, left_out, estimate, None, 0))
        };
        if let Some((value, estimate)) = profile.hard {
            rows.push(row(Estimator::LastQuality(value), Cost::ImagesSeen, like(estimate)));
        }
        if let Some(measured) = &profile.whole_curve {
            rows.push(row(
                Estimator::WholeCurve { changes: profile.changes() },
                Cost::ImagesSeen,
                like(measured.estimate),
            ));
        }
    }
    if let (Some(Ok(target)), Some(result)) = (&point.target, contrast.first_crossings.first()) {
        rows.push(row(Estimator::FirstCrossing(target.value), Cost::ImagesSeen, result.clone()));
    }
    rows
}

/// Columns of the tables for papers.
const COLUMNS: usize = 7;

/// A row's cells for a paper or a terminal: arm, final value and how many runs reached the target, which stand in an arm's first line alone;
/// what is compared, the speedup, its interval and the verdict.
pub fn line(comparison: &Comparison, row: &Row, is_first: bool) -> [String; COLUMNS] {
    let first = |cell: String| if is_first { cell } else { String::new() };
    [
        first(row.name()),
        first(row.final_cell()),
        first(row.reached_cell()),
        row.measured_in(comparison),
        speedup_cell(&row.result),
        interval_cell(&row.result),
        row.verdict_cell(),
    ]
}

impl Row<'_> {
    /// `clts`, `mdlrc against same-lr`.
    pub fn name(&self) -> String {
        match self.against {
            Some(against) => pair_name(self.arm.arm, against),
            None => self.arm.arm.to_owned(),
        }
    }

    /// `images`, `time`, `images to last FID 1.21`; empty for a line without a comparison.
    pub fn measured_in(&self, comparison: &Comparison) -> String {
        if matches!(self.result, Err(NoSpeedup::IsBaseline)) || comparison.baseline.is_none() {
            return String::new();
        }
        let name = metric_words(comparison);
        match (self.estimator, self.cost) {
            (Estimator::Band, Cost::ImagesSeen) => "images".to_owned(),
            (Estimator::Band, Cost::TrainSeconds) => "time".to_owned(),
            (Estimator::LastQuality(value), _) => format!("images, to last {name} {}", significant(value, 3)),
            (Estimator::WholeCurve { .. }, _) => "images, one factor for all of the curve".to_owned(),
            (Estimator::FirstCrossing(value), _) => format!("images, first at or below {name} {}", metric_value(value)),
        }
    }

    /// The verdict; only the headline decides.
    pub fn verdict_cell(&self) -> String {
        match self.estimator {
            Estimator::Band => verdict(&self.result),
            Estimator::WholeCurve { changes: true } => "the curves differ by more than a factor".to_owned(),
            _ if matches!(self.result, Ok(Speedup { estimate: Estimate::Measured { .. }, .. })) => String::new(),
            _ => verdict(&self.result),
        }
    }

    /// `12.3 (11.9 to 13.0)`: median and range over completed runs, and how many they are where not all have completed.
    /// Empty for a pair, whose arms have lines of their own.
    pub fn final_cell(&self) -> String {
        let arm = self.arm;
        if self.against.is_some() {
            return String::new();
        }
        let Some(spread) = arm.final_values else {
            let otherwise = arm.runs.iter().any(|run| !run.other_protocols.is_empty());
            return if otherwise { "by another protocol" } else { "–" }.to_owned();
        };
        let (median, range) = spread_cell(spread, arm.runs.len());
        if range.is_empty() { median } else { format!("{median} {range}") }
    }

    /// `40 % to 100 %`: the share of all such runs that do, by a 95 % interval. Empty for a pair or where it is not known.
    pub fn reached_interval(&self) -> String {
        match (self.against, self.arm.reached, self.arm.runs.len()) {
            (None, Some(reached), runs) if runs > 0 => {
                let interval = wilson(reached, runs);
                format!("{} to {}", percent(interval.low), percent(interval.high))
            }
            _ => String::new(),
        }
    }

    /// `2/3`: runs that reached the target, or the band's hardest quality, of those planned. Empty for a pair.
    pub fn reached_cell(&self) -> String {
        match self.against {
            Some(_) => String::new(),
            None => self.arm.reached.map_or("–".to_owned(), |reached| format!("{reached}/{}", self.arm.runs.len())),
        }
    }
}

/// The median, and in parentheses what there is of a range and of a number of runs that is not the planned one.
fn spread_cell(spread: Spread, planned: usize) -> (String, String) {
    let range = format!("{} to {}", metric_value(spread.low), metric_value(spread.high));
    let range = match spread.n {
        n if n == planned && n == 1 => String::new(),
        1 => "(1 run)".to_owned(),
        n if n == planned => format!("({range})"),
        n => format!("({range}; {n} runs)"),
    };
    (metric_value(spread.median), range)
}
