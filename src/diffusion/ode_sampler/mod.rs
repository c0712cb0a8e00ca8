//! Generation: from noise to images, one file for each kind.

mod ddim;
mod ddpm;
mod denoiser;
mod dpm_solver_pp;
mod euler_heun;
mod spacing;

use self::denoiser::Denoiser;
pub use self::spacing::generation_levels;
use super::{ForwardProcess, NoiseLevel};
use crate::spec::{OdeSampler, Parameterization};

/// The images that `noise` (standard normal, any number of images) turns into, from each of [`generation_levels`] to the
/// next and from the last to the image itself. Pixels are in [-1, 1] where the sampler clips.
///
/// What the network predicts, by `parameterization`, is turned into x_0 in one place for all kinds. There x_0 is clipped to
/// the range of pixels: without the clip an error of epsilon at t = T - 1 grows by 1 / a, which is 160 for the
/// linear schedule and 20,000 for the cosine one. NaN is not clipped away.
///
/// `fresh_noise` is asked by the kinds that add noise on the way.
///
/// # Errors
/// Whatever `predict` fails with.
///
/// # Panics
/// As [`generation_levels`].
pub fn generate<E>(
    ode: &OdeSampler,
    process: &ForwardProcess,
    parameterization: Parameterization,
    noise: Vec<f32>,
    fresh_noise: &mut FreshNoise<'_>,
    predict: &mut Predict<'_, E>,
) -> Result<Vec<f32>, E> {
    let levels = generation_levels(ode, process);
    let steps = Steps { levels: &levels };
    let mut denoiser = Denoiser { parameterization, process, clip: ode.clip(), predict };
    let noisy: Vec<f64> = noise.into_iter().map(f64::from).collect();
    let images = match ode {
        OdeSampler::Ddim(ddim) => ddim::ddim(ddim, steps, noisy, fresh_noise, &mut denoiser),
        OdeSampler::Ddpm(ddpm) => ddpm::ddpm(ddpm, steps, noisy, fresh_noise, &mut denoiser),
        OdeSampler::Euler(_) => euler_heun::euler_or_heun(steps, noisy, &mut denoiser, false),
        OdeSampler::Heun(_) => euler_heun::euler_or_heun(steps, noisy, &mut denoiser, true),
        OdeSampler::DpmSolverPp(_) => dpm_solver_pp::dpm_solver_pp(steps, noisy, &mut denoiser),
    }?;
    Ok(images.into_iter().map(|pixel| pixel as f32).collect())
}

/// Pixels that a thread computes, at least. Each is computed alone, so that how many threads there are changes none. While they do, a GPU waits for its next
/// images.
const PIXELS_AT_ONCE: usize = 1 << 14;

/// The network: `predict(input, t)` is what it predicts for all images at one t, which may lie between two timesteps; with
/// `learned_sigma` followed by as many values again, v of all images.
pub type Predict<'a, E> = dyn FnMut(&[f32], f64) -> Result<Vec<f32>, E> + 'a;

/// Standard normal noise for the step of an index, as many values as all images have pixels.
pub type FreshNoise<'a> = dyn FnMut(usize) -> Vec<f32> + 'a;

/// The noise levels at which each step begins and ends; the last step ends at [`NoiseLevel::CLEAN`].
#[derive(Clone, Copy)]
struct Steps<'a> {
    levels: &'a [NoiseLevel],
}

