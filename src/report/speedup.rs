//! How many times sooner a candidate reached the target than the baseline: baseline / candidate, above 1 is faster.

use super::interval::{Interval, LogMean, paired, welch};
use super::time_to_target::{Bracket, TimeToTarget};

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

/// The primary estimator, from the first evaluations at or below the target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Estimate {
    Measured {
        /// Geometric mean.
        speedup: f64,
        /// 95 %, over seeds; `None` for a single seed. The variance over seeds is taken to be at least what reading
        /// times off the evaluations, and the clock, cause by themselves.
        interval: Option<Interval>,
        /// What the evaluations' spacing leaves open for the geometric mean: every run reached the target somewhere in
        /// its bracket. `high` is infinite where a candidate's first evaluation was already at the target.
        resolution: Interval,
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
}

/// The estimate in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The interval lies above 1, and so does what the evaluations resolve.
    Faster,
    /// The interval lies below 1, and so does what the evaluations resolve.
    Slower,
    /// The interval contains 1.
    NotDistinguishable,
    /// The seeds agree, but the difference is smaller than the spacing of the evaluations.
    TooCoarse,
    /// One seed: no interval.
    OneSeed,
    /// A bound, without an interval.
    Bounded,
    Unknown,
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

fn estimate(is_paired: bool, baseline: &[TimeToTarget], candidate: &[TimeToTarget], clock_variance: f64) -> Estimate {
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
            Estimate::Measured { speedup: mean.ratio(), interval: mean.interval(), resolution }
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

fn interpolated(
    is_paired: bool,
    baseline: &[TimeToTarget],
    candidate: &[TimeToTarget],
) -> Option<(f64, Option<Interval>)> {
    let times = |arm: &[TimeToTarget]| -> Option<Vec<f64>> {
        let time = |time: &TimeToTarget| match time {
            TimeToTarget::Reached { interpolated, .. } => interpolated.filter(|&time| time > 0.0),
            TimeToTarget::NotReached { .. } => None,
        };
        arm.iter().map(time).collect()
    };
    let mean = log_mean(is_paired, &times(baseline)?, &times(candidate)?, [0.0; 2]);
    mean.mean.is_finite().then(|| (mean.ratio(), mean.interval()))
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

/// The middle one of the runs' times, a run that did not reach the target taken as slower than all that did.
/// `None` where that middle is not known.
fn median_time(times: &[TimeToTarget]) -> Option<f64> {
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

fn verdict(estimate: &Estimate) -> Verdict {
    match estimate {
        Estimate::Measured { interval: None, .. } => Verdict::OneSeed,
        Estimate::Measured { interval: Some(interval), resolution, .. } => match interval {
            interval if interval.low > 1.0 && resolution.low >= 1.0 => Verdict::Faster,
            interval if interval.high < 1.0 && resolution.high <= 1.0 => Verdict::Slower,
            interval if interval.low > 1.0 || interval.high < 1.0 => Verdict::TooCoarse,
            _ => Verdict::NotDistinguishable,
        },
        Estimate::AtLeast(_) | Estimate::AtMost(_) => Verdict::Bounded,
        Estimate::Unknown(_) => Verdict::Unknown,
    }
}

fn bracket(time: &TimeToTarget) -> Option<Bracket> {
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
    use super::*;
    use crate::random::{Draws, Stream};

    /// A run evaluated every `every` that really reached the target at `time`.
    fn reached(seed: u64, time: f64, every: f64) -> SeedTime {
        let at = (time / every).ceil() * every;
        let bracket = Bracket { before: at - every, at };
        SeedTime { seed, time: TimeToTarget::Reached { bracket, interpolated: Some(time) } }
    }

    fn not_reached(seed: u64, until: f64) -> SeedTime {
        SeedTime { seed, time: TimeToTarget::NotReached { until } }
    }

    fn measured(speedup: &Speedup) -> (f64, Option<Interval>, Interval) {
        match speedup.estimate {
            Estimate::Measured { speedup, interval, resolution } => (speedup, interval, resolution),
            other => panic!("not measured: {other:?}"),
        }
    }

    fn close(value: f64, expected: f64) {
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
    fn seeds_that_agree_within_one_evaluation_are_not_a_finding() {
        // Every seed one evaluation sooner: no spread at all, and yet the true ratio may be anything above 1.
        let baseline = [1, 2, 3].map(|seed| reached(seed, 1000.0, 100.0));
        let sooner = [1, 2, 3].map(|seed| reached(seed, 900.0, 100.0));
        let (value, interval, resolution) = measured(&speedup(&baseline, &sooner));
        close(value, 1000.0 / 900.0);
        close(resolution.low, 1.0);
        close(resolution.high, 1000.0 / 800.0);
        let variance = ((10.0f64 / 9.0).ln().powi(2) + (9.0f64 / 8.0).ln().powi(2)) / 12.0;
        close(interval.unwrap().low, 1000.0 / 900.0 * (-4.302652729911275 * (variance / 3.0).sqrt()).exp());
        assert_eq!(speedup(&baseline, &sooner).verdict, Verdict::NotDistinguishable);
        // Many seeds whose brackets overlap agree on a ratio that the evaluations cannot resolve.
        let [baseline, coarse] =
            [100.0, 190.0].map(|every| (0..100).map(|seed| reached(seed, 950.0, every)).collect::<Vec<_>>());
        assert_eq!(speedup(&baseline, &coarse).verdict, Verdict::TooCoarse);
    }

    #[test]
    fn one_seed_gives_a_ratio_without_an_interval() {
        let result = speedup(&[reached(1, 400.0, 1.0)], &[reached(1, 200.0, 1.0)]);
        assert_eq!(measured(&result).1, None);
        assert_eq!((result.pairing, result.verdict), (Pairing::Paired { n: 1 }, Verdict::OneSeed));
    }

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
