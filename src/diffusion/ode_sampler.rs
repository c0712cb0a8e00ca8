//! Generation: from noise to images along the probability-flow ODE.

use super::ForwardProcess;
use super::parameterization::clean_from;
use crate::spec::{OdeSampler, Parameterization};

/// The images, in [-1, 1], that `noise` (standard normal, any number of images) turns into.
///
/// DDIM with eta = 0 (Song, Meng and Ermon 2021, arXiv 2010.02502, equation 12):
/// x_s = sqrt(abar_s) x_0 + sqrt(1 - abar_s) epsilon, from each of [`generation_timesteps`] to the next, and from the last
/// to x_0 itself (abar = 1). What the network predicts, by `parameterization`, is turned into x_0 and epsilon here and
/// nowhere else.
///
/// The predicted x_0 is clipped to [-1, 1], the range of pixels, and epsilon is recomputed from the clipped x_0, as in
/// Nichol and Dhariwal's code: so each step follows the ODE of one denoiser, the clipped one. Without the clip an error of
/// epsilon at t = T - 1 grows by 1 / sqrt(abar): 160 for the linear schedule, 20,000 for the cosine one. NaN
/// is not clipped away.
///
/// # Errors
/// Whatever `predict` fails with.
///
/// # Panics
/// If there are more steps than timesteps, or none, which the plan's check refuses beforehand.
pub fn generate<E>(
    ode: &OdeSampler,
    process: &ForwardProcess,
    parameterization: Parameterization,
    noise: Vec<f32>,
    predict: &mut Predict<'_, E>,
) -> Result<Vec<f32>, E> {
    let timesteps = generation_timesteps(ode, process);
    let mut noisy = noise;
    for (index, &t) in timesteps.iter().enumerate() {
        let predicted = predict(&noisy, t)?;
        assert_eq!(predicted.len(), noisy.len(), "a network predicts one value per pixel");
        let next_alpha_bar = timesteps.get(index + 1).map_or(1.0, |&next| process.alpha_bar(next));
        let (signal_scale, noise_scale) = (process.signal_scale(t), process.noise_scale(t));
        let (next_signal_scale, next_noise_scale) = (next_alpha_bar.sqrt(), (1.0 - next_alpha_bar).sqrt());
        for (value, predicted) in noisy.iter_mut().zip(predicted) {
            let x_t = f64::from(*value);
            let x_0 = clean_from(parameterization, x_t, predicted.into(), signal_scale, noise_scale).clamp(-1.0, 1.0);
            let epsilon = (x_t - signal_scale * x_0) / noise_scale;
            *value = (next_signal_scale * x_0 + next_noise_scale * epsilon) as f32;
        }
    }
    Ok(noisy)
}

/// The network: `predict(noisy, t)` is what it predicts for all images at one t.
pub type Predict<'a, E> = dyn FnMut(&[f32], u32) -> Result<Vec<f32>, E> + 'a;