impl Iterator for Steps<'_> {
    type Item = (NoiseLevel, NoiseLevel);

    fn next(&mut self) -> Option<Self::Item> {
        let (&level, rest) = self.levels.split_first()?;
        self.levels = rest;
        Some((level, rest.first().copied().unwrap_or(NoiseLevel::CLEAN)))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::super::parameterization::{damping, deviation};
    use super::*;
    use crate::random::{Draws, Stream};
    use crate::spec::{
        AncestralVariance, Ddim, Ddpm, DpmSolverPp, EdmParameterization, Euler, FdmParameterization, Heun, Spacing,
    };

    /// Every kind: what holds for all is tested on each.
    fn kinds(steps: usize) -> [OdeSampler; 10] {
        let (spacing, clip, shift) = (Spacing::Trailing, true, 3.0);
        [
            OdeSampler::Ddim(Ddim { steps, ..Ddim::default() }),
            OdeSampler::Ddim(Ddim { steps, eta: 0.5, ..Ddim::default() }),
            OdeSampler::Ddpm(Ddpm { steps, ..Ddpm::default() }),
            OdeSampler::Ddpm(Ddpm { steps, variance: AncestralVariance::Large, ..Ddpm::default() }),
            OdeSampler::Heun(Heun { steps, ..Heun::default() }),
            OdeSampler::Heun(Heun { steps, spacing, clip, ..Heun::default() }),
            OdeSampler::Heun(Heun { steps, spacing, clip, shift }),
            OdeSampler::Euler(Euler { steps, clip, ..Euler::default() }),
            OdeSampler::Euler(Euler { steps, clip, shift, ..Euler::default() }),
            OdeSampler::DpmSolverPp(DpmSolverPp { steps, ..DpmSolverPp::default() }),
        ]
    }

    fn fresh(count: usize) -> impl FnMut(usize) -> Vec<f32> {
        move |step| {
            let mut noise = vec![0.0; count];
            Draws::new(5, Stream::GenerationNoise, step as u64).fill_normal(&mut noise);
            noise
        }
    }

    /// The factors of image and noise at `t`, which may lie between two timesteps.
    fn scales(process: &ForwardProcess, t: f64) -> (f64, f64) {
        let level = NoiseLevel::at(process, t);
        (level.signal_scale(), level.noise_scale())
    }

    /// If all data are one image, the noise in x_t is known exactly and every sampler must give that image back.
    #[test]
    fn the_exact_network_of_a_single_image_generates_it_in_any_number_of_steps() {
        let image = [0.5f32, -1.0, 0.0, 1.0];
        for process in ForwardProcess::of_test() {
            for ode in [1, 7, 20, 1000].into_iter().flat_map(kinds) {
                let mut calls = 0;
                let mut exact = |noisy: &[f32], t: f64| -> Result<Vec<f32>, Infallible> {
                    calls += 1;
                    let (signal, noise) = scales(&process, t);
                    let noise_of = |(value, pixel): (&f32, &f32)| {
                        ((f64::from(*value) - signal * f64::from(*pixel)) / noise) as f32
                    };
                    Ok(noisy.iter().zip(&image).map(noise_of).collect())
                };
                let start = vec![0.3, -2.0, 1.1, 0.0];
                let generated =
                    generate(&ode, &process, Parameterization::Epsilon, start, &mut fresh(4), &mut exact).unwrap();
                assert_eq!(calls, ode.nfe(), "{ode:?}");
                for (value, pixel) in generated.iter().zip(image) {
                    // One step of the cosine schedule divides f32 rounding errors by sqrt(abar) = 5e-5.
                    assert!((value - pixel).abs() < 2e-3, "{ode:?}: {generated:?}");
                }
            }
        }
    }

    /// Networks that say the same in other words generate the same images.
    #[test]
    fn what_a_network_predicts_does_not_change_what_it_generates() {
        let start = [0.3f32, -2.0, 1.1, 0.0];
        // Rounding epsilon to f32 is what costs, at the first step: times 160, 20,000 of the cosine schedule, 2,000 of a flow.
        let processes = ForwardProcess::of_test().into_iter().zip([2e-4, 1e-2, 1e-3]);
        for (process, tolerance, ode) in
            processes.flat_map(|(process, tolerance)| kinds(20).map(|ode| (process.clone(), tolerance, ode)))
        {
            let images_of = |parameterization| {
                let mut predict = |input: &[f32], t: f64| -> Result<Vec<f32>, Infallible> {
                    let (signal, noise) = scales(&process, t);
                    let scale = match parameterization {
                        Parameterization::Edm(edm) => deviation(edm.sigma_data, signal, noise),
                        Parameterization::Fdm(fdm) => signal / damping(fdm, &process, noise / signal),
                        _ => 1.0,
                    };
                    let say = |&input: &f32| {
                        let x_t = scale * f64::from(input);
                        // Right for pixels of variance 1/4 around 0.1.
                        let variance = 0.25 * signal * signal + noise * noise;
                        let epsilon = noise * (x_t - 0.1 * signal) / variance;
                        let x_0 = (0.25 * signal * x_t + 0.1 * noise * noise) / variance;
                        match parameterization {
                            Parameterization::Epsilon => epsilon as f32,
                            Parameterization::V => {
                                let (of_image, of_noise) = process.path().velocity(signal, noise);
                                (of_noise * epsilon + of_image * x_0) as f32
                            }
                            Parameterization::X0 => x_0 as f32,
                            // (x_0 - c_skip x) / c_out of the paper, in sigma.
                            Parameterization::Edm(_) | Parameterization::Fdm(_) => {
                                let (sigma, sum) = (noise / signal, (noise / signal).powi(2) + 0.25);
                                ((x_0 - 0.25 / sum * x_t / signal) / (sigma * 0.5 / sum.sqrt())) as f32
                            }
                        }
                    };
                    Ok(input.iter().map(say).collect())
                };
                generate(&ode, &process, parameterization, start.to_vec(), &mut fresh(4), &mut predict).unwrap()
            };
            let expected = images_of(Parameterization::X0);
            for parameterization in [
                Parameterization::V,
                Parameterization::Epsilon,
                Parameterization::Edm(EdmParameterization { sigma_data: 0.5 }),
                Parameterization::Fdm(FdmParameterization { sigma_data: 0.5, multiplier: 1.0 }),
            ] {
                for (value, expected) in images_of(parameterization).iter().zip(&expected) {
                    assert!(
                        (value - expected).abs() < tolerance,
                        "{ode:?} {parameterization:?}: {value} is not {expected}"
                    );
                }
            }
        }
    }

    /// Song et al. 2021, section 4.1: eta = 1 is DDPM.
    #[test]
    fn ddim_with_full_noise_is_ancestral_sampling() {
        for process in ForwardProcess::of_test() {
            let images = [
                OdeSampler::Ddim(Ddim { steps: 30, eta: 1.0, ..Ddim::default() }),
                OdeSampler::Ddpm(Ddpm { steps: 30, ..Ddpm::default() }),
            ]
            .map(|ode| {
                let mut predict = |noisy: &[f32], t: f64| -> Result<Vec<f32>, Infallible> {
                    Ok(noisy.iter().map(|x| (0.9 - 1e-4 * t) as f32 * x).collect())
                };
                let start = vec![0.3, -2.0, 1.1, 0.0];
                generate(&ode, &process, Parameterization::X0, start, &mut fresh(4), &mut predict).unwrap()
            });
            assert!(images[0].iter().zip(&images[1]).all(|(ddim, ddpm)| (ddim - ddpm).abs() < 1e-5), "{images:?}");
        }
    }

    /// Nichol and Dhariwal 2021, equation 15: v = -1 is beta~ and v = 1 is beta; other samplers do not look at v.
    #[test]
    fn a_learned_variance_lies_between_the_two_fixed_ones() {
        for process in ForwardProcess::of_test() {
            let images_of = |ode: &OdeSampler, v: Option<f32>| {
                let mut predict = |noisy: &[f32], _t: f64| -> Result<Vec<f32>, Infallible> {
                    let mut predicted: Vec<f32> = noisy.iter().map(|x| 0.3 * x).collect();
                    predicted.extend(v.iter().flat_map(|&v| vec![v; noisy.len()]));
                    Ok(predicted)
                };
                let start = vec![0.3, -2.0, 1.1, 0.0];
                generate(ode, &process, Parameterization::X0, start, &mut fresh(4), &mut predict).unwrap()
            };
            let ddpm = |variance| OdeSampler::Ddpm(Ddpm { steps: 30, variance, ..Ddpm::default() });
            let learned = |v| images_of(&ddpm(AncestralVariance::Learned), Some(v));
            let close = |one: &[f32], other: &[f32]| one.iter().zip(other).all(|(a, b)| (a - b).abs() < 1e-5);
            let [small, large] =
                [AncestralVariance::Small, AncestralVariance::Large].map(|variance| images_of(&ddpm(variance), None));
            assert!(close(&learned(-1.0), &small) && close(&learned(1.0), &large) && !close(&small, &large));
            let between = learned(0.0);
            assert!(!close(&between, &small) && !close(&between, &large));
            for ode in kinds(30) {
                assert_eq!(images_of(&ode, Some(0.7)), images_of(&ode, None), "{ode:?}");
            }
        }
    }

    #[test]
    fn generated_pixels_stay_in_range_and_nan_stays_visible() {
        let [process, ..] = ForwardProcess::of_test();
        let mut wrong = |noisy: &[f32], _t: f64| -> Result<Vec<f32>, Infallible> {
            Ok(noisy.iter().map(|value| -3.0 * value).collect())
        };
        for ode in kinds(10) {
            let start = vec![5.0, -4.0, f32::NAN];
            let generated =
                generate(&ode, &process, Parameterization::Epsilon, start, &mut fresh(3), &mut wrong).unwrap();
            // Unclipped, they would be far outside: three times the noise is seen where there is less and less.
            assert!(generated[..2].iter().all(|pixel| (0.5..=1.0).contains(&pixel.abs())), "{ode:?}: {generated:?}");
            assert!(generated[2].is_nan(), "{ode:?}");
        }
    }

    #[test]
    fn without_the_clip_pixels_may_leave_the_range() {
        let [process, ..] = ForwardProcess::of_test();
        let ode = OdeSampler::Ddim(Ddim { clip: false, ..Ddim::default() });
        let mut bright = |noisy: &[f32], _t: f64| -> Result<Vec<f32>, Infallible> { Ok(vec![3.0; noisy.len()]) };
        let images = generate(&ode, &process, Parameterization::X0, vec![0.0; 2], &mut fresh(2), &mut bright).unwrap();
        assert_eq!(images, [3.0; 2]);
    }

    #[test]
    fn a_failing_network_ends_the_generation() {
        let [process, ..] = ForwardProcess::of_test();
        for ode in kinds(10) {
            let mut calls = 0;
            let mut fails = |noisy: &[f32], _t: f64| {
                calls += 1;
                if calls == 3 { Err("stopped") } else { Ok(noisy.to_vec()) }
            };
            let end = generate(&ode, &process, Parameterization::Epsilon, vec![0.1; 8], &mut fresh(8), &mut fails);
            assert_eq!((end, calls), (Err("stopped"), 3));
        }
    }
}
