//! DDPM's ancestral sampling.

use super::{Denoiser, FreshNoise, Steps};
use crate::diffusion::NoiseLevel;
use crate::spec::{AncestralVariance, Ddpm};

/// x_s = mu(x_t, x_0) + sigma z (Ho et al. 2020, arXiv 2006.11239, algorithm 2), with the mean of q(x_s | x_t, x_0)
/// (equation 7), x_0 what the network takes it for, and z standard normal; no noise is added by the last step. On some of
/// the timesteps, beta of a step is 1 - abar_t / abar_s (Nichol and Dhariwal 2021, arXiv 2102.09672, equation 19). On a path that does not
/// preserve variance all of this is said of x / sqrt(a^2 + s^2), the variance-preserving image of the same SNR.
pub fn ddpm<E>(
    ddpm: &Ddpm,
    steps: Steps<'_>,
    mut noisy: Vec<f64>,
    fresh_noise: &mut FreshNoise<'_>,
    denoiser: &mut Denoiser<'_, '_, E>,
) -> Result<Vec<f64>, E> {
    for (index, (level, next)) in steps.enumerate() {
        let (clean, v) = denoiser.clean_and_v(&noisy, &level)?;
        let (alpha_bar, next_alpha_bar) = (level.alpha_bar(), next.alpha_bar());
        let (scale, next_scale) = (level.scale_variance().sqrt(), next.scale_variance().sqrt());
        let beta = 1.0 - alpha_bar / next_alpha_bar;
        let of_clean = next_scale * (next_alpha_bar.sqrt() * beta / (1.0 - alpha_bar));
        let of_noisy = next_scale / scale * ((1.0 - beta).sqrt() * (1.0 - next_alpha_bar) / (1.0 - alpha_bar));
        noisy.iter_mut().zip(clean).for_each(|(x_t, x_0)| *x_t = of_clean * x_0 + of_noisy * *x_t);
        if next != NoiseLevel::CLEAN {
            let fresh = fresh_noise(index).into_iter().map(|z| next_scale * f64::from(z));
            match ddpm.variance {
                AncestralVariance::Learned => {
                    assert_eq!(v.len(), noisy.len(), "a network with `learned_sigma`");
                    let deviation = learned_deviation(&level, &next);
                    let noise = fresh.zip(v).map(|(z, v)| deviation(f64::from(v)) * z);
                    noisy.iter_mut().zip(noise).for_each(|(x_s, noise)| *x_s += noise);
                }
                fixed => {
                    let deviation = variance(fixed, &level, &next).sqrt();
                    noisy.iter_mut().zip(fresh).for_each(|(x_s, z)| *x_s += deviation * z);
                }
            }
        }
    }
    Ok(noisy)
}

/// sigma by v: exp((1 + v) / 2 log beta + (1 - v) / 2 log beta~) is sigma^2 (Nichol and Dhariwal 2021, equation 15, whose v
/// in [0, 1] their code computes as (1 + v) / 2), with beta and beta~ of the step from `level` to `next`.
fn learned_deviation(level: &NoiseLevel, next: &NoiseLevel) -> impl Fn(f64) -> f64 {
    let [small, large] =
        [AncestralVariance::Small, AncestralVariance::Large].map(|bound| variance(bound, level, next).ln());
    move |v| ((small + (1.0 + v) / 2.0 * (large - small)) / 2.0).exp()
}

/// sigma^2 of the step from `level` to `next`, if it is fixed.
fn variance(variance: AncestralVariance, level: &NoiseLevel, next: &NoiseLevel) -> f64 {
    let beta = 1.0 - level.alpha_bar() / next.alpha_bar();
    match variance {
        AncestralVariance::Small => (1.0 - next.alpha_bar()) / (1.0 - level.alpha_bar()) * beta,
        AncestralVariance::Large => beta,
        AncestralVariance::Learned => unreachable!("the network says what it is"),
    }
}
