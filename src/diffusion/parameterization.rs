//! What the network predicts.

use std::borrow::Cow;

use super::{ForwardProcess, Path};
use crate::spec::{EdmParameterization, FdmParameterization, Parameterization};

/// The network's input for noisy images, each at its own timestep: x_t = a x_0 + s epsilon itself, but for `edm` and `fdm` c_in x, where
/// x = x_t / a and sigma = s / a.
///
/// - `edm`: c_in = 1 / sqrt(sigma^2 + sigma_data^2) (Karras et al. 2022, arXiv 2206.00364, table 1): x_t over its standard
///   deviation.
/// - `fdm`: c_in = exp(-B) (1 + B) (Wu et al. 2023, arXiv 2306.06991, and its code).
pub fn network_input(
    parameterization: Parameterization,
    process: &ForwardProcess,
    mut noisy: Vec<f32>,
    timesteps: &[u32],
) -> Vec<f32> {
    assert!(timesteps.is_empty() || noisy.len().is_multiple_of(timesteps.len()), "as many images as timesteps");
    let pixels_per_image = (noisy.len() / timesteps.len().max(1)).max(1);
    for (image, &t) in noisy.chunks_exact_mut(pixels_per_image).zip(timesteps) {
        if let Some(scale) = input_scale(parameterization, process, process.signal_scale(t), process.noise_scale(t)) {
            image.iter_mut().for_each(|pixel| *pixel = (f64::from(*pixel) * scale) as f32);
        }
    }
    noisy
}

/// Like [`network_input`], for images at one noise level.
pub(super) fn network_input_at<'a>(
    parameterization: Parameterization,
    process: &ForwardProcess,
    noisy: &'a [f32],
    signal_scale: f64,
    noise_scale: f64,
) -> Cow<'a, [f32]> {
    match input_scale(parameterization, process, signal_scale, noise_scale) {
        Some(scale) => noisy.iter().map(|&pixel| (f64::from(pixel) * scale) as f32).collect(),
        None => noisy.into(),
    }
}

/// The factor of x_t, if there is one: c_in / a.
fn input_scale(
    parameterization: Parameterization,
    process: &ForwardProcess,
    signal_scale: f64,
    noise_scale: f64,
) -> Option<f64> {
    match parameterization {
        Parameterization::Epsilon | Parameterization::V | Parameterization::X0 => None,
        Parameterization::Edm(edm) => Some(deviation(edm.sigma_data, signal_scale, noise_scale).recip()),
        Parameterization::Fdm(fdm) => Some(damping(fdm, process, noise_scale / signal_scale) / signal_scale),
    }
}

/// exp(-B) (1 + B) of `fdm`.
pub(super) fn damping(fdm: FdmParameterization, process: &ForwardProcess, sigma: f64) -> f64 {
    let (least, largest) = (process.sigma(0), process.sigma(process.timesteps() as u32 - 1));
    let u = (sigma - least) / (largest - least);
    let b = fdm.multiplier * (0.1 * u + 9.95 * u * u);
    (-b).exp() * (1.0 + b)
}

