//! The level of the test at each look, when a study is looked at several times.

use rayon::prelude::*;
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::random::{Draws, Stream};
use crate::report::interval::{LEVEL, quantile_of_t};
use crate::spec::UntilDecided;

/// Made-up studies without any effect; a level is right to about 0.7 % of itself for one comparison, 7 % for a hundred.
const STUDIES: u64 = 400_000;
/// No level is larger: values above it are not told apart.
const LARGEST: f64 = 0.2;

/// The rule for seeds in this order, looked at after so many of them, rising, and so many comparisons.
///
/// The level is the same at every look (Pocock 1977, "Group sequential methods in the design and analysis of clinical trials"),
/// and is found by simulation of Student's t over pairs added one after the other. It falls as Holm's (1979) does: one for each
/// number of comparisons that are still undecided (Maurer and Bretz 2013, "Multiple testing in group sequential trials using
/// graphical approaches").
pub fn until_decided(seeds: Vec<u64>, looks: Vec<usize>, comparisons: usize) -> UntilDecided {
    let smallest = smallest_p_values(&looks);
    // All looks at all comparisons of a study together err as often as a single test does.
    let at = |error: f64| smallest[((error * STUDIES as f64) as usize).saturating_sub(1)];
    UntilDecided {
        levels: (1..=comparisons.max(1)).map(|undecided| at(LEVEL / undecided as f64)).collect(),
        seeds,
        looks,
    }
}

/// The level of a two-sided test of one of so many comparisons: by the rule, or of a single look the share of each (Bonferroni), of
/// which Holm's correction takes no more.
pub fn level(rule: Option<&UntilDecided>, comparisons: usize) -> f64 {
    match rule {
        Some(rule) => rule.level(comparisons),
        None => LEVEL / comparisons.max(1) as f64,
    }
}

/// The smallest two-sided p-value that each study shows over its looks, in rising order.
fn smallest_p_values(looks: &[usize]) -> Vec<f64> {
    let most = looks.last().copied().unwrap_or(0);
    // (freedom, the t whose p-value is the largest of interest)
    let tests: Vec<(StudentsT, f64)> = looks
        .iter()
        .map(|&count| {
            let freedom = (count - 1) as f64;
            let student = StudentsT::new(0.0, 1.0, freedom).expect("a look has two seeds or more");
            (student, quantile_of_t(1.0 - LARGEST / 2.0, freedom))
        })
        .collect();
    let of_study = |study: u64| {
        let mut normals = vec![0f32; most];
        Draws::new(0, Stream::Looks, study).fill_normal(&mut normals);
        let (mut sum, mut squares, mut used, mut smallest) = (0.0, 0.0, 0, 1.0f64);
        for (&count, (student, least)) in looks.iter().zip(&tests) {
            for &normal in &normals[used..count] {
                sum += f64::from(normal);
                squares += f64::from(normal).powi(2);
            }
            used = count;
            let n = count as f64;
            let variance = (squares - sum * sum / n) / (n - 1.0);
            let t = (sum / n / (variance / n).sqrt()).abs();
            if t > *least {
                smallest = smallest.min(2.0 * student.sf(t));
            }
        }
        smallest
    };
    let mut smallest: Vec<f64> = (0..STUDIES).into_par_iter().map(of_study).collect();
    smallest.par_sort_unstable_by(f64::total_cmp);
    smallest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_another_simulation() {
        let golden = include_str!("../../../tests/golden/looks.json");
        let golden: serde_json::Value = serde_json::from_str(golden).expect("the file is whole");
        let cases = golden["cases"].as_array().expect("a list");
        assert!(cases.len() >= 4);
        for case in cases {
            let numbers = |key: &str| -> Vec<f64> {
                case[key].as_array().expect("a list").iter().map(|value| value.as_f64().expect("a number")).collect()
            };
            let looks: Vec<usize> = numbers("looks").into_iter().map(|look| look as usize).collect();
            let seeds = (0..*looks.last().unwrap() as u64).collect();
            let rule = until_decided(seeds, looks, 4);
            for (level, expected) in rule.levels.iter().zip(numbers("levels")) {
                assert!((level / expected - 1.0).abs() < 0.05, "{level} instead of {expected} in {case}");
            }
        }
    }

    #[test]
    fn a_single_look_has_the_usual_level() {
        let rule = until_decided(vec![1, 2, 3, 4, 5], vec![5], 2);
        assert!((rule.level(1) - 0.05).abs() < 0.0015, "{rule:?}");
        assert!((rule.level(2) - 0.025).abs() < 0.001, "{rule:?}");
        assert_eq!(rule.level(4), rule.level(2) / 2.0, "more than the rule knows share its last");
        assert_eq!(rule.new_seeds(0), [1, 2, 3, 4, 5]);
    }
}
