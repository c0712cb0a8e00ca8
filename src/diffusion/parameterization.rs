//! What the network predicts.

use std::borrow::Cow;

use super::ForwardProcess;
use crate::spec::Parameterization;

/// What the network's output is compared with, one value per pixel. `images` and `noise` hold `timesteps.len()` images.
///
/// `epsilon`: the noise itself (Ho et al. 2020, arXiv 2006.11239, equation 14), at every timestep.
pub fn training_target<'a>(
    parameterization: Parameterization,
    _process: &ForwardProcess,
    images: &[f32],
    noise: &'a [f32],
    timesteps: &[u32],
) -> Cow<'a, [f32]> {
    assert_eq!(images.len(), noise.len(), "as many noise values as pixels");
    assert!(timesteps.is_empty() || noise.len().is_multiple_of(timesteps.len()), "as many images as timesteps");
    match parameterization {
        Parameterization::Epsilon => Cow::Borrowed(noise),
    }
}

/// The pixel that x_t was made of, if `epsilon` was the noise: x_0 = (x_t - sqrt(1 - abar_t) epsilon) / sqrt(abar_t)
/// (Ho et al. 2020, equation 15). `signal_scale` is sqrt(abar_t), `noise_scale` sqrt(1 - abar_t).
pub(super) fn clean_from_noise(x_t: f64, epsilon: f64, signal_scale: f64, noise_scale: f64) -> f64 {
    (x_t - noise_scale * epsilon) / signal_scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::NoiseSchedule;

    #[test]
    fn the_noise_that_was_added_gives_the_image_back() {
        let process = ForwardProcess::new(&NoiseSchedule::default());
        let (images, noise, timesteps) = ([0.75, -1.0, 0.125], [1.5, -0.25, 3.0], [0, 300, 999]);
        let target = training_target(Parameterization::Epsilon, &process, &images, &noise, &timesteps);
        let noisy = process.add_noise(&images, &noise, &timesteps);
        for (index, &t) in timesteps.iter().enumerate() {
            let (signal_scale, noise_scale) = (process.signal_scale(t), process.noise_scale(t));
            let clean = clean_from_noise(noisy[index].into(), target[index].into(), signal_scale, noise_scale);
            // x_t is rounded to f32, and sqrt(abar) at t = 999 is 0.006.
            assert!((clean - f64::from(images[index])).abs() < 1e-4, "t = {t}: {clean}");
        }
    }
}
