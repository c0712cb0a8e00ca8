//! Heun's method.

use super::{Denoiser, Steps};
use crate::diffusion::NoiseLevel;

/// The probability-flow ODE dx / dsigma = (x - D(x; sigma)) / sigma of x = x_t / sqrt(abar), whose noise is sigma (Karras et
/// al. 2022, arXiv 2206.00364, equation 1 with sigma(t) = t and s(t) = 1), by Heun's method (algorithm 1; algorithm 2 with
/// S_churn = 0): an Euler step, then again with the mean of the slopes at both ends. The last step, to sigma = 0, is
/// Euler's alone. It begins at x = noise / sqrt(abar) of the first level, the x_t that all kinds begin at.
pub fn heun<E>(steps: Steps<'_>, noisy: Vec<f64>, denoiser: &mut Denoiser<'_, '_, E>) -> Result<Vec<f64>, E> {
    let mut slope = |x: &[f64], level: &NoiseLevel| -> Result<Vec<f64>, E> {
        let (signal_scale, sigma) = (level.signal_scale(), level.sigma());
        let x_t: Vec<f64> = x.iter().map(|x| signal_scale * x).collect();
        let clean = denoiser.clean(&x_t, level)?;
        Ok(x.iter().zip(clean).map(|(x, x_0)| (x - x_0) / sigma).collect())
    };
    let mut x = noisy;
    for (index, (level, next)) in steps.enumerate() {
        if index == 0 {
            x.iter_mut().for_each(|x| *x /= level.signal_scale());
        }
        let change = next.sigma() - level.sigma();
        let first = slope(&x, &level)?;
        let end: Vec<f64> = x.iter().zip(&first).map(|(x, slope)| x + change * slope).collect();
        if next == NoiseLevel::CLEAN {
            return Ok(end);
        }
        let second = slope(&end, &next)?;
        x.iter_mut()
            .zip(first.iter().zip(second))
            .for_each(|(x, (first, second))| *x += change * (first + second) / 2.0);
    }
    Ok(x)
}
