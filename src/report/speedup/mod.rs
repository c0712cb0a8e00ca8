//! How many times sooner a candidate reached the target than the baseline: baseline / candidate, above 1 is faster.

mod estimate;
mod looks;
mod median_time;
mod power;
mod verdict;

use self::estimate::{estimate, interpolated};
use self::median_time::median_time;
use self::verdict::{decided, verdict};
use super::interval::{Interval, LEVEL, LogMean, paired};
use super::time_to_target::TimeToTarget;

pub use self::estimate::{Estimate, Unknown};
pub use self::looks::{level, until_decided};
pub use self::power::detectable;
pub use self::verdict::{Decision, Verdict};

/// One seed's time to the target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeedTime {
    pub seed: u64,
    pub time: TimeToTarget,
}

/// The comparison of two arms' speed over their seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Speedup {
    pub pairing: Pairing,
    /// Seeds of one arm that the other lacks, where the comparison is paired: they are left out.
    pub left_out: Vec<u64>,
    pub estimate: Estimate,
    /// Over a band: how many of its qualities every run reached. The estimate is of these.
    pub reached: Option<usize>,
    /// Over a band: the mean of the log ratios and its error.
    pub mean: Option<LogMean>,
    /// Over a band: the log ratio of each pair of runs with one seed. Empty where there is no mean, or no pairs.
    pub by_seed: Vec<(u64, f64)>,
    /// Over a band: the p-value of "no difference", two-sided, adjusted for the number of comparisons.
    pub adjusted_p: Option<f64>,
    /// To one target: the same with each time read off between two evaluations.
    pub interpolated: Option<(f64, Option<Interval>)>,
    /// To one target: ratio of the two arms' median times, defined while more than half of the seeds reached the target.
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
    speedup_timed(baseline, candidate, 0.0, LEVEL)
}

/// The same for times that a clock measured: identical work takes a machine now longer, now shorter, and the variance of a
/// log time is taken to be at least `clock_variance` because of that. `level` is two-sided, of the intervals.
pub fn speedup_timed(baseline: &[SeedTime], candidate: &[SeedTime], clock_variance: f64, level: f64) -> Speedup {
    let by_seed =
        |times: &[SeedTime]| -> Vec<(u64, TimeToTarget)> { times.iter().map(|time| (time.seed, time.time)).collect() };
    let matched = Matched::of(&by_seed(baseline), &by_seed(candidate));
    let is_paired = matched.is_paired();
    let Matched { pairing, left_out, baseline, candidate } = matched;
    let estimate = estimate(is_paired, &baseline, &candidate, clock_variance, level);
    let interpolated =
        interpolated(is_paired, &baseline, &candidate, level).filter(|_| matches!(estimate, Estimate::Measured { .. }));
    let median_ratio = median_time(&baseline).zip(median_time(&candidate)).map(|(first, second)| first / second);
    Speedup { interpolated, median_ratio, verdict: verdict(&estimate), ..Speedup::of(pairing, left_out, estimate) }
}

impl Speedup {
    fn of(pairing: Pairing, left_out: Vec<u64>, estimate: Estimate) -> Self {
        Self {
            pairing,
            left_out,
            estimate,
            reached: None,
            mean: None,
            by_seed: vec![],
            adjusted_p: None,
            interpolated: None,
            median_ratio: None,
            verdict: verdict(&estimate),
        }
    }

    /// Over a band, of whose qualities every run reached `reached`.
    pub fn of_band(
        pairing: Pairing,
        left_out: Vec<u64>,
        estimate: Estimate,
        mean: Option<LogMean>,
        reached: usize,
    ) -> Self {
        Self { reached: Some(reached), mean, ..Self::of(pairing, left_out, estimate) }
    }

    /// The speedup from a log ratio for each seed.
    pub fn of_seeds(by_seed: Vec<(u64, f64)>) -> Self {
        let mean = paired(&by_seed.iter().map(|(_, ratio)| *ratio).collect::<Vec<f64>>(), 0.0);
        let estimate = match by_seed.len() {
            0 => Estimate::Unknown(Unknown::NoSeeds),
            _ => Estimate::Measured { speedup: mean.ratio(), interval: mean.interval(LEVEL), resolution: None },
        };
        let pairing = Pairing::Paired { n: by_seed.len() };
        let mean = (!by_seed.is_empty()).then_some(mean);
        Self { mean, by_seed, ..Self::of(pairing, vec![], estimate) }
    }

    /// The two-sided p-value of "no difference"; `None` without an error.
    pub fn p_value(&self) -> Option<f64> {
        self.mean?.p_value()
    }

    /// Decides among several comparisons; factors below `practical` are as good as none.
    pub fn decide(&mut self, decision: &Decision, practical: f64) {
        self.adjusted_p = decision.adjusted_p;
        if let (Estimate::Measured { interval, .. }, Some(mean)) = (&mut self.estimate, &self.mean) {
            *interval = mean.interval(decision.interval_level);
        }
        self.verdict = decided(&self.estimate, self.mean.as_ref(), decision, practical);
    }
}

/// The values of two arms by seed, each shared seed beside its partner.
#[derive(Clone, Debug, PartialEq)]
pub struct Matched<T> {
    pub pairing: Pairing,
    /// Seeds of one arm that the other lacks, where the comparison is paired.
    pub left_out: Vec<u64>,
    pub baseline: Vec<T>,
    pub candidate: Vec<T>,
}

impl<T: Copy> Matched<T> {
    pub fn of(baseline: &[(u64, T)], candidate: &[(u64, T)]) -> Self {
        let partner = |seed: u64| candidate.iter().find(|other| other.0 == seed).map(|other| other.1);
        let shared: Vec<(T, T)> = baseline.iter().filter_map(|&(seed, first)| Some((first, partner(seed)?))).collect();
        let is_paired = shared.len() > 1 || (shared.len() == 1 && (baseline.len() == 1 || candidate.len() == 1));
        if !is_paired {
            let pairing = Pairing::Unpaired { baseline: baseline.len(), candidate: candidate.len() };
            let values = |arm: &[(u64, T)]| arm.iter().map(|(_, value)| *value).collect();
            return Self { pairing, left_out: vec![], baseline: values(baseline), candidate: values(candidate) };
        }
        let lacks = |seed: u64, others: &[(u64, T)]| others.iter().all(|other| other.0 != seed);
        let seeds = |arm: &[(u64, T)], others: &[(u64, T)]| -> Vec<u64> {
            arm.iter().map(|(seed, _)| *seed).filter(|seed| lacks(*seed, others)).collect()
        };
        let mut left_out = [seeds(baseline, candidate), seeds(candidate, baseline)].concat();
        left_out.sort_unstable();
        let pairing = Pairing::Paired { n: shared.len() };
        let (baseline, candidate) = shared.into_iter().unzip();
        Self { pairing, left_out, baseline, candidate }
    }
}

impl<T> Matched<T> {
    pub fn is_paired(&self) -> bool {
        matches!(self.pairing, Pairing::Paired { .. })
    }
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
            Estimate::Measured { speedup, interval, resolution: Some(resolution) } => (speedup, interval, resolution),
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
