//! The loss that trains the variance of a network with `learned_sigma`: the variational bound beside the simple loss.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2};

use burn::tensor::{FloatDType, Tensor, TensorData};

use crate::diffusion::{ForwardProcess, LearnedVariance};

/// L_hybrid = L_simple + lambda L_vlb (Nichol and Dhariwal 2021, arXiv 2102.09672, equation 16): lambda L_vlb, whose
/// gradient with respect to the predicted epsilon is stopped, so that L_simple alone trains the mean.
///
/// L_vlb = L_0 + .. + L_{T-1} in bits per dimension (equations 4 to 7 of the paper, as its code scales them), estimated
/// from one timestep of each image as T times its term:
///
/// - t > 0: KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) between Gaussians whose means differ by what the error e of epsilon
///   makes of it: with d = log sigma^2 - log beta~_t it is (d + (1 + m e^2 / beta~_t) exp(-d) - 1) / 2 per pixel, m being
///   [`LearnedVariance::mean_error`].
/// - t = 0: -log of the probability of the pixel's value, one of 256 in [-1, 1], under the Gaussian p(x_0 | x_1): its
///   integral from half a level below to half a level above, without end at both ends of the range (Ho et al. 2020,
///   equation 13). The authors' code approximates the integral's normal distribution function; here it is exact.
pub struct HybridLoss {
    variance: LearnedVariance,
    timesteps: usize,
}

/// lambda of equation 16, "to prevent L_vlb from overwhelming L_simple".
const BOUND_WEIGHT: f64 = 0.001;
/// Half the distance of two of 256 levels in [-1, 1].
const HALF_LEVEL: f64 = 1.0 / 255.0;
/// Pixels beyond it are at the end of the range.
const RANGE_END: f32 = 0.999;
/// Under which a probability is not told from zero.
const LEAST_PROBABILITY: f64 = 1e-12;

impl HybridLoss {
    pub fn new(process: &ForwardProcess) -> Self {
        Self { variance: LearnedVariance::new(process), timesteps: process.timesteps() }
    }

    /// lambda L_vlb of each pixel, to be averaged over the pixels and with their weights over the images:
    /// `[batch, channels, side, side]`.
    ///
    /// `errors` are what is predicted less the noise, `v` the network's other outputs, both of that shape; `images` the
    /// pixels before they were noised.
    pub fn bound(&self, errors: Tensor<4>, v: Tensor<4>, images: &[f32], timesteps: &[u32]) -> Tensor<4> {
        let device = v.device().without_autodiff();
        let shape = v.dims();
        let on_device = |values: Vec<f32>, shape| Tensor::from_data(TensorData::new(values, shape), &device);
        let of_images = self.of_images(timesteps).map(|values| on_device(values, [shape[0], 1, 1, 1]));
        let images = timesteps.contains(&0).then(|| on_device(images.to_vec(), shape));
        self.bound_on_device(errors, v, of_images, images)
    }

    /// What [`Self::bound_on_device`] is told of each image, by its timestep: the logarithm of the range of variances and the weight of squared
    /// errors, both 0 at t = 0, where the divergence is then 0; and whether t is 0.
    pub fn of_images(&self, timesteps: &[u32]) -> [Vec<f32>; 3] {
        let of = |first: f32, other: &dyn Fn(u32) -> f64| {
            timesteps.iter().map(|&t| if t == 0 { first } else { other(t) as f32 }).collect()
        };
        let error_weight = |t| self.variance.mean_error(t) / self.variance.log_smallest(t).exp();
        [of(0.0, &|t| self.variance.log_range(t)), of(0.0, &error_weight), of(1.0, &|_| 0.0)]
    }

    /// [`Self::bound`] of what lies on the device: `of_images` each `[batch, 1, 1, 1]`, `images` as `v`, not needed where no timestep is 0.
    pub fn bound_on_device(
        &self,
        errors: Tensor<4>,
        v: Tensor<4>,
        [log_range, error_weight, is_first]: [Tensor<4>; 3],
        images: Option<Tensor<4>>,
    ) -> Tensor<4> {
        let errors = errors.detach();
        let share = (v + 1.0) / 2.0;
        let log_ratio = share.clone() * log_range;
        let grown = errors.clone().square() * error_weight + 1.0;
        let mut nats = (log_ratio.clone() + grown * log_ratio.neg().exp() - 1.0) / 2.0;
        if let Some(images) = images {
            nats = nats + self.decoder(errors, share, images) * is_first;
        }
        nats * (BOUND_WEIGHT * self.timesteps as f64 / LN_2)
    }

    /// The term of t = 0, in nats, as if all images were there.
    fn decoder(&self, errors: Tensor<4>, share: Tensor<4>, images: Tensor<4>) -> Tensor<4> {
        let lowest = images.clone().lower_elem(-RANGE_END).cast(FloatDType::F32);
        let highest = images.greater_elem(RANGE_END).cast(FloatDType::F32);
        // The pixel less the mean of p: the mean is the predicted x_0, and epsilon's error is seen through x_1.
        let centered = errors * self.variance.mean_error(0).sqrt();
        let log_deviation = share * (self.variance.log_range(0) / 2.0) + self.variance.log_smallest(0) / 2.0;
        let precision = log_deviation.neg().exp();
        let below = |bound: Tensor<4>| ((bound * precision.clone() * FRAC_1_SQRT_2).erf() + 1.0) / 2.0;
        let above_level = below(centered.clone() + HALF_LEVEL);
        let below_level = below(centered - HALF_LEVEL);
        // All but the part above the level, unless nothing is above; all but the part below, unless nothing is below.
        let upper = above_level.clone() + (above_level.neg() + 1.0) * highest;
        let lower = below_level.clone() - below_level * lowest;
        (upper - lower).clamp_min(LEAST_PROBABILITY).log().neg()
    }
}