/// The target of the network's output, one value per pixel. `images` and `noise` hold `timesteps.len()` images.
///
/// - `epsilon`: the noise itself (Ho et al. 2020, arXiv 2006.11239, equation 14), at every timestep.
/// - `v`: the velocity of the path: a epsilon - s x_0 of a variance-preserving one (Salimans and Ho 2022, arXiv 2202.00512, appendix
///   D), epsilon - x_0 of a straight one (Liu, Gong and Liu 2022, arXiv 2209.03003).
/// - `x0`: the image.
/// - `edm` and `fdm`: (x_0 - c_skip x) / c_out (Karras et al. 2022, arXiv 2206.00364, equation 8), x = x_t / a. With
///   d^2 = s^2 + sigma_data^2 a^2, the variance of x_t, it comes to (s x_0 / sigma_data - sigma_data a epsilon) / d: minus v where
///   sigma_data is 1 and the path preserves variance.
pub fn training_target<'a>(
    parameterization: Parameterization,
    process: &ForwardProcess,
    images: &'a [f32],
    noise: &'a [f32],
    timesteps: &[u32],
) -> Cow<'a, [f32]> {
    assert_eq!(images.len(), noise.len(), "as many noise values as pixels");
    assert!(timesteps.is_empty() || noise.len().is_multiple_of(timesteps.len()), "as many images as timesteps");
    // The factors of image and noise in the target.
    let factors = |t: u32| -> (f64, f64) {
        let (signal_scale, noise_scale) = (process.signal_scale(t), process.noise_scale(t));
        match parameterization {
            Parameterization::Epsilon => (0.0, 1.0),
            Parameterization::X0 => (1.0, 0.0),
            Parameterization::V => process.path().velocity(signal_scale, noise_scale),
            Parameterization::Edm(EdmParameterization { sigma_data })
            | Parameterization::Fdm(FdmParameterization { sigma_data, .. }) => {
                let deviation = deviation(sigma_data, signal_scale, noise_scale);
                (noise_scale / sigma_data / deviation, -sigma_data * signal_scale / deviation)
            }
        }
    };
    match parameterization {
        Parameterization::Epsilon => Cow::Borrowed(noise),
        Parameterization::X0 => Cow::Borrowed(images),
        Parameterization::V | Parameterization::Edm(_) | Parameterization::Fdm(_) => {
            let pixels_per_image = noise.len() / timesteps.len().max(1);
            let mut target = Vec::with_capacity(noise.len());
            for (index, &t) in timesteps.iter().enumerate() {
                let image = index * pixels_per_image..(index + 1) * pixels_per_image;
                let (of_image, of_noise) = factors(t);
                let pixels = images[image.clone()].iter().zip(&noise[image]);
                target
                    .extend(pixels.map(|(&pixel, &epsilon)| {
                        (of_noise * f64::from(epsilon) + of_image * f64::from(pixel)) as f32
                    }));
            }
            Cow::Owned(target)
        }
    }
}

/// The pixel that x_t = a x_0 + s epsilon was made of, if `predicted` is right. `signal_scale` is a, `noise_scale` is s.
///
/// From `epsilon`: (x_t - s epsilon) / a (Ho et al. 2020, equation 15); from `v`: as [`Path::clean_from_velocity`]; from `edm` and `fdm`:
/// c_skip x + c_out F (Karras et al. 2022, equation 7), which in x_t and d is (sigma_data^2 a x_t / d + sigma_data s F) / d.
pub(super) fn clean_from(
    parameterization: Parameterization,
    path: Path,
    x_t: f64,
    predicted: f64,
    signal_scale: f64,
    noise_scale: f64,
) -> f64 {
    match parameterization {
        Parameterization::Epsilon => (x_t - noise_scale * predicted) / signal_scale,
        Parameterization::V => path.clean_from_velocity(x_t, predicted, signal_scale, noise_scale),
        Parameterization::X0 => predicted,
        Parameterization::Edm(EdmParameterization { sigma_data })
        | Parameterization::Fdm(FdmParameterization { sigma_data, .. }) => {
            let deviation = deviation(sigma_data, signal_scale, noise_scale);
            sigma_data * (sigma_data * signal_scale * x_t / deviation + noise_scale * predicted) / deviation
        }
    }
}

/// How large the squared error of x_0 is, if that of what is predicted is 1.
pub(super) fn clean_error(parameterization: Parameterization, process: &ForwardProcess, t: u32) -> f64 {
    match parameterization {
        Parameterization::Epsilon => 1.0 / process.snr(t),
        Parameterization::V => process.path().clean_error_of_velocity(&process.level(t)),
        Parameterization::X0 => 1.0,
        // c_out^2 = (sigma sigma_data)^2 / (sigma^2 + sigma_data^2) (Karras et al. 2022, table 1).
        Parameterization::Edm(EdmParameterization { sigma_data })
        | Parameterization::Fdm(FdmParameterization { sigma_data, .. }) => {
            let sigma = process.sigma(t);
            (sigma * sigma_data).powi(2) / (sigma * sigma + sigma_data * sigma_data)
        }
    }
}

