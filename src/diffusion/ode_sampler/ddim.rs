//! DDIM.

use rayon::prelude::*;

use super::{Denoiser, FreshNoise, PIXELS_AT_ONCE, Steps};
use crate::spec::Ddim;

/// x_s = a_s x_0 + sqrt(s_s^2 - sigma^2) epsilon + sigma z, on a variance-preserving path with sigma = eta sqrt((1 - abar_s) /
/// (1 - abar_t)) sqrt(1 - abar_t / abar_s) (Song, Meng and Ermon 2021, arXiv 2010.02502, equations 12 and 16), where x_0 and epsilon are what
/// the network takes them for, and z is standard normal. On another path sigma is that of the variance-preserving image of the same SNR,
/// times the factor between the two. Epsilon is that of the clipped x_0, as in Nichol and Dhariwal's code: so each step follows the ODE
/// of one denoiser, the clipped one.
///
/// With eta = 1 it is ancestral sampling with the posterior's variance, `ddpm`; with eta = 0 on a straight path it is Euler's method. No
/// noise is added by the last step. Between steps images are kept in f32, as in every record so far.
pub fn ddim<E>(
    ddim: &Ddim,
    steps: Steps<'_>,
    mut noisy: Vec<f64>,
    fresh_noise: &mut FreshNoise<'_>,
    denoiser: &mut Denoiser<'_, '_, E>,
) -> Result<Vec<f64>, E> {
    for (index, (level, next)) in steps.enumerate() {
        let clean = denoiser.clean(&noisy, &level)?;
        let (alpha_bar, next_alpha_bar) = (level.alpha_bar(), next.alpha_bar());
        let variance =
            ddim.eta.powi(2) * (1.0 - next_alpha_bar) / (1.0 - alpha_bar) * (1.0 - alpha_bar / next_alpha_bar);
        let variance = next.scale_variance() * variance;
        let (signal_scale, noise_scale) = (level.signal_scale(), level.noise_scale());
        let (next_signal_scale, next_noise_scale) =
            (next.signal_scale(), (next.noise_variance() - variance).max(0.0).sqrt());
        let deviation = variance.sqrt();
        let noise = (variance > 0.0).then(|| fresh_noise(index));
        noisy.par_iter_mut().with_min_len(PIXELS_AT_ONCE).zip(&clean).enumerate().for_each(|(pixel, (x_t, x_0))| {
            let epsilon = (*x_t - signal_scale * x_0) / noise_scale;
            let mut x_s = next_signal_scale * x_0 + next_noise_scale * epsilon;
            if let Some(noise) = &noise {
                x_s += deviation * f64::from(noise[pixel]);
            }
            *x_t = f64::from(x_s as f32);
        });
    }
    Ok(noisy)
}
