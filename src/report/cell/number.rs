//! A number with its interval, to be compared with another.

use serde::Serialize;

use crate::report::comparison::Spread;
use crate::report::speedup::Estimate;

/// A number, or the bound of one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CellNumber {
    /// `measured`, `at_least`, `at_most`.
    pub kind: &'static str,
    /// The number, or the bound.
    pub value: f64,
    /// The interval; of an arm's last values the range of its seeds. `None` where there is neither.
    pub low: Option<f64>,
    pub high: Option<f64>,
}

impl CellNumber {
    /// `None` where nothing is known.
    pub fn of_estimate(estimate: &Estimate) -> Option<Self> {
        let (kind, value, interval) = match *estimate {
            Estimate::Measured { speedup, interval, .. } => ("measured", speedup, interval),
            Estimate::AtLeast(bound) => ("at_least", bound, None),
            Estimate::AtMost(bound) => ("at_most", bound, None),
            Estimate::Unknown(_) => return None,
        };
        Some(Self {
            kind,
            value,
            low: interval.map(|interval| interval.low),
            high: interval.map(|interval| interval.high),
        })
    }

    pub fn of_spread(spread: Spread) -> Self {
        let is_several = spread.n > 1;
        Self {
            kind: "measured",
            value: spread.median,
            low: is_several.then_some(spread.low),
            high: is_several.then_some(spread.high),
        }
    }

    /// Whether it is a number with an interval, or a bound, so that another can be judged by it.
    pub fn can_be_judged(&self) -> bool {
        self.kind != "measured" || self.low.is_some()
    }

    /// The values that it leaves open.
    pub fn range(&self) -> (f64, f64) {
        match self.kind {
            "at_least" => (self.value, f64::INFINITY),
            "at_most" => (0.0, self.value),
            _ => (self.low.unwrap_or(self.value), self.high.unwrap_or(self.value)),
        }
    }
}
