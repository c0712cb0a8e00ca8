//! The mean of logarithms and its 95 % interval by Student's t.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// The level of two-sided tests; 95 % intervals leave out as much.
pub const LEVEL: f64 = 0.05;

/// A ratio's 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

/// An interval this wide says nothing but that it is wide, and is not shown as numbers.
const TOO_WIDE: f64 = 10.0;

impl Interval {
    /// Whether all of it is nearer to 1 than `factor`.
    pub fn is_within(&self, factor: f64) -> bool {
        self.low > 1.0 / factor && self.high < factor
    }

    pub fn is_too_wide(&self) -> bool {
        self.high > TOO_WIDE * self.low
    }
}

/// A mean logarithm with its standard error and degrees of freedom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogMean {
    pub mean: f64,
    /// Standard error and degrees of freedom; `None` where there are too few values to know.
    pub error: Option<(f64, f64)>,
}

/// Mean of the pairs' differences of logarithms: degrees of freedom n - 1. The variance is taken to be `least` if the
/// values vary less: values read off a coarse grid tie, and ties are no sign of precision.
pub fn paired(differences: &[f64], least: f64) -> LogMean {
    let (mean, variance) = moments(differences, least);
    let n = differences.len() as f64;
    LogMean { mean, error: variance.map(|variance| ((variance / n).sqrt(), n - 1.0)) }
}

/// Difference of two groups' mean logarithms (Welch 1947, "The generalization of Student's problem when several
/// different population variances are involved"), with the least variance of each.
pub fn welch(baseline: &[f64], candidate: &[f64], least: [f64; 2]) -> LogMean {
    let (baseline_mean, baseline_variance) = moments(baseline, least[0]);
    let (candidate_mean, candidate_variance) = moments(candidate, least[1]);
    let mean = baseline_mean - candidate_mean;
    let (Some(baseline_variance), Some(candidate_variance)) = (baseline_variance, candidate_variance) else {
        return LogMean { mean, error: None };
    };
    let (n, m) = (baseline.len() as f64, candidate.len() as f64);
    let (first, second) = (baseline_variance / n, candidate_variance / m);
    let freedom = (first + second).powi(2) / (first.powi(2) / (n - 1.0) + second.powi(2) / (m - 1.0));
    // Without any spread the quotient is 0/0; the interval is the point whatever the degrees of freedom.
    let freedom = if freedom.is_finite() { freedom } else { n + m - 2.0 };
    LogMean { mean, error: Some(((first + second).sqrt(), freedom)) }
}

impl LogMean {
    /// exp of the mean: the geometric mean.
    pub fn ratio(&self) -> f64 {
        self.mean.exp()
    }

    /// exp of mean plus and minus t(1 - level/2) standard errors: the ratios that a two-sided test of `level` does not rule out.
    pub fn interval(&self, level: f64) -> Option<Interval> {
        self.error.map(|(standard_error, freedom)| {
            let half_width = quantile_of_t(1.0 - level / 2.0, freedom) * standard_error;
            Interval { low: (self.mean - half_width).exp(), high: (self.mean + half_width).exp() }
        })
    }

    /// The two-sided p-value of a mean of 0; `None` for a single value.
    pub fn p_value(&self) -> Option<f64> {
        let (standard_error, freedom) = self.error?;
        if standard_error == 0.0 {
            return Some(if self.mean == 0.0 { 1.0 } else { 0.0 });
        }
        let student = StudentsT::new(0.0, 1.0, freedom).expect("degrees of freedom are positive and finite");
        Some(2.0 * student.sf((self.mean / standard_error).abs()))
    }
}

/// The 95 % interval of a mean by Student's t; `None` of fewer than two values.
pub fn mean_interval(values: &[f64]) -> Option<Interval> {
    let (mean, variance) = moments(values, 0.0);
    let n = values.len() as f64;
    let half_width = (variance? / n).sqrt() * quantile_of_t(0.975, n - 1.0);
    Some(Interval { low: mean - half_width, high: mean + half_width })
}

/// A quantile of Student's t.
pub fn quantile_of_t(quantile: f64, freedom: f64) -> f64 {
    let student = StudentsT::new(0.0, 1.0, freedom).expect("degrees of freedom are positive and finite");
    student.inverse_cdf(quantile)
}

/// The 95 % interval of a share by Wilson's score (1927, "Probable inference, the law of succession, and statistical inference").
pub fn wilson(successes: usize, n: usize) -> Interval {
    let z = Normal::standard().inverse_cdf(1.0 - LEVEL / 2.0);
    let (share, n) = (successes as f64 / n as f64, n as f64);
    let scale = 1.0 + z * z / n;
    let middle = (share + z * z / (2.0 * n)) / scale;
    let half_width = z / scale * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    Interval { low: (middle - half_width).max(0.0), high: (middle + half_width).min(1.0) }
}

