//! Densities in log-SNR, converted to discrete timesteps.

use crate::diffusion::ForwardProcess;

/// ln(SNR) of each timestep, falling with t.
pub fn log_snr(process: &ForwardProcess) -> Vec<f64> {
    (0..process.timesteps() as u32).map(|t| process.snr(t).ln()).collect()
}

/// Weights proportional to p(t) = p(lambda_t) |d lambda / dt|, where lambda_t is ln(SNR) of t: the density at the timestep
/// times the width of its cell, whose borders are half way to its neighbours (as wide outside as inside, for the first
/// and the last). What lies beyond the noise schedule is left out. Given as `log_density` of lambda, up to a constant, so
/// that a density far from every timestep does not vanish: it keeps the nearest.
pub fn weights_in_log_snr(process: &ForwardProcess, log_density: impl Fn(f64) -> f64) -> Vec<f64> {
    let log_snr = log_snr(process);
    let last = log_snr.len() - 1;
    let log_weight = |t: usize| {
        let (before, after) = (t.saturating_sub(1), (t + 1).min(last));
        let width = (log_snr[before] - log_snr[after]) / (after - before).max(1) as f64;
        log_density(log_snr[t]) + if last == 0 { 0.0 } else { width.ln() }
    };
    relative_to_largest((0..=last).map(log_weight).collect())
}

/// exp of each, over the largest.
pub fn relative_to_largest(log_weights: Vec<f64>) -> Vec<f64> {
    let largest = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    log_weights.iter().map(|log_weight| (log_weight - largest).exp()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::NoiseSchedule;

    #[test]
    fn a_flat_density_in_log_snr_gives_every_timestep_its_width() {
        let process = ForwardProcess::new(&NoiseSchedule::default());
        let (weights, log_snr) = (weights_in_log_snr(&process, |_| 0.0), log_snr(&process));
        let width = |t: usize| (log_snr[t - 1] - log_snr[t + 1]) / 2.0;
        for t in 1..999 {
            assert!((weights[t] / weights[500] / (width(t) / width(500)) - 1.0).abs() < 1e-12, "t = {t}");
        }
    }

    #[test]
    fn a_density_far_outside_the_schedule_keeps_the_nearest_timestep() {
        let process = ForwardProcess::new(&NoiseSchedule::default());
        for (center, nearest) in [(1e3, 0), (-1e3, 999)] {
            let weights = weights_in_log_snr(&process, |lambda| -(lambda - center).powi(2) / 1e-6);
            assert_eq!(weights[nearest], 1.0);
            assert_eq!(weights.iter().sum::<f64>(), 1.0);
        }
    }
}
