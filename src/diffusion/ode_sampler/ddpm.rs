//! DDPM's ancestral sampling.

use super::{Denoiser, FreshNoise, Steps};
use crate::diffusion::NoiseLevel;
use crate::spec::{AncestralVariance, Ddpm};

/// x_s = mu(x_t, x_0) + sigma z (Ho et al. 2020, arXiv 2006.11239, algorithm 2), with the mean of q(x_s | x_t, x_0)
/// (equation 7), x_0 what the network takes it for, and z standard normal; no noise is added by the last step. On some of
/// the timesteps, beta of a step is 1 - abar_t / abar_s (Nichol and Dhariwal 2021, arXiv 2102.09672, equation 19).
pub fn ddpm<E>(
    ddpm: &Ddpm,
    steps: Steps<'_>,
    mut noisy: Vec<f64>,
    fresh_noise: &mut FreshNoise<'_>,
    denoiser: &mut Denoiser<'_, '_, E>,
) -> Result<Vec<f64>, E> {
    for (index, (level, next)) in steps.enumerate() {
        let clean = denoiser.clean(&noisy, &level)?;
        let beta = 1.0 - level.alpha_bar / next.alpha_bar;
        let of_clean = next.signal_scale() * beta / (1.0 - level.alpha_bar);
        let of_noisy = (1.0 - beta).sqrt() * (1.0 - next.alpha_bar) / (1.0 - level.alpha_bar);
        noisy.iter_mut().zip(clean).for_each(|(x_t, x_0)| *x_t = of_clean * x_0 + of_noisy * *x_t);
        if next != NoiseLevel::CLEAN {
            let deviation = variance(ddpm.variance, &level, &next).sqrt();
            noisy.iter_mut().zip(fresh_noise(index)).for_each(|(x_s, z)| *x_s += deviation * f64::from(z));
        }
    }
    Ok(noisy)
}

/// sigma^2 of the step from `level` to `next`.
fn variance(variance: AncestralVariance, level: &NoiseLevel, next: &NoiseLevel) -> f64 {
    let beta = 1.0 - level.alpha_bar / next.alpha_bar;
    match variance {
        AncestralVariance::Small => (1.0 - next.alpha_bar) / (1.0 - level.alpha_bar) * beta,
        AncestralVariance::Large => beta,
    }
}
