//! Euler's and Heun's method.

use super::{Denoiser, Steps};
use crate::diffusion::NoiseLevel;

/// The path's ODE d(x / c) / du = (x / c - x_0) / u, in the variables c and u of [`Path::ode_variables`](crate::diffusion::Path): on a
/// variance-preserving path the probability-flow ODE in sigma (Karras et al. 2022, arXiv 2206.00364, equation 1), on a straight one
/// dx = v ds (Liu, Gong and Liu 2022, arXiv 2209.03003). It begins at the x_t that all kinds begin at, noise.
struct PathOde<'d, 'a, 'p, E> {
    denoiser: &'d mut Denoiser<'a, 'p, E>,
}

impl<E> PathOde<'_, '_, '_, E> {
    /// x / c of x_t.
    fn start(&self, mut noisy: Vec<f64>, level: &NoiseLevel) -> Vec<f64> {
        let (scale, _) = self.denoiser.process.path().ode_variables(level);
        noisy.iter_mut().for_each(|x| *x /= scale);
        noisy
    }

    fn time(&self, level: &NoiseLevel) -> f64 {
        self.denoiser.process.path().ode_variables(level).1
    }

    /// The slope at `x`, which is x_t / c.
    fn slope(&mut self, x: &[f64], level: &NoiseLevel) -> Result<Vec<f64>, E> {
        let (scale, time) = self.denoiser.process.path().ode_variables(level);
        let x_t: Vec<f64> = x.iter().map(|x| scale * x).collect();
        let clean = self.denoiser.clean(&x_t, level)?;
        Ok(x.iter().zip(clean).map(|(x, x_0)| (x - x_0) / time).collect())
    }
}

/// Euler's method, each step along the slope at its beginning; or Heun's (Karras et al. 2022, algorithm 1; algorithm 2 with S_churn = 0): then
/// once more with the mean of the slopes at both ends. The last step, to the image, is Euler's alone.
pub fn euler_or_heun<E>(
    steps: Steps<'_>,
    noisy: Vec<f64>,
    denoiser: &mut Denoiser<'_, '_, E>,
    is_heun: bool,
) -> Result<Vec<f64>, E> {
    let mut ode = PathOde { denoiser };
    let mut x = noisy;
    for (index, (level, next)) in steps.enumerate() {
        if index == 0 {
            x = ode.start(x, &level);
        }
        let change = ode.time(&next) - ode.time(&level);
        let first = ode.slope(&x, &level)?;
        let end: Vec<f64> = x.iter().zip(&first).map(|(x, slope)| x + change * slope).collect();
        if !is_heun || next == NoiseLevel::CLEAN {
            x = end;
            continue;
        }
        let second = ode.slope(&end, &next)?;
        x.iter_mut()
            .zip(first.iter().zip(second))
            .for_each(|(x, (first, second))| *x += change * (first + second) / 2.0);
    }
    Ok(x)
}
