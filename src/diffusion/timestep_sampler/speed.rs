//! SpeeD's asymmetric sampling.

use super::fixed::Fixed;
use crate::spec::SpeedTimesteps;

/// p(t) proportional to k below tau T and to 1 from there on, in the convergence area, where noisy images hardly change
/// any more (Wang et al. 2024, arXiv 2405.17403). Its weighting is `loss_weighting: { kind: speed }`. The authors' released code
/// finds the area where sqrt(1 - abar) grows by less than 1e-4 a step, and draws half of a batch as mirror images of the other
/// half around it; both are left out here, as the paper states tau.
pub fn speed(speed: &SpeedTimesteps, timesteps: usize) -> Fixed {
    let border = speed.tau * timesteps as f64;
    let weights: Vec<f64> = (0..timesteps).map(|t| if (t as f64) < border { speed.k } else { 1.0 }).collect();
    Fixed::proportional_to(&weights)
}

#[cfg(test)]
mod tests {
    use super::super::TimestepSampler as _;
    use super::*;

    #[test]
    fn timesteps_before_the_convergence_area_come_k_times_as_often() {
        let probabilities = speed(&SpeedTimesteps::default(), 1000).probabilities(0);
        assert!((probabilities[699] / probabilities[700] - 5.0).abs() < 1e-12);
        assert!((probabilities[0] - 5.0 / 3800.0).abs() < 1e-15);
        let uniform = speed(&SpeedTimesteps { k: 1.0, tau: 0.7 }, 1000).probabilities(0);
        assert!(uniform.iter().all(|probability| (probability - 0.001).abs() < 1e-15));
    }
}
