//! EDM's log-normal noise levels.

use super::fixed::Fixed;
use super::log_snr::weights_in_log_snr;
use crate::diffusion::ForwardProcess;
use crate::spec::EdmTimesteps;

/// ln(sigma) ~ N(mean, deviation^2), sigma = SNR^-1/2 (Karras et al. 2022, arXiv 2206.00364), hence
/// ln(SNR) ~ N(-2 mean, (2 deviation)^2). The paper draws sigma itself; here it is brought to the timesteps of the noise
/// schedule.
pub fn edm(edm: &EdmTimesteps, process: &ForwardProcess) -> Fixed {
    let log_density = |lambda: f64| -0.5 * ((-0.5 * lambda - edm.mean) / edm.deviation).powi(2);
    Fixed::proportional_to(&weights_in_log_snr(process, log_density))
}

#[cfg(test)]
mod tests {
    use super::super::TimestepSampler as _;
    use super::*;
    use crate::spec::NoiseSchedule;

    #[test]
    fn the_moments_of_ln_sigma_are_those_of_the_distribution() {
        let process = ForwardProcess::new(&NoiseSchedule::default());
        // Well inside the schedule, whose ln(sigma) goes from -4.6 to 5.1.
        let sampler = edm(&EdmTimesteps { mean: 0.0, deviation: 0.8 }, &process);
        let pairs: Vec<(f64, f64)> =
            sampler.probabilities(0).into_iter().zip((0..1000).map(|t| process.sigma(t).ln())).collect();
        let mean: f64 = pairs.iter().map(|(p, value)| p * value).sum();
        let variance: f64 = pairs.iter().map(|(p, value)| p * (value - mean).powi(2)).sum();
        assert!(mean.abs() < 2e-3 && (variance.sqrt() - 0.8).abs() < 2e-3, "{mean}, {variance}");
    }
}
