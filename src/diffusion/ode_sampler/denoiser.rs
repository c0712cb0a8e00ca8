//! The network as a denoiser: its estimate of the image.

use rayon::prelude::*;

use super::{PIXELS_AT_ONCE, Predict};
use crate::diffusion::parameterization::{clean_from, network_input_at};
use crate::diffusion::{ForwardProcess, NoiseLevel};
use crate::spec::Parameterization;

/// D(x_t; t), the image that the network takes noisy images for.
pub struct Denoiser<'a, 'p, E> {
    pub parameterization: Parameterization,
    pub process: &'a ForwardProcess,
    /// Whether the image is clipped to [-1, 1].
    pub clip: bool,
    pub predict: &'a mut Predict<'p, E>,
}

impl<E> Denoiser<'_, '_, E> {
    /// x_0 of each of `noisy`'s pixels, which are x_t at `level`; the network sees them in f32. NaN is not clipped away.
    pub fn clean(&mut self, noisy: &[f64], level: &NoiseLevel) -> Result<Vec<f64>, E> {
        Ok(self.clean_and_v(noisy, level)?.0)
    }

    /// x_0 of each pixel, and what a network with `learned_sigma` says of the variance at each; empty from any other.
    pub fn clean_and_v(&mut self, noisy: &[f64], level: &NoiseLevel) -> Result<(Vec<f64>, Vec<f32>), E> {
        let (signal_scale, noise_scale) = (level.signal_scale(), level.noise_scale());
        let seen: Vec<f32> = noisy.par_iter().with_min_len(PIXELS_AT_ONCE).map(|&x_t| x_t as f32).collect();
        let input = network_input_at(self.parameterization, self.process, &seen, signal_scale, noise_scale);
        let mut predicted = (self.predict)(&input, level.t)?;
        let sizes = [noisy.len(), 2 * noisy.len()];
        assert!(sizes.contains(&predicted.len()), "a network predicts one value per pixel, and perhaps v");
        let v = predicted.split_off(noisy.len());
        let path = self.process.path();
        let clean = |(&x_t, predicted): (&f64, &f32)| {
            let x_0 = clean_from(self.parameterization, path, x_t, f64::from(*predicted), signal_scale, noise_scale);
            if self.clip { x_0.clamp(-1.0, 1.0) } else { x_0 }
        };
        Ok((noisy.par_iter().with_min_len(PIXELS_AT_ONCE).zip(&predicted).map(clean).collect(), v))
    }
}