/// P-values adjusted for how many they are (Holm 1979, "A simple sequentially rejective multiple test procedure"), in the
/// order given: those below 0.05 are right all together 19 times in 20.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|first, second| p_values[*first].total_cmp(&p_values[*second]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0f64;
    for (rank, index) in order.into_iter().enumerate() {
        largest = largest.max((p_values[index] * (p_values.len() - rank) as f64).min(1.0));
        adjusted[index] = largest;
    }
    adjusted
}

/// Which of several tests reject, where each is at `level(undecided)`, with as many undecided as have not rejected yet: Holm's
/// procedure for levels that are not 5 % shared out.
pub fn holm_rejects(p_values: &[Option<f64>], undecided: usize, level: impl Fn(usize) -> f64) -> Vec<bool> {
    let mut order: Vec<(f64, usize)> =
        p_values.iter().enumerate().filter_map(|(index, p)| p.map(|p| (p, index))).collect();
    order.sort_by(|first, second| first.0.total_cmp(&second.0));
    let mut rejected = vec![false; p_values.len()];
    for (rank, (p, index)) in order.into_iter().enumerate() {
        if p >= level(undecided.saturating_sub(rank)) {
            break;
        }
        rejected[index] = true;
    }
    rejected
}

/// Mean and unbiased variance, the latter at least `least`.
fn moments(values: &[f64], least: f64) -> (f64, Option<f64>) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (values.len() > 1).then(|| (squares / (n - 1.0)).max(least)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_scipys() {
        let golden: serde_json::Value = serde_json::from_str(include_str!("../../tests/golden/speedup.json"))
            .expect("scripts/golden/speedup.py wrote it");
        let quantiles = golden["quantiles"].as_array().expect("a list");
        assert_eq!(quantiles.len(), 14);
        for quantile in quantiles {
            let [freedom, expected] = ["freedom", "t"].map(|key| quantile[key].as_f64().expect("a number"));
            let t = quantile_of_t(0.975, freedom);
            assert!((t / expected - 1.0).abs() < 1e-9, "{freedom} degrees of freedom: {t} is not {expected}");
        }
    }

    #[test]
    fn holms_p_values_are_statsmodels() {
        let golden: serde_json::Value = serde_json::from_str(include_str!("../../tests/golden/band.json"))
            .expect("scripts/golden/band.py wrote it");
        let numbers = |value: &serde_json::Value| -> Vec<f64> {
            value.as_array().expect("a list").iter().map(|value| value.as_f64().expect("a number")).collect()
        };
        let cases = golden["holm"].as_array().expect("a list");
        assert_eq!(cases.len(), 4);
        for case in cases {
            for (adjusted, expected) in holm(&numbers(&case["p"])).iter().zip(numbers(&case["adjusted"])) {
                assert!((adjusted / expected - 1.0).abs() < 1e-12, "{adjusted} is not {expected}");
            }
        }
    }

    #[test]
    fn intervals_of_shares_are_statsmodels() {
        let golden: serde_json::Value = serde_json::from_str(include_str!("../../tests/golden/kaplan_meier.json"))
            .expect("scripts/golden/kaplan_meier.py wrote it");
        let cases = golden["rates"].as_array().expect("a list");
        assert_eq!(cases.len(), 7);
        for case in cases {
            let count = |key: &str| case[key].as_u64().expect("a count") as usize;
            let interval = wilson(count("successes"), count("n"));
            for (end, key) in [(interval.low, "low"), (interval.high, "high")] {
                assert!((end - case[key].as_f64().expect("a number")).abs() < 1e-9, "{interval:?} instead of {case}");
            }
        }
    }

    #[test]
    fn a_single_value_has_a_mean_and_no_error() {
        assert_eq!(paired(&[0.5], 0.0), LogMean { mean: 0.5, error: None });
        assert_eq!(welch(&[0.5, 0.75], &[0.25], [0.0; 2]), LogMean { mean: 0.375, error: None });
    }

    #[test]
    fn groups_without_any_spread_have_an_interval_of_width_zero() {
        let interval = welch(&[1.0, 1.0], &[0.5, 0.5, 0.5], [0.0; 2]).interval(LEVEL).expect("two values suffice");
        assert_eq!((interval.low, interval.high), (0.5f64.exp(), 0.5f64.exp()));
    }
}
