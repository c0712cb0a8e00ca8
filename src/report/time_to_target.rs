//! When a run reached a quality, as far as its evaluations can tell.

use super::cost::Cost;
use super::curve::Evaluation;

/// The cost of a run up to the target. A run that did not reach it has no number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TimeToTarget {
    Reached {
        bracket: Bracket,
        /// The secondary estimator: where the straight line through (cost, ln metric) of the bracket's two evaluations
        /// meets the target. `None` where there is no evaluation before, or a logarithm does not exist.
        interpolated: Option<f64>,
    },
    /// Every evaluation so far, the last of them at `until`, was above the target (or not finite).
    NotReached { until: f64 },
}

/// The target was reached after `before` and no later than `at`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bracket {
    /// The last evaluation above the target; 0 where the first evaluation is already at or below it.
    pub before: f64,
    /// The first evaluation at or below the target: the primary estimator.
    pub at: f64,
}

impl TimeToTarget {
    pub fn reached(&self) -> bool {
        matches!(self, Self::Reached { .. })
    }
}

/// Brackets the first time that `curve` (by step) is at or below `target`, in units of `cost`.
pub fn time_to_target(curve: &[Evaluation], target: f64, cost: Cost) -> TimeToTarget {
    let Some(index) = curve.iter().position(|evaluation| evaluation.value <= target) else {
        return TimeToTarget::NotReached { until: curve.last().map_or(0.0, |last| cost.of(last)) };
    };
    let at = cost.of(&curve[index]);
    let Some(previous) = index.checked_sub(1).map(|previous| &curve[previous]) else {
        return TimeToTarget::Reached { bracket: Bracket { before: 0.0, at }, interpolated: None };
    };
    let before = cost.of(previous);
    let log = |value: f64| (value > 0.0 && value.is_finite()).then(|| value.ln());
    let interpolated = match (log(previous.value), log(target), log(curve[index].value)) {
        (Some(above), Some(target), Some(below)) => Some(before + (at - before) * (above - target) / (above - below)),
        _ => None,
    };
    TimeToTarget::Reached { bracket: Bracket { before, at }, interpolated }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(values: &[f64]) -> Vec<Evaluation> {
        let evaluation = |(index, &value): (usize, &f64)| Evaluation {
            step: index as u64 + 1,
            images_seen: 100 * (index as u64 + 1),
            train_seconds: 2.0 * (index as f64 + 1.0),
            value,
        };
        values.iter().enumerate().map(evaluation).collect()
    }

    fn check(values: &[f64], target: f64, expected: TimeToTarget) {
        assert_eq!(time_to_target(&curve(values), target, Cost::ImagesSeen), expected, "{values:?} to {target}");
    }

    fn reached(before: f64, at: f64, interpolated: Option<f64>) -> TimeToTarget {
        TimeToTarget::Reached { bracket: Bracket { before, at }, interpolated }
    }

    #[test]
    fn the_bracket_is_the_last_evaluation_above_and_the_first_at_or_below() {
        check(&[8.0, 4.0, 2.0, 1.0], 2.0, reached(200.0, 300.0, Some(300.0)));
        check(&[8.0, 4.0, 1.0], 2.0, reached(200.0, 300.0, Some(250.0)));
        check(&[8.0, 2.0, 9.0, 1.0], 4.0, reached(100.0, 200.0, Some(150.0)));
    }

    #[test]
    fn a_run_that_starts_at_the_target_has_no_lower_bound() {
        check(&[1.0, 0.5], 2.0, reached(0.0, 100.0, None));
    }

    #[test]
    fn a_run_that_never_reaches_says_only_until_when_it_was_watched() {
        check(&[8.0, 4.0], 2.0, TimeToTarget::NotReached { until: 200.0 });
        check(&[], 2.0, TimeToTarget::NotReached { until: 0.0 });
    }

    #[test]
    fn what_is_not_a_number_never_counts_as_reached() {
        check(&[8.0, f64::NAN, f64::INFINITY], 2.0, TimeToTarget::NotReached { until: 300.0 });
        check(&[f64::NAN, 1.0], 2.0, reached(100.0, 200.0, None));
        check(&[8.0, 1.0], f64::NAN, TimeToTarget::NotReached { until: 200.0 });
    }

    #[test]
    fn interpolation_needs_logarithms() {
        check(&[8.0, 0.0], 2.0, reached(100.0, 200.0, None));
        check(&[8.0, -1.0], 2.0, reached(100.0, 200.0, None));
        check(&[8.0, 0.0], 0.0, reached(100.0, 200.0, None));
    }

    #[test]
    fn both_axes_read_the_same_evaluations() {
        let time = time_to_target(&curve(&[8.0, 4.0, 1.0]), 2.0, Cost::TrainSeconds);
        assert_eq!(time, reached(4.0, 6.0, Some(5.0)));
    }
}
