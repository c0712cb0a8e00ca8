//! The number of seeds that show a given speedup, and the smallest speedup that a number of seeds shows.

use super::{Pairing, Speedup};
use crate::report::interval::quantile_of_t;

/// The share of studies that decide.
const POWER: f64 = 0.8;
/// Nobody trains more.
const MOST_SEEDS: usize = 200;

/// The speedups that paired seeds can decide, by the spread that was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Power {
    /// Seeds at which four of five studies decide a difference of the size that was seen; `None` if more than 200.
    pub seeds_needed: Option<usize>,
    /// The least factor, above 1, that four of five studies of as many seeds as there are decide.
    pub detectable: f64,
}

impl Speedup {
    /// `level`: of this comparison's two-sided test. Of several, each has its share (Bonferroni), of which Holm's correction takes
    /// no more.
    pub fn power(&self, level: f64) -> Option<Power> {
        let Pairing::Paired { n } = self.pairing else { return None };
        let mean = self.mean?;
        let (standard_error, _) = mean.error?;
        let deviation = standard_error * (n as f64).sqrt();
        if !(deviation > 0.0 && mean.mean != 0.0) {
            return None;
        }
        let seeds_needed = seeds_needed(mean.mean.abs() / deviation, level);
        Some(Power { seeds_needed, detectable: detectable(n, deviation, level) })
    }
}

/// The least factor, above 1, that four of five studies of `n` paired seeds decide at a two-sided `level`, where a seed's log ratio
/// has the standard deviation `deviation`.
pub fn detectable(n: usize, deviation: f64, level: f64) -> f64 {
    (errors_needed(n, level) * deviation / (n as f64).sqrt()).exp()
}

/// The standard errors that an effect must have: t(1 - level/2) + t(power), the usual approximation to the noncentral t.
fn errors_needed(n: usize, level: f64) -> f64 {
    let freedom = (n - 1) as f64;
    quantile_of_t(1.0 - level / 2.0, freedom) + quantile_of_t(POWER, freedom)
}

/// For an effect in standard deviations.
fn seeds_needed(effect: f64, level: f64) -> Option<usize> {
    (2..=MOST_SEEDS).find(|&n| errors_needed(n, level) <= effect * (n as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_of_an_effect_are_those_of_the_noncentral_t_but_for_one() {
        let golden = include_str!("../../../tests/golden/power.json");
        let golden: serde_json::Value = serde_json::from_str(golden).expect("the file is whole");
        let cases = golden["cases"].as_array().expect("a list");
        assert!(cases.len() >= 12);
        for case in cases {
            let number = |key: &str| case[key].as_f64().expect("a number");
            let found = seeds_needed(number("effect"), number("level")).expect("all are within reach");
            assert!((found as f64 - number("seeds")).abs() <= 1.0, "{found} instead of {case}");
        }
        assert_eq!(seeds_needed(0.1, 0.05), None);
    }
}
