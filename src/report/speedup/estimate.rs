//! The estimate of a speedup, or the known bound of it.

use crate::report::interval::{Interval, LogMean, paired, welch};
use crate::report::time_to_target::{Bracket, TimeToTarget};

/// A speedup, or what is known of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Estimate {
    Measured {
        /// Geometric mean.
        speedup: f64,
        /// 95 %, over seeds; `None` for a single seed. The variance over seeds is taken to be at least what reading
        /// times off the evaluations, and the clock, cause by themselves.
        interval: Option<Interval>,
        /// The range that the evaluations' spacing leaves open for the geometric mean: every run reached the target somewhere
        /// in its bracket. `high` is infinite where a candidate's first evaluation was already at the target. `None` where
        /// times are read off fitted curves.
        resolution: Option<Interval>,
    },
    /// Some baseline runs never reached the target: the geometric mean is no less than this.
    AtLeast(f64),
    /// Some candidate runs never reached the target: the geometric mean is no more than this.
    AtMost(f64),
    Unknown(Unknown),
}

/// Why there is neither a number nor a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// No run of either arm reached the target.
    NoneReached,
    /// Runs of both arms did not reach the target.
    BothCensored,
    /// Runs did not reach the target and were not watched long enough to bound the ratio.
    NoBound,
    /// An evaluation before any training was already at the target.
    NoTime,
    /// There is no seed to compare.
    NoSeeds,
    /// A curve cannot be fitted through so few evaluations.
    TooFewEvaluations,
    /// Runs have still to measure what the comparison needs.
    NotThereYet,
    /// A value of 0 or below has no logarithm.
    NotPositive,
    /// A run levels off before its end.
    LevelsOff,
    /// The source of the numbers has no clock.
    NoClock,
}

pub(super) fn estimate(
    is_paired: bool,
    baseline: &[TimeToTarget],
    candidate: &[TimeToTarget],
    clock_variance: f64,
    level: f64,
) -> Estimate {
    if baseline.is_empty() || candidate.is_empty() {
        return Estimate::Unknown(Unknown::NoSeeds);
    }
    let brackets = |times: &[TimeToTarget]| -> Vec<Bracket> { times.iter().filter_map(bracket).collect() };
    let (first, second) = (brackets(baseline), brackets(candidate));
    if first.is_empty() && second.is_empty() {
        return Estimate::Unknown(Unknown::NoneReached);
    }
    if first.iter().chain(&second).any(|bracket| bracket.at <= 0.0) {
        return Estimate::Unknown(Unknown::NoTime);
    }
    // A geometric mean of ratios is the ratio of geometric means, also where the seeds are paired.
    let earliest = |times: &[TimeToTarget]| {
        geometric_mean(times.iter().map(|time| match time {
            TimeToTarget::Reached { bracket, .. } => bracket.before,
            TimeToTarget::NotReached { until } => *until,
        }))
    };
    let latest = |brackets: &[Bracket]| geometric_mean(brackets.iter().map(|bracket| bracket.at));
    match (first.len() == baseline.len(), second.len() == candidate.len()) {
        (true, true) => {
            let at = |brackets: &[Bracket]| -> Vec<f64> { brackets.iter().map(|bracket| bracket.at).collect() };
            let least = [reading_variance(&first) + clock_variance, reading_variance(&second) + clock_variance];
            let mean = log_mean(is_paired, &at(&first), &at(&second), least);
            let resolution =
                Interval { low: earliest(baseline) / latest(&second), high: latest(&first) / earliest(candidate) };
            Estimate::Measured { speedup: mean.ratio(), interval: mean.interval(level), resolution: Some(resolution) }
        }
        (false, true) => match earliest(baseline) / latest(&second) {
            bound if bound > 0.0 => Estimate::AtLeast(bound),
            _ => Estimate::Unknown(Unknown::NoBound),
        },
        (true, false) => match latest(&first) / earliest(candidate) {
            bound if bound.is_finite() => Estimate::AtMost(bound),
            _ => Estimate::Unknown(Unknown::NoBound),
        },
        (false, false) => Estimate::Unknown(Unknown::BothCensored),
    }
}

pub(super) fn interpolated(
    is_paired: bool,
    baseline: &[TimeToTarget],
    candidate: &[TimeToTarget],
    level: f64,
) -> Option<(f64, Option<Interval>)> {
    let times = |arm: &[TimeToTarget]| -> Option<Vec<f64>> {
        let time = |time: &TimeToTarget| match time {
            TimeToTarget::Reached { interpolated, .. } => interpolated.filter(|&time| time > 0.0),
            TimeToTarget::NotReached { .. } => None,
        };
        arm.iter().map(time).collect()
    };
    let mean = log_mean(is_paired, &times(baseline)?, &times(candidate)?, [0.0; 2]);
    mean.mean.is_finite().then(|| (mean.ratio(), mean.interval(level)))
}

/// Mean variance of a log time that lies anywhere in its bracket: w^2 / 12 for a bracket of width w on the logarithmic
/// axis, and no more than the 1 of ln U for U uniform from 0.
fn reading_variance(brackets: &[Bracket]) -> f64 {
    let variance = |bracket: &Bracket| ((bracket.at / bracket.before).ln().powi(2) / 12.0).min(1.0);
    brackets.iter().map(variance).sum::<f64>() / brackets.len() as f64
}

