//! The verdict on an estimate.

use super::Estimate;
use crate::report::interval::LogMean;

/// The estimate in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The interval lies above 1, and so does what the evaluations resolve.
    Faster,
    /// The interval lies below 1, and so does what the evaluations resolve.
    Slower,
    /// The interval contains 1.
    NotDistinguishable,
    /// The interval lies within the factor that matters in practice.
    Equivalent,
    /// The interval excludes 1, but among so many comparisons one such is to be expected by chance.
    Suggestive,
    /// The seeds agree, but the difference is smaller than the spacing of the evaluations.
    TooCoarse,
    /// One seed: no interval.
    OneSeed,
    /// A bound, without an interval.
    Bounded,
    Unknown,
}

pub(super) fn verdict(estimate: &Estimate) -> Verdict {
    match estimate {
        Estimate::Measured { interval: None, .. } => Verdict::OneSeed,
        Estimate::Measured { interval: Some(interval), resolution, .. } => match interval {
            interval if interval.low > 1.0 && resolution.is_none_or(|resolution| resolution.low >= 1.0) => {
                Verdict::Faster
            }
            interval if interval.high < 1.0 && resolution.is_none_or(|resolution| resolution.high <= 1.0) => {
                Verdict::Slower
            }
            interval if interval.low > 1.0 || interval.high < 1.0 => Verdict::TooCoarse,
            _ => Verdict::NotDistinguishable,
        },
        Estimate::AtLeast(_) | Estimate::AtMost(_) => Verdict::Bounded,
        Estimate::Unknown(_) => Verdict::Unknown,
    }
}

/// How a comparison among several, or at one of several looks, is decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// Whether anything is decided now: of a study that is looked at more than once, nothing is before the first look.
    pub is_looked_at: bool,
    /// Whether "no difference" is rejected among all comparisons.
    pub is_rejected: bool,
    /// The p-value for how many comparisons there are; `None` where the study is looked at more than once.
    pub adjusted_p: Option<f64>,
    /// Two-sided, of the interval that is shown.
    pub interval_level: f64,
}

/// The verdict among several comparisons.
pub(super) fn decided(estimate: &Estimate, mean: Option<&LogMean>, decision: &Decision, practical: f64) -> Verdict {
    // Two one-sided tests (Schuirmann 1987), each at half the level of the interval that is shown: it lies within the factor.
    let is_equivalent = || {
        let interval = mean.and_then(|mean| mean.interval(decision.interval_level));
        decision.is_looked_at && interval.is_some_and(|interval| interval.is_within(practical))
    };
    match verdict(estimate) {
        verdict @ (Verdict::Faster | Verdict::Slower) if decision.is_rejected => verdict,
        Verdict::Faster | Verdict::Slower | Verdict::NotDistinguishable if is_equivalent() => Verdict::Equivalent,
        Verdict::Faster | Verdict::Slower => Verdict::Suggestive,
        verdict => verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{close, measured, reached};
    use super::super::{Pairing, speedup};
    use super::*;

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
}
