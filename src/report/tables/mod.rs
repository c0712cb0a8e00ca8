//! The speedup table: one small file for each format.

mod csv;
mod json;
mod latex;
mod markdown;
mod measures;

pub use csv::csv;
pub use json::json;
pub use latex::latex;
pub use markdown::markdown;
pub use measures::{MEASURES_NOTE, cell, column_name, measures_csv, planned};

use super::comparison::{ArmComparison, Comparison, Contrast, NoSpeedup, PointComparison, Spread};
use super::cost::Cost;
use super::speedup::{Estimate, Speedup};
use super::wording::{metric_value, metric_words, pair_name};

/// One line of a table: an arm on one axis.
pub struct Row<'a> {
    pub arm: &'a ArmComparison<'a>,
    /// What the arm is compared with, where it is not the baseline.
    pub against: Option<&'a str>,
    pub cost: Cost,
    /// Where it is not the study's target: the strictest target that every run of both arms reached.
    pub common_target: Option<f64>,
    pub result: &'a Result<Speedup, NoSpeedup>,
}

/// The lines of a grid point's table: those of each arm, then those of each pair of `compare.pairs`.
pub fn groups<'a>(point: &'a PointComparison<'a>) -> Vec<Vec<Row<'a>>> {
    let pairs = point.pairs.iter().map(|pair| {
        let arm = point.arms.iter().find(|arm| arm.arm == pair.arm).expect("a pair is made of the point's arms");
        rows(arm, Some(pair.against), &pair.contrast)
    });
    point.arms.iter().map(|arm| rows(arm, None, &arm.contrast)).chain(pairs).collect()
}

/// One line for the baseline or without a comparison, else one for each axis; and where the study's target gives no number,
/// one more for each axis at the target that every run reached.
fn rows<'a>(arm: &'a ArmComparison<'a>, against: Option<&'a str>, contrast: &'a Contrast) -> Vec<Row<'a>> {
    let Contrast { speedups, common } = contrast;
    let is_alone = matches!(speedups[0], Err(NoSpeedup::IsBaseline | NoSpeedup::NoCompare));
    let costs = if is_alone { &Cost::ALL[..1] } else { &Cost::ALL };
    let row = |common_target| move |(&cost, result)| Row { arm, against, cost, common_target, result };
    let mut rows: Vec<Row> = costs.iter().zip(speedups).map(row(None)).collect();
    let lacks_number = |result: &Result<Speedup, NoSpeedup>| matches!(result, Ok(speedup) if !matches!(speedup.estimate, Estimate::Measured { .. }));
    if let Some((target, common)) = common
        && speedups.iter().any(lacks_number)
        && common.iter().flatten().any(|speedup| matches!(speedup.estimate, Estimate::Measured { .. }))
    {
        rows.extend(costs.iter().zip(common).map(row(Some(*target))));
    }
    rows
}

impl Row<'_> {
    /// `clts`, `mdlrc against same-lr`.
    pub fn name(&self) -> String {
        match self.against {
            Some(against) => pair_name(self.arm.arm, against),
            None => self.arm.arm.to_owned(),
        }
    }

    /// `images_seen`, `images_seen at FID 17.3`.
    pub fn measured_in(&self, comparison: &Comparison) -> String {
        match self.common_target {
            _ if matches!(self.result, Err(NoSpeedup::IsBaseline)) || comparison.baseline.is_none() => String::new(),
            None => self.cost.name().to_owned(),
            Some(target) => {
                format!("{} at {} {}", self.cost.name(), metric_words(comparison), metric_value(target))
            }
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

    /// `2/3`: runs that reached the target, of those planned. Empty for a pair.
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

/// Whether a line of the tables is at another target than the study's.
pub fn has_common_targets(comparison: &Comparison) -> bool {
    comparison.points.iter().flat_map(groups).flatten().any(|row| row.common_target.is_some())
}

/// What the lines at another target are.
pub const COMMON_NOTE: &str = "A line “at” another value is measured at the best value that every run of both arms reached, because not all reached the target.";