/// `least` holds the least variances of the two arms' log times.
fn log_mean(is_paired: bool, baseline: &[f64], candidate: &[f64], least: [f64; 2]) -> LogMean {
    if is_paired {
        let differences: Vec<f64> =
            baseline.iter().zip(candidate).map(|(first, second)| first.ln() - second.ln()).collect();
        paired(&differences, least[0] + least[1])
    } else {
        let logs = |times: &[f64]| -> Vec<f64> { times.iter().map(|time| time.ln()).collect() };
        welch(&logs(baseline), &logs(candidate), least)
    }
}

pub(super) fn bracket(time: &TimeToTarget) -> Option<Bracket> {
    match time {
        TimeToTarget::Reached { bracket, .. } => Some(*bracket),
        TimeToTarget::NotReached { .. } => None,
    }
}

/// 0 where any value is 0.
fn geometric_mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    (values.map(f64::ln).sum::<f64>() / n).exp()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{close, measured, not_reached, reached};
    use super::super::{SeedTime, Verdict, speedup};
    use super::*;
    use crate::random::{Draws, Stream};

    #[test]
    fn a_baseline_that_never_reached_gives_a_lower_bound_from_its_last_evaluation() {
        let baseline = [not_reached(1, 1000.0), reached(2, 900.0, 100.0)];
        let candidate = [reached(1, 500.0, 100.0), reached(2, 400.0, 100.0)];
        let result = speedup(&baseline, &candidate);
        // sqrt(1000 / 500 x 800 / 400): the bracket's lower end where it was reached.
        match result.estimate {
            Estimate::AtLeast(bound) => close(bound, 2.0),
            other => panic!("{other:?}"),
        }
        assert_eq!((result.verdict, result.interpolated), (Verdict::Bounded, None));
        match speedup(&candidate, &baseline).estimate {
            Estimate::AtMost(bound) => close(bound, 0.5),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nothing_is_made_from_a_budget() {
        let never = [not_reached(1, 1000.0), not_reached(2, 1000.0)];
        let reaching = [reached(1, 500.0, 100.0), reached(2, 500.0, 100.0)];
        let mixed = [reached(1, 500.0, 100.0), not_reached(2, 1000.0)];
        let unknown = |first: &[SeedTime], second: &[SeedTime]| match speedup(first, second).estimate {
            Estimate::Unknown(unknown) => unknown,
            other => panic!("{other:?}"),
        };
        assert_eq!(unknown(&never, &never), Unknown::NoneReached);
        assert_eq!(unknown(&mixed, &mixed), Unknown::BothCensored);
        assert_eq!(unknown(&[not_reached(1, 0.0), reaching[1]], &reaching), Unknown::NoBound);
        assert_eq!(unknown(&reaching, &[not_reached(1, 0.0), reaching[1]]), Unknown::NoBound);
        assert_eq!(unknown(&[], &reaching), Unknown::NoSeeds);
        let at_once = SeedTime {
            seed: 1,
            time: TimeToTarget::Reached { bracket: Bracket { before: 0.0, at: 0.0 }, interpolated: None },
        };
        assert_eq!(unknown(&[at_once], &reaching[..1]), Unknown::NoTime);
    }

    /// The shares of 95 % intervals (paired, Welch) that hold the true ratio of 2 at n = 3, times log-normal with the given
    /// spread and evaluated every `every` of a million.
    fn coverage(spread: f64, every: f64) -> [f64; 2] {
        let (studies, true_ratio) = (20_000u64, 2.0f64);
        let mut covered = [0u32; 2];
        for study in 0..studies {
            let mut normals = [0f32; 6];
            Draws::new(1, Stream::Noise, study).fill_normal(&mut normals);
            let time = |index: usize, center: f64| center * (spread * f64::from(normals[index])).exp();
            let baseline = [0, 1, 2].map(|index| reached(index, time(index as usize, 1e6 * true_ratio), every));
            for (kind, offset) in [(0, 0), (1, 10)] {
                let candidate = [0, 1, 2].map(|index| reached(index + offset, time(index as usize + 3, 1e6), every));
                let interval = measured(&speedup(&baseline, &candidate)).1.unwrap();
                covered[kind] += u32::from(interval.low <= true_ratio && true_ratio <= interval.high);
            }
        }
        covered.map(|count| f64::from(count) / studies as f64)
    }

    #[test]
    fn intervals_at_three_seeds_hold_the_truth_19_times_in_20() {
        let [paired, welch] = coverage(0.1, 1.0);
        // Three standard errors are 0.0046. Welch is known to be conservative here: 0.97.
        assert!((paired - 0.95).abs() < 0.005, "paired {paired}");
        assert!((0.95..0.98).contains(&welch), "welch {welch}");
    }

    #[test]
    fn intervals_read_off_coarse_evaluations_still_do() {
        for (spread, every) in [(0.1, 1e5), (0.03, 1e5), (0.01, 1e5), (0.0, 1e5), (0.03, 2e5), (0.1, 2e5)] {
            let [paired, welch] = coverage(spread, every);
            assert!(paired > 0.93 && welch > 0.93, "spread {spread}, every {every}: paired {paired}, welch {welch}");
        }
    }
}
