//! The speedup table: one small file for each format.

mod csv;
mod json;
mod latex;
mod markdown;

pub use csv::csv;
pub use json::json;
pub use latex::latex;
pub use markdown::markdown;

use super::comparison::{ArmComparison, Comparison, NoSpeedup};
use super::cost::Cost;
use super::speedup::{Estimate, Speedup};
use super::wording::{metric_value, metric_words};

/// One line of a table: an arm on one axis.
pub struct Row<'a> {
    pub arm: &'a ArmComparison<'a>,
    pub cost: Cost,
    /// Where it is not the study's target: the strictest target that every run of both arms reached.
    pub common_target: Option<f64>,
    pub result: &'a Result<Speedup, NoSpeedup>,
}

/// An arm's lines: one for the baseline or without a comparison, else one for each axis; and where the study's target
/// gives no number, one more for each axis at the target that every run reached.
pub fn rows<'a>(arm: &'a ArmComparison<'a>) -> Vec<Row<'a>> {
    let is_alone = arm.is_baseline || arm.speedups.iter().all(|result| *result == Err(NoSpeedup::NoCompare));
    let costs = if is_alone { &Cost::ALL[..1] } else { &Cost::ALL };
    let row = |common_target| move |(&cost, result)| Row { arm, cost, common_target, result };
    let mut rows: Vec<Row> = costs.iter().zip(&arm.speedups).map(row(None)).collect();
    let lacks_number = |result: &Result<Speedup, NoSpeedup>| matches!(result, Ok(speedup) if !matches!(speedup.estimate, Estimate::Measured { .. }));
    if let Some((target, speedups)) = &arm.common
        && arm.speedups.iter().any(lacks_number)
        && speedups.iter().flatten().any(|speedup| matches!(speedup.estimate, Estimate::Measured { .. }))
    {
        rows.extend(costs.iter().zip(speedups).map(row(Some(*target))));
    }
    rows
}

impl Row<'_> {
    /// `images_seen`, `images_seen at FID 17.3`.
    pub fn measured_in(&self, comparison: &Comparison) -> String {
        match self.common_target {
            _ if self.arm.is_baseline || comparison.baseline.is_none() => String::new(),
            None => self.cost.name().to_owned(),
            Some(target) => {
                format!("{} at {} {}", self.cost.name(), metric_words(comparison.metric), metric_value(target))
            }
        }
    }
}

/// What the lines at another target are.
pub const COMMON_NOTE: &str = "A line “at” another value is measured at the best value that every run of both arms reached, because not all reached the target.";

/// `12.3 (11.9 to 13.0)`: median and range over completed runs, and how many they are where not all have completed.
pub fn final_cell(arm: &ArmComparison) -> String {
    let Some(spread) = arm.final_values else { return "–".to_owned() };
    let median = metric_value(spread.median);
    let range = format!("{} to {}", metric_value(spread.low), metric_value(spread.high));
    match spread.n {
        n if n == arm.runs.len() && n == 1 => median,
        1 => format!("{median} (1 run)"),
        n if n == arm.runs.len() => format!("{median} ({range})"),
        n => format!("{median} ({range}; {n} runs)"),
    }
}

/// `2/3`: runs that reached the target, of those planned.
pub fn reached_cell(arm: &ArmComparison) -> String {
    arm.reached.map_or("–".to_owned(), |reached| format!("{reached}/{}", arm.runs.len()))
}