/// The timesteps at which the network is asked, the noisiest first.
///
/// "Trailing" spacing (Lin et al. 2024, arXiv 2305.08891, section 3.3): round(T - i T / steps) - 1 for i = 0..steps. It
/// starts at T - 1, the only timestep at which pure noise is what the network was trained on.
pub fn generation_timesteps(ode: &OdeSampler, process: &ForwardProcess) -> Vec<u32> {
    let (timesteps, steps) = (process.timesteps(), ode.nfe());
    assert!(
        (1..=timesteps).contains(&steps),
        "{} takes 1 to {timesteps} steps, one per timestep, not {steps}",
        ode.kind()
    );
    // Integer form of the rounding, half up.
    (0..steps).map(|index| ((2 * timesteps * (steps - index) + steps) / (2 * steps)) as u32 - 1).collect()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::spec::{CosineNoise, Ddim, NoiseSchedule};

    fn ddim(steps: usize) -> OdeSampler {
        OdeSampler::Ddim(Ddim { steps })
    }

    fn processes() -> [ForwardProcess; 2] {
        [NoiseSchedule::default(), NoiseSchedule::Cosine(CosineNoise::default())]
            .map(|noise_schedule| ForwardProcess::new(&noise_schedule))
    }

    #[test]
    fn timesteps_start_at_the_noisiest_and_never_repeat() {
        let [process, _] = processes();
        assert_eq!(generation_timesteps(&ddim(4), &process), [999, 749, 499, 249]);
        assert_eq!(generation_timesteps(&ddim(1), &process), [999]);
        assert_eq!(generation_timesteps(&ddim(3), &process), [999, 666, 332]);
        assert_eq!(generation_timesteps(&ddim(1000), &process), (0..1000).rev().collect::<Vec<_>>());
        for steps in 1..=1000 {
            let timesteps = generation_timesteps(&ddim(steps), &process);
            assert!(timesteps.len() == steps && timesteps[0] == 999);
            assert!(timesteps.windows(2).all(|pair| pair[0] > pair[1]), "{steps} steps");
        }
    }

    /// If all data are one image, the noise in x_t is known exactly and every sampler must give that image back.
    #[test]
    fn the_exact_network_of_a_single_image_generates_it_in_any_number_of_steps() {
        let image = [0.5f32, -1.0, 0.0, 1.0];
        for process in processes() {
            for steps in [1, 7, 20, 1000] {
                let mut exact = |noisy: &[f32], t: u32| -> Result<Vec<f32>, Infallible> {
                    let noise_of = |(value, pixel): (&f32, &f32)| {
                        let signal = process.signal_scale(t) * f64::from(*pixel);
                        ((f64::from(*value) - signal) / process.noise_scale(t)) as f32
                    };
                    Ok(noisy.iter().zip(&image).map(noise_of).collect())
                };
                let generated =
                    generate(&ddim(steps), &process, Parameterization::Epsilon, vec![0.3, -2.0, 1.1, 0.0], &mut exact)
                        .unwrap();
                for (value, pixel) in generated.iter().zip(image) {
                    // One step of the cosine schedule divides f32 rounding errors by sqrt(abar) = 5e-5.
                    assert!((value - pixel).abs() < 2e-3, "{steps} steps: {generated:?}");
                }
            }
        }
    }

    /// Networks that say the same in other words generate the same images.
    #[test]
    fn what_a_network_predicts_does_not_change_what_it_generates() {
        let start = [0.3f32, -2.0, 1.1, 0.0];
        for process in processes() {
            // What it takes for the noise: right for pixels of variance 1/4 around 0.1.
            let epsilon = |x_t: f32, t: u32| {
                let (signal, noise) = (process.signal_scale(t), process.noise_scale(t));
                noise * (f64::from(x_t) - 0.1 * signal) / (0.25 * signal * signal + noise * noise)
            };
            let images_of = |parameterization| {
                let mut predict = |noisy: &[f32], t: u32| -> Result<Vec<f32>, Infallible> {
                    let (signal, noise) = (process.signal_scale(t), process.noise_scale(t));
                    let say = |&x_t: &f32| {
                        let epsilon = epsilon(x_t, t);
                        let x_0 = (f64::from(x_t) - noise * epsilon) / signal;
                        match parameterization {
                            Parameterization::Epsilon => epsilon as f32,
                            Parameterization::V => (signal * epsilon - noise * x_0) as f32,
                            Parameterization::X0 => x_0 as f32,
                        }
                    };
                    Ok(noisy.iter().map(say).collect())
                };
                generate(&ddim(20), &process, parameterization, start.to_vec(), &mut predict).unwrap()
            };
            let expected = images_of(Parameterization::Epsilon);
            for parameterization in [Parameterization::V, Parameterization::X0] {
                for (value, expected) in images_of(parameterization).iter().zip(&expected) {
                    // Rounding epsilon to f32 is what costs, at the first step of the cosine schedule.
                    assert!((value - expected).abs() < 2e-3, "{parameterization:?}: {value} is not {expected}");
                }
            }
        }
    }

    #[test]
    fn generated_pixels_stay_in_range_and_nan_stays_visible() {
        let [process, _] = processes();
        let mut wrong = |noisy: &[f32], _t: u32| -> Result<Vec<f32>, Infallible> {
            Ok(noisy.iter().map(|value| -3.0 * value).collect())
        };
        let generated =
            generate(&ddim(10), &process, Parameterization::Epsilon, vec![5.0, -4.0, f32::NAN], &mut wrong).unwrap();
        assert_eq!(generated[..2], [1.0, -1.0]);
        assert!(generated[2].is_nan());
    }

    #[test]
    fn a_failing_network_ends_the_generation() {
        let [process, _] = processes();
        let mut calls = 0;
        let mut fails = |noisy: &[f32], _t: u32| {
            calls += 1;
            if calls == 3 { Err("stopped") } else { Ok(noisy.to_vec()) }
        };
        assert_eq!(generate(&ddim(10), &process, Parameterization::Epsilon, vec![0.1; 8], &mut fails), Err("stopped"));
        assert_eq!(calls, 3);
    }

    #[test]
    #[should_panic(expected = "ddim takes 1 to 1000 steps, one per timestep, not 1001")]
    fn more_steps_than_timesteps_are_refused() {
        let [process, _] = processes();
        generation_timesteps(&ddim(1001), &process);
    }
}
