//! Averages of any length, made after training from kept ones (Karras et al. 2024, arXiv 2312.02696, section 3).

use faer::linalg::solvers::Solve as _;
use faer::{Mat, linalg::solvers::PartialPivLu};

use super::ema::power_exponent;

/// sigma_rel of the two averages that a run keeps snapshots of: the paper's.
pub const POST_HOC_SIGMA_RELS: [f64; 2] = [0.05, 0.1];

/// An average by a power function, as [`crate::spec::PowerEma`] has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// The steps trained when it was taken, at least 1.
    pub step: u64,
    pub sigma_rel: f64,
}

/// The factor of each kept average in the sum of them that is nearest to `wanted`, as functions of time (algorithm 3 of the
/// paper). The factors add up to 1.
///
/// # Panics
/// If nothing is kept.
pub fn post_hoc_factors(kept: &[Profile], wanted: Profile) -> Vec<f64> {
    assert!(!kept.is_empty(), "an average is made of kept ones");
    let products = Mat::from_fn(kept.len(), kept.len(), |row, column| inner_product(kept[row], kept[column]));
    let wanted = Mat::from_fn(kept.len(), 1, |row, _| inner_product(kept[row], wanted));
    let factors = PartialPivLu::new(products.as_ref()).solve(&wanted);
    let sum: f64 = (0..kept.len()).map(|row| factors[(row, 0)]).sum();
    (0..kept.len()).map(|row| factors[(row, 0)] / sum).collect()
}

/// How far the sum of kept averages is from the wanted one, as functions of time: the norm of their difference over that of the wanted one.
pub fn post_hoc_missed(kept: &[Profile], wanted: Profile, factors: &[f64]) -> f64 {
    assert_eq!(kept.len(), factors.len(), "a factor for each kept average");
    let with_kept = |other: Profile| -> f64 {
        kept.iter().zip(factors).map(|(&profile, factor)| factor * inner_product(profile, other)).sum()
    };
    let square: f64 = kept.iter().zip(factors).map(|(&profile, factor)| factor * with_kept(profile)).sum();
    let norm = inner_product(wanted, wanted);
    // Rounding may take a difference of nothing below zero.
    ((norm - 2.0 * with_kept(wanted) + square).max(0.0) / norm).sqrt()
}

/// The integral over time of the product of two profiles, (gamma + 1) t^gamma / T^(gamma + 1) up to their time T (the paper's
/// equation 151). It ends where the shorter one does.
fn inner_product(one: Profile, other: Profile) -> f64 {
    let (first, last) = if one.step <= other.step { (one, other) } else { (other, one) };
    let [of_first, of_last] = [first, last].map(|profile| power_exponent(profile.sigma_rel));
    let share = first.step as f64 / last.step as f64;
    (of_first + 1.0) * (of_last + 1.0) * share.powf(of_last) / ((of_first + of_last + 1.0) * last.step as f64)
}

/// Adds an average, times its factor. Both have a value per parameter.
pub fn add_weighted(sum: &mut [f64], average: &[f32], factor: f64) {
    assert_eq!(average.len(), sum.len(), "averages of one network");
    sum.iter_mut().zip(average).for_each(|(sum, &value)| *sum += factor * f64::from(value));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::ema::power_decay;

    /// The average of `weights`, in f64.
    fn averaged(weights: &[f64], sigma_rel: f64) -> f64 {
        weights.iter().enumerate().fold(0.0, |average, (step, weight)| {
            let decay = power_decay(sigma_rel, step as u64);
            decay * average + (1.0 - decay) * weight
        })
    }

    fn kept(every: u64, last: u64) -> Vec<Profile> {
        let steps = (1..=last / every).map(|count| count * every);
        steps.flat_map(|step| POST_HOC_SIGMA_RELS.map(|sigma_rel| Profile { step, sigma_rel })).collect()
    }

    #[test]
    fn a_kept_average_is_made_of_itself() {
        let kept = kept(100, 800);
        for (index, profile) in kept.iter().enumerate() {
            for (other, factor) in post_hoc_factors(&kept, *profile).into_iter().enumerate() {
                let expected = if other == index { 1.0 } else { 0.0 };
                assert!((factor - expected).abs() < 1e-6, "{profile:?}, {other}: {factor}");
            }
        }
    }

    #[test]
    fn what_is_missed_grows_with_the_distance_from_what_was_kept() {
        let kept = kept(40, 400);
        let missed = |sigma_rel: f64| {
            let wanted = Profile { step: 400, sigma_rel };
            post_hoc_missed(&kept, wanted, &post_hoc_factors(&kept, wanted))
        };
        assert!(missed(0.05) < 1e-6 && missed(0.1) < 1e-6);
        assert!(missed(0.075) < 0.02, "{}", missed(0.075));
        assert!(missed(0.0001) > 0.5, "{}", missed(0.0001));
        assert!(missed(0.01) > missed(0.02) && missed(0.02) > missed(0.035));
    }

    /// numpy.linalg.solve on the paper's equations: see scripts/golden/post_hoc.py.
    #[test]
    fn factors_are_those_of_numpy() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/golden/post_hoc.json")).expect("the golden file is JSON");
        for case in golden.as_array().expect("a list of cases") {
            let number = |key: &str| case[key].as_f64().expect("a number");
            let kept = kept(number("every") as u64, number("last") as u64);
            let wanted = Profile { step: number("step") as u64, sigma_rel: number("sigma_rel") };
            let expected: Vec<f64> =
                case["factors"].as_array().expect("a list").iter().map(|factor| factor.as_f64().unwrap()).collect();
            let found = post_hoc_factors(&kept, wanted);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-7, "{wanted:?}: {found} is not {expected}");
            }
        }
    }

    /// Weights that drift and shake: averages of other lengths and of earlier steps, made of kept ones.
    #[test]
    fn averages_made_afterwards_are_those_that_training_would_have_kept() {
        let weights: Vec<f64> =
            (0..4000).map(|step| (f64::from(step) / 900.0).sin() + 0.5 * (f64::from(step) * 0.37).sin()).collect();
        let kept = kept(200, 4000);
        let averages: Vec<f64> =
            kept.iter().map(|profile| averaged(&weights[..profile.step as usize], profile.sigma_rel)).collect();
        for (step, sigma_rel, tolerance) in [
            (4000, 0.03, 1e-3),
            (4000, 0.07, 1e-4),
            (4000, 0.15, 5e-4),
            (4000, 0.25, 5e-3),
            (3000, 0.08, 2e-4),
            (2500, 0.1, 4e-3),
        ] {
            let factors = post_hoc_factors(&kept, Profile { step, sigma_rel });
            let made: f64 = factors.iter().zip(&averages).map(|(factor, average)| factor * average).sum();
            let expected = averaged(&weights[..step as usize], sigma_rel);
            assert!((made - expected).abs() < tolerance, "{sigma_rel} at {step}: {made} is not {expected}");
        }
    }

    #[test]
    fn a_sum_of_averages_has_each_by_its_factor() {
        let mut sum = [0.0; 2];
        add_weighted(&mut sum, &[1.0, 2.0], 0.25);
        add_weighted(&mut sum, &[3.0, -4.0], 0.75);
        assert_eq!(sum, [2.5, -2.5]);
    }
}
