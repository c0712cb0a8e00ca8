//! How many times sooner a candidate reached the target than the baseline: baseline / candidate, above 1 is faster.

mod estimate;
mod median_time;
mod verdict;

use self::estimate::{estimate, interpolated};
use self::median_time::median_time;
use self::verdict::verdict;
use super::interval::Interval;
use super::time_to_target::TimeToTarget;

pub use self::estimate::{Estimate, Unknown};
pub use self::verdict::Verdict;

/// One seed's time to the target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeedTime {
    pub seed: u64,
    pub time: TimeToTarget,
}

/// What the seeds of two arms say about their speed.
#[derive(Clone, Debug, PartialEq)]
pub struct Speedup {
    pub pairing: Pairing,
    /// Seeds of one arm that the other lacks, where the comparison is paired: they are left out.
    pub left_out: Vec<u64>,
    pub estimate: Estimate,
    /// The secondary estimator: the same with each time read off between two evaluations.
    pub interpolated: Option<(f64, Option<Interval>)>,
    /// Ratio of the two arms' median times: defined while more than half of the seeds reached the target.
    pub median_ratio: Option<f64>,
    pub verdict: Verdict,
}

/// How seeds were compared, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// Both arms ran these seeds.
    Paired { n: usize },
    /// The arms share no seeds: two independent groups.
    Unpaired { baseline: usize, candidate: usize },
}

/// Compares two arms' times; paired on the seeds they share, by Welch's t where they share none (or too few).
pub fn speedup(baseline: &[SeedTime], candidate: &[SeedTime]) -> Speedup {
    speedup_timed(baseline, candidate, 0.0)
}

/// The same for times that a clock measured: identical work takes a machine now longer, now shorter, and the variance of a
/// log time is taken to be at least `clock_variance` because of that.
pub fn speedup_timed(baseline: &[SeedTime], candidate: &[SeedTime], clock_variance: f64) -> Speedup {
    let shared: Vec<(TimeToTarget, TimeToTarget)> = baseline
        .iter()
        .filter_map(|first| {
            candidate.iter().find(|second| second.seed == first.seed).map(|second| (first.time, second.time))
        })
        .collect();
    let is_paired = shared.len() > 1 || (shared.len() == 1 && (baseline.len() == 1 || candidate.len() == 1));
    let (pairing, left_out, baseline_times, candidate_times): (_, _, Vec<_>, Vec<_>) = if is_paired {
        let lacks = |seed: u64, others: &[SeedTime]| others.iter().all(|other| other.seed != seed);
        let only_baseline = baseline.iter().filter(|first| lacks(first.seed, candidate));
        let only_candidate = candidate.iter().filter(|second| lacks(second.seed, baseline));
        let mut left_out: Vec<u64> = only_baseline.chain(only_candidate).map(|time| time.seed).collect();
        left_out.sort_unstable();
        let (first, second) = shared.iter().copied().unzip();
        (Pairing::Paired { n: shared.len() }, left_out, first, second)
    } else {
        let pairing = Pairing::Unpaired { baseline: baseline.len(), candidate: candidate.len() };
        let times = |arm: &[SeedTime]| arm.iter().map(|time| time.time).collect();
        (pairing, vec![], times(baseline), times(candidate))
    };
    let estimate = estimate(is_paired, &baseline_times, &candidate_times, clock_variance);
    let interpolated = interpolated(is_paired, &baseline_times, &candidate_times)
        .filter(|_| matches!(estimate, Estimate::Measured { .. }));
    let median_ratio =
        median_time(&baseline_times).zip(median_time(&candidate_times)).map(|(first, second)| first / second);
    Speedup { pairing, left_out, verdict: verdict(&estimate), estimate, interpolated, median_ratio }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::time_to_target::Bracket;

    /// A run evaluated every `every` that really reached the target at `time`.
    pub(super) fn reached(seed: u64, time: f64, every: f64) -> SeedTime {
        let at = (time / every).ceil() * every;
        let bracket = Bracket { before: at - every, at };
        SeedTime { seed, time: TimeToTarget::Reached { bracket, interpolated: Some(time) } }
    }

    pub(super) fn not_reached(seed: u64, until: f64) -> SeedTime {
        SeedTime { seed, time: TimeToTarget::NotReached { until } }
    }

    pub(super) fn measured(speedup: &Speedup) -> (f64, Option<Interval>, Interval) {
        match speedup.estimate {
            Estimate::Measured { speedup, interval, resolution } => (speedup, interval, resolution),
            other => panic!("not measured: {other:?}"),
        }
    }

    pub(super) fn close(value: f64, expected: f64) {
        assert!((value / expected - 1.0).abs() < 1e-9, "{value} is not {expected}");
    }

    #[test]
    fn above_one_is_faster_and_the_mean_is_geometric() {
        let baseline = [reached(1, 400.0, 1.0), reached(2, 900.0, 1.0)];
        let candidate = [reached(1, 200.0, 1.0), reached(2, 112.5 * 4.0, 1.0)];
        let (value, ..) = measured(&speedup(&baseline, &candidate));
        close(value, 2.0);
        let (inverse, ..) = measured(&speedup(&candidate, &baseline));
        close(inverse, 0.5);
    }

    #[test]
    fn shared_seeds_are_paired_others_are_left_out_and_strangers_are_welched() {
        let arm = |seeds: &[u64]| -> Vec<SeedTime> { seeds.iter().map(|&seed| reached(seed, 500.0, 1.0)).collect() };
        let result = speedup(&arm(&[1, 2, 3]), &arm(&[2, 3, 4]));
        assert_eq!((result.pairing, result.left_out), (Pairing::Paired { n: 2 }, vec![1, 4]));
        let result = speedup(&arm(&[1, 2]), &arm(&[3, 4, 5]));
        assert_eq!(result.pairing, Pairing::Unpaired { baseline: 2, candidate: 3 });
        assert_eq!(result.verdict, Verdict::NotDistinguishable);
        assert_eq!(speedup(&arm(&[1]), &arm(&[2])).verdict, Verdict::OneSeed);
    }
}