/// d, the standard deviation of x_t: the root of s^2 + sigma_data^2 a^2.
pub(super) fn deviation(sigma_data: f64, signal_scale: f64, noise_scale: f64) -> f64 {
    noise_scale.hypot(sigma_data * signal_scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::NoiseSchedule;

    fn edm(sigma_data: f64) -> Parameterization {
        Parameterization::Edm(EdmParameterization { sigma_data })
    }

    fn fdm(sigma_data: f64, multiplier: f64) -> Parameterization {
        Parameterization::Fdm(FdmParameterization { sigma_data, multiplier })
    }

    #[test]
    fn what_is_to_be_predicted_gives_the_image_back() {
        for process in ForwardProcess::of_test() {
            let (images, noise, timesteps) = ([0.75, -1.0, 0.125], [1.5, -0.25, 3.0], [0, 300, 900]);
            let noisy = process.add_noise(&images, &noise, &timesteps);
            for parameterization in [
                Parameterization::Epsilon,
                Parameterization::V,
                Parameterization::X0,
                edm(0.5),
                edm(2.0),
                fdm(0.5, 2.0),
            ] {
                let target = training_target(parameterization, &process, &images, &noise, &timesteps);
                for (index, &t) in timesteps.iter().enumerate() {
                    let (x_t, predicted) = (noisy[index].into(), target[index].into());
                    let (signal_scale, noise_scale) = (process.signal_scale(t), process.noise_scale(t));
                    let clean = clean_from(parameterization, process.path(), x_t, predicted, signal_scale, noise_scale);
                    // x_t is rounded to f32, and a is as small as 0.06.
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

    /// The coefficients as Karras et al. print them (table 1), in sigma and x = x_t / sqrt(abar).
    #[test]
    fn edm_preconditioning_is_table_1_of_the_paper() {
        for process in ForwardProcess::of_test() {
            for (t, sigma_data) in [(0, 0.5), (10, 0.3), (500, 0.5), (999, 1.7)] {
                let (signal, noise, sigma) = (process.signal_scale(t), process.noise_scale(t), process.sigma(t));
                let sum: f64 = sigma * sigma + sigma_data * sigma_data;
                let (c_skip, c_out, c_in) =
                    (sigma_data * sigma_data / sum, sigma * sigma_data / sum.sqrt(), 1.0 / sum.sqrt());
                let (image, epsilon) = (0.75f32, -1.25f32);
                let x_t = signal * f64::from(image) + noise * f64::from(epsilon);
                let x = x_t / signal;

                let input = network_input(edm(sigma_data), &process, vec![x_t as f32], &[t])[0];
                assert!((f64::from(input) - c_in * x).abs() < 1e-6 * (1.0 + (c_in * x).abs()), "t = {t}");
                let target = training_target(edm(sigma_data), &process, &[image], &[epsilon], &[t])[0];
                let expected = (f64::from(image) - c_skip * x) / c_out;
                assert!((f64::from(target) - expected).abs() < 2e-6 * (1.0 + expected.abs()), "t = {t}");
                let clean = clean_from(edm(sigma_data), process.path(), x_t, 0.3, signal, noise);
                assert!((clean - (c_skip * x + c_out * 0.3)).abs() < 1e-9, "t = {t}");
                let error = clean_error(edm(sigma_data), &process, t);
                assert!((error / c_out.powi(2) - 1.0).abs() < 1e-12, "t = {t}");
            }
        }
    }

    /// Why the paper chose them (its appendix B.6): with data of deviation sigma_data the network sees and gives unit
    /// variance at every noise.
    #[test]
    fn edm_inputs_and_targets_have_unit_variance_at_every_noise() {
        let process = ForwardProcess::new(&NoiseSchedule::default());
        for t in [0, 100, 400, 999] {
            let unit = |of: &dyn Fn(f32, f32) -> f32| {
                // The two independent parts of a linear function.
                f64::from(of(0.4, 0.0)).powi(2) + f64::from(of(0.0, 1.0)).powi(2)
            };
            let input = unit(&|image, noise| {
                let noisy = process.add_noise(&[image], &[noise], &[t]);
                network_input(edm(0.4), &process, noisy, &[t])[0]
            });
            let target = unit(&|image, noise| training_target(edm(0.4), &process, &[image], &[noise], &[t])[0]);
            assert!((input - 1.0).abs() < 1e-6 && (target - 1.0).abs() < 1e-6, "t = {t}: {input}, {target}");
        }
    }

    /// By hand: u is the share of sigma's range, which is nearly none for most timesteps of the linear schedule.
    #[test]
    fn fdm_damps_what_the_network_is_shown_and_nothing_else() {
        let process = ForwardProcess::new(&NoiseSchedule::default());
        let (least, largest) = (process.sigma(0), process.sigma(999));
        let (noisy, timesteps) = (vec![1.0f32; 4], [0, 500, 900, 999]);
        let shown = network_input(fdm(0.5, 2.0), &process, noisy, &timesteps);
        for (&shown, t) in shown.iter().zip(timesteps) {
            let u = (process.sigma(t) - least) / (largest - least);
            let b = 0.2 * u + 19.9 * u * u;
            let expected = (1.0 + b) / b.exp() / process.signal_scale(t);
            assert!((f64::from(shown) / expected - 1.0).abs() < 1e-6, "t = {t}: {shown}, not {expected}");
        }
        // Where sigma is least nothing is damped; where it is largest, by exp(-20.1) 21.1.
        assert!((f64::from(shown[0]) * process.signal_scale(0) - 1.0).abs() < 1e-6);
        assert!((f64::from(shown[3]) * process.signal_scale(999) / 3.935e-8 - 1.0).abs() < 1e-3);

        let (images, noise) = ([0.75, -1.0, 0.125, 1.0], [1.5, -0.25, 3.0, 0.5]);
        let targets = [edm(0.5), fdm(0.5, 2.0)].map(|of| training_target(of, &process, &images, &noise, &timesteps));
        assert_eq!(targets[0], targets[1]);
    }

    #[test]
    fn with_unit_data_edm_is_minus_v() {
        let process = ForwardProcess::new(&NoiseSchedule::default());
        let (images, noise, timesteps) = ([0.75, -1.0, 0.125], [1.5, -0.25, 3.0], [0, 300, 900]);
        let v = training_target(Parameterization::V, &process, &images, &noise, &timesteps);
        let edm_target = training_target(edm(1.0), &process, &images, &noise, &timesteps);
        assert!(v.iter().zip(edm_target.iter()).all(|(v, edm)| (v + edm).abs() < 1e-6));
        let input = network_input(edm(1.0), &process, images.to_vec(), &timesteps);
        assert!(input.iter().zip(images).all(|(input, image)| (input - image).abs() < 1e-6));
    }

    #[test]
    fn a_batch_at_one_level_is_scaled_as_each_image_of_it() {
        let process = ForwardProcess::new(&NoiseSchedule::default());
        let noisy = [0.3f32, -2.0, 1.0, 0.0];
        for parameterization in [Parameterization::Epsilon, edm(0.5), fdm(0.5, 1.0)] {
            let one =
                network_input_at(parameterization, &process, &noisy, process.signal_scale(70), process.noise_scale(70));
            assert_eq!(network_input(parameterization, &process, noisy.to_vec(), &[70, 70]), &one[..]);
        }
    }
}
