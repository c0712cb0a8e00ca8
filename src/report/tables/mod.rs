//! The speedup table: one small file for each format.

mod csv;
mod json;
mod latex;
mod markdown;

pub use csv::csv;
pub use json::json;
pub use latex::latex;
pub use markdown::markdown;

use super::comparison::{ArmComparison, Comparison};
use super::wording::metric_value;

/// `12.3 (11.9 to 13.0)`: median and range over completed runs.
pub fn final_cell(comparison: &Comparison, arm: &ArmComparison) -> String {
    let value = |value| metric_value(comparison.metric, value);
    match arm.final_values {
        Some(spread) if spread.n == 1 => value(spread.median),
        Some(spread) => format!("{} ({} to {})", value(spread.median), value(spread.low), value(spread.high)),
        None => "–".to_owned(),
    }
}

/// `2/3`: runs that reached the target, of those planned.
pub fn reached_cell(arm: &ArmComparison) -> String {
    arm.reached.map_or("–".to_owned(), |reached| format!("{reached}/{}", arm.runs.len()))
}
