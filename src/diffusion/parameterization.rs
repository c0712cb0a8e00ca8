//! What the network predicts.

use std::borrow::Cow;

use super::ForwardProcess;
use crate::spec::Parameterization;

/// What the network's output is compared with, one value per pixel. `images` and `noise` hold `timesteps.len()` images.
///
/// - `epsilon`: the noise itself (Ho et al. 2020, arXiv 2006.11239, equation 14), at every timestep.
/// - `v`: sqrt(abar_t) epsilon - sqrt(1 - abar_t) x_0 (Salimans and Ho 2022, arXiv 2202.00512, appendix D).
/// - `x0`: the image.
pub fn training_target<'a>(
    parameterization: Parameterization,
    process: &ForwardProcess,
    images: &'a [f32],
    noise: &'a [f32],
    timesteps: &[u32],
) -> Cow<'a, [f32]> {
    assert_eq!(images.len(), noise.len(), "as many noise values as pixels");
    assert!(timesteps.is_empty() || noise.len().is_multiple_of(timesteps.len()), "as many images as timesteps");
    match parameterization {
        Parameterization::Epsilon => Cow::Borrowed(noise),
        Parameterization::X0 => Cow::Borrowed(images),
        Parameterization::V => {
            let pixels_per_image = noise.len() / timesteps.len().max(1);
            let mut velocity = Vec::with_capacity(noise.len());
            for (index, &t) in timesteps.iter().enumerate() {
                let image = index * pixels_per_image..(index + 1) * pixels_per_image;
                let (signal_scale, noise_scale) = (process.signal_scale(t), process.noise_scale(t));
                let pixels = images[image.clone()].iter().zip(&noise[image]);
                velocity.extend(pixels.map(|(&pixel, &epsilon)| {
                    (signal_scale * f64::from(epsilon) - noise_scale * f64::from(pixel)) as f32
                }));
            }
            Cow::Owned(velocity)
        }
    }
}

/// The pixel that x_t was made of, if `predicted` is right. `signal_scale` is sqrt(abar_t), `noise_scale` sqrt(1 - abar_t).
///
/// From `epsilon`: (x_t - sqrt(1 - abar_t) epsilon) / sqrt(abar_t) (Ho et al. 2020, equation 15); from `v`:
/// sqrt(abar_t) x_t - sqrt(1 - abar_t) v (Salimans and Ho 2022, appendix D).
pub(super) fn clean_from(
    parameterization: Parameterization,
    x_t: f64,
    predicted: f64,
    signal_scale: f64,
    noise_scale: f64,
) -> f64 {
    match parameterization {
        Parameterization::Epsilon => (x_t - noise_scale * predicted) / signal_scale,
        Parameterization::V => signal_scale * x_t - noise_scale * predicted,
        Parameterization::X0 => predicted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{CosineNoise, NoiseSchedule};

    #[test]
    fn what_is_to_be_predicted_gives_the_image_back() {
        for noise_schedule in [NoiseSchedule::default(), NoiseSchedule::Cosine(CosineNoise::default())] {
            let process = ForwardProcess::new(&noise_schedule);
            let (images, noise, timesteps) = ([0.75, -1.0, 0.125], [1.5, -0.25, 3.0], [0, 300, 900]);
            let noisy = process.add_noise(&images, &noise, &timesteps);
            for parameterization in [Parameterization::Epsilon, Parameterization::V, Parameterization::X0] {
                let target = training_target(parameterization, &process, &images, &noise, &timesteps);
                for (index, &t) in timesteps.iter().enumerate() {
                    let (x_t, predicted) = (noisy[index].into(), target[index].into());
                    let (signal_scale, noise_scale) = (process.signal_scale(t), process.noise_scale(t));
                    let clean = clean_from(parameterization, x_t, predicted, signal_scale, noise_scale);
                    // x_t is rounded to f32, and sqrt(abar) is as small as 0.06.
                    let error = (clean - f64::from(images[index])).abs();
                    assert!(error < 1e-5, "{parameterization:?}, t = {t}: {clean}");
                }
            }
        }
    }

    /// v is the derivative of x along the angle phi with cos(phi) = sqrt(abar).
    #[test]
    fn the_velocity_is_the_derivative_along_the_angle() {
        let process = ForwardProcess::new(&NoiseSchedule::default());
        let (image, noise) = (0.75f32, -1.5f32);
        for t in [0, 250, 999] {
            let angle = process.noise_scale(t).atan2(process.signal_scale(t));
            let x = |angle: f64| angle.cos() * f64::from(image) + angle.sin() * f64::from(noise);
            let derivative = (x(angle + 1e-5) - x(angle - 1e-5)) / 2e-5;
            let velocity = training_target(Parameterization::V, &process, &[image], &[noise], &[t])[0];
            assert!((f64::from(velocity) - derivative).abs() < 1e-6, "t = {t}: {velocity} is not {derivative}");
        }
    }

    #[test]
    fn each_image_has_the_target_of_its_own_timestep() {
        let process = ForwardProcess::new(&NoiseSchedule::default());
        let target =
            training_target(Parameterization::V, &process, &[1.0, 0.0, 1.0, 0.0], &[0.0, 1.0, 0.0, 1.0], &[5, 800]);
        let expected = [5, 800].map(|t| [-process.noise_scale(t) as f32, process.signal_scale(t) as f32]).concat();
        assert_eq!(&target[..], &expected[..]);
    }
}
