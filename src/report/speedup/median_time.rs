//! An arm's median time to the target.

use super::estimate::bracket;
use crate::report::time_to_target::TimeToTarget;

/// The middle one of the runs' times, a run that did not reach the target taken as slower than all that did.
/// `None` where that middle is not known.
pub(super) fn median_time(times: &[TimeToTarget]) -> Option<f64> {
    let mut reached: Vec<f64> = times.iter().filter_map(bracket).map(|bracket| bracket.at).collect();
    reached.sort_unstable_by(f64::total_cmp);
    let middle = times.len() / 2;
    let upper = *reached.get(middle)?;
    let median = if times.len() % 2 == 1 { upper } else { (reached[middle - 1] + upper) / 2.0 };
    // A run that stopped before the median could still have been among the fast ones.
    let all_watched = times.iter().all(|time| match time {
        TimeToTarget::Reached { .. } => true,
        TimeToTarget::NotReached { until } => *until >= upper,
    });
    (all_watched && median > 0.0).then_some(median)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{close, not_reached, reached};
    use super::super::{Estimate, Unknown, speedup};

    #[test]
    fn the_ratio_of_medians_survives_a_minority_that_never_reached() {
        let baseline = [reached(1, 900.0, 100.0), reached(2, 1000.0, 100.0), not_reached(3, 1000.0)];
        let candidate = [reached(1, 400.0, 100.0), not_reached(2, 1000.0), reached(3, 500.0, 100.0)];
        let result = speedup(&baseline, &candidate);
        assert_eq!(result.estimate, Estimate::Unknown(Unknown::BothCensored));
        close(result.median_ratio.unwrap(), 2.0);
        let stopped_early = [reached(1, 400.0, 100.0), not_reached(2, 300.0), reached(3, 500.0, 100.0)];
        assert_eq!(speedup(&baseline, &stopped_early).median_ratio, None);
        let mostly_never = [reached(1, 400.0, 100.0), not_reached(2, 1000.0), not_reached(3, 1000.0)];
        assert_eq!(speedup(&baseline, &mostly_never).median_ratio, None);
    }
}
