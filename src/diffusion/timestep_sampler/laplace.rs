//! Laplace in log-SNR.

use super::fixed::Fixed;
use super::log_snr::weights_in_log_snr;
use crate::diffusion::ForwardProcess;
use crate::spec::LaplaceTimesteps;

/// p(lambda) = exp(-|lambda - mean| / scale) / (2 scale), lambda = ln(SNR) (Hang and Gu 2024, arXiv 2407.03297).
/// The paper samples lambda itself; here it is brought to the timesteps of the noise schedule.
pub fn laplace(laplace: &LaplaceTimesteps, process: &ForwardProcess) -> Fixed {
    Fixed::proportional_to(&weights_in_log_snr(process, |lambda| -(lambda - laplace.mean).abs() / laplace.scale))
}

#[cfg(test)]
mod tests {
    use super::super::TimestepSampler as _;
    use super::super::log_snr::log_snr;
    use super::*;
    use crate::spec::NoiseSchedule;

    #[test]
    fn the_moments_in_log_snr_are_those_of_the_distribution() {
        let process = ForwardProcess::new(&NoiseSchedule::default());
        let sampler = laplace(&LaplaceTimesteps { mean: -0.5, scale: 0.5 }, &process);
        let pairs: Vec<(f64, f64)> = sampler.probabilities(0).into_iter().zip(log_snr(&process)).collect();
        let moment = |value: &dyn Fn(f64) -> f64| pairs.iter().map(|(p, lambda)| p * value(*lambda)).sum::<f64>();
        // Mean, mean absolute deviation b, variance 2 b^2.
        assert!((moment(&|lambda| lambda) + 0.5).abs() < 1e-3);
        assert!((moment(&|lambda| (lambda + 0.5).abs()) - 0.5).abs() < 1e-3);
        assert!((moment(&|lambda| (lambda + 0.5).powi(2)) - 0.5).abs() < 2e-3);
    }
}
