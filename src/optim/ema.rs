//! The moving average of the weights.

use burn::tensor::Tensor;

use super::host_memory;
use super::moments::towards;
use crate::spec::{self, HalfLifeEma, RunSpec};

/// The averaged weights (Ho et al. 2020, arXiv 2006.11239, appendix B): average <- decay average + (1 - decay) weights,
/// starting from the initial weights.
pub struct Ema {
    average: Tensor<1>,
}

/// The decay of the average after the update at `step`: see [`spec::Ema`].
pub fn ema_decay(spec: &RunSpec, step: u64) -> f64 {
    match &spec.train.ema {
        spec::Ema::Exponential(_) => spec.train.ema_decay,
        spec::Ema::HalfLife(HalfLifeEma { images, ramp_up }) => {
            let sizes = spec.train.batch_sizes();
            let batch_size = sizes.at(step) as f64;
            let longest = if *ramp_up > 0.0 { ramp_up * sizes.before(step) as f64 } else { f64::INFINITY };
            (-batch_size / (*images as f64).min(longest)).exp2()
        }
        spec::Ema::Power(power) => power_decay(power.sigma_rel, step),
    }
}

/// The decay of a power function's average after the update at `step` (Karras et al. 2024, equation 127).
pub fn power_decay(sigma_rel: f64, step: u64) -> f64 {
    (1.0 - 1.0 / (step + 1) as f64).powf(power_exponent(sigma_rel) + 1.0)
}

/// gamma of a power function whose relative standard deviation is `sigma_rel`, above 0 and below 0.288: the largest root of
/// sigma_rel^2 (gamma + 2)^2 (gamma + 3) = gamma + 1 (Karras et al. 2024, arXiv 2312.02696, equation 126 and algorithm 2 solve
/// the same cubic), found by bisection. From gamma 0 on sigma_rel falls, and at gamma = 1 / sigma_rel it is too small.
pub(super) fn power_exponent(sigma_rel: f64) -> f64 {
    let is_too_wide =
        |gamma: f64| (gamma + 1.0) > sigma_rel * sigma_rel * (gamma + 2.0) * (gamma + 2.0) * (gamma + 3.0);
    let (mut low, mut high) = (0.0, 1.0 / sigma_rel);
    // A double has no more bits.
    for _ in 0..64 {
        let middle = 0.5 * (low + high);
        if is_too_wide(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The share of the weights in their average after the update: 1 - decay, rounded once.
pub fn share_of_weights(decay: f64) -> f32 {
    (1.0 - decay) as f32
}

impl Ema {
    /// Starts from `weights`: the initial ones, or those that a checkpoint kept of [`Ema::state`].
    pub fn new(weights: Tensor<1>) -> Self {
        Self { average: weights }
    }

    /// Takes in the weights after an update, with the decay of [`ema_decay`].
    pub fn update(&mut self, weights: &Tensor<1>, decay: f64) {
        assert!((0.0..1.0).contains(&decay), "the decay of averaged weights is in [0, 1), not {decay}");
        // As a step towards the weights: 1 - decay is rounded once, in f64, and equal weights stay equal.
        self.average = towards(self.average.clone(), weights.clone(), share_of_weights(decay));
    }

    /// The averaged weights.
    pub fn weights(&self) -> Tensor<1> {
        self.average.clone()
    }

    /// The averaged weights, for a checkpoint.
    pub fn state(&self) -> Vec<f32> {
        host_memory::to_vec(&self.average)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::spec::{PowerEma, Train};

    fn weights(values: [f32; 2]) -> Tensor<1> {
        Tensor::from_data(values, &Device::flex())
    }

    fn with(ema: spec::Ema, batch_size: usize) -> RunSpec {
        RunSpec { train: Train { ema, batch_size, ..Train::default() }, ..RunSpec::default() }
    }

    #[test]
    fn the_average_is_the_sum_of_past_weights_with_falling_shares() {
        let mut ema = Ema::new(weights([1.0, -2.0]));
        let mut expected = [1.0f64, -2.0];
        for step in 0..500 {
            let next = [(step as f32 * 0.1).sin(), 3.0];
            ema.update(&weights(next), 0.9);
            for (average, value) in expected.iter_mut().zip(next) {
                *average = 0.9 * *average + 0.1 * f64::from(value);
            }
        }
        for (average, expected) in ema.state().into_iter().zip(expected) {
            assert!((f64::from(average) - expected).abs() < 1e-6, "{average} is not {expected}");
        }
    }

    #[test]
    fn weights_that_do_not_change_are_their_own_average() {
        let mut ema = Ema::new(weights([0.1, -7.3]));
        (0..100).for_each(|_| ema.update(&weights([0.1, -7.3]), 0.9999));
        assert_eq!(ema.state(), [0.1, -7.3]);
    }

    #[test]
    fn an_average_taken_up_from_its_state_goes_on_bit_for_bit() {
        let mut straight = Ema::new(weights([1.0, 2.0]));
        straight.update(&weights([0.3, 0.7]), 0.99);
        let state: [f32; 2] = straight.state().try_into().unwrap();
        let mut resumed = Ema::new(weights(state));
        straight.update(&weights([0.2, -0.7]), 0.99);
        resumed.update(&weights([0.2, -0.7]), 0.99);
        assert_eq!(straight.state(), resumed.state());
    }

    #[test]
    fn an_exponential_average_has_one_decay() {
        let spec = with(spec::Ema::default(), 64);
        assert_eq!([0, 1, 1999].map(|step| ema_decay(&spec, step)), [0.999; 3]);
    }

    #[test]
    fn after_its_half_life_in_images_an_average_has_forgotten_half_under_every_batch_size() {
        for batch_size in [1, 25, 100] {
            let spec = with(spec::Ema::HalfLife(HalfLifeEma { images: 100, ramp_up: 0.0 }), batch_size);
            let kept: f64 = (0..100 / batch_size as u64).map(|step| ema_decay(&spec, step)).product();
            assert!((kept - 0.5).abs() < 1e-12, "batches of {batch_size}: {kept}");
        }
        // By hand: at first nothing is kept; after 4 steps of 50 images the half-life is a quarter of 200.
        let spec = with(spec::Ema::HalfLife(HalfLifeEma { images: 100, ramp_up: 0.25 }), 50);
        for (step, expected) in [(0, 0.0), (4, 0.5), (8, 0.5f64.sqrt()), (1000, 0.5f64.sqrt())] {
            assert!((ema_decay(&spec, step) - expected).abs() < 1e-15, "step {step}");
        }
    }

    /// numpy.roots([1, 7, 16 - s^-2, 12 - s^-2]).real.max(), the cubic of algorithm 2 (Karras et al. 2024, arXiv 2312.02696).
    #[test]
    fn the_exponent_of_a_power_function_is_the_root_of_the_papers_cubic() {
        for (sigma_rel, gamma) in [
            (0.01, 96.994_897_823_709_86),
            (0.05, 16.972_198_602_303_447),
            (0.1, 6.937_203_937_601_809),
            (0.2, 1.826_213_779_895_840_4),
            (0.28, 0.169_343_993_769_498_66),
        ] {
            let found = power_exponent(sigma_rel);
            assert!((found / gamma - 1.0).abs() < 1e-12, "{sigma_rel}: {found} is not {gamma}");
        }
    }

    /// The shares of the weights follow a power function, whose relative standard deviation is the one asked for.
    #[test]
    fn a_power_average_is_as_wide_as_it_says_at_every_length() {
        for (sigma_rel, steps, tolerance) in
            [(0.05, 400, 2e-3), (0.1, 400, 2e-3), (0.1, 4000, 2e-4), (0.28, 4000, 2e-4)]
        {
            let spec = with(spec::Ema::Power(PowerEma { sigma_rel }), 64);
            assert_eq!(ema_decay(&spec, 0), 0.0);
            let mut shares = vec![0.0; steps];
            for step in 0..steps {
                let decay = ema_decay(&spec, step as u64);
                shares[..step].iter_mut().for_each(|share| *share *= decay);
                shares[step] = 1.0 - decay;
            }
            let time = |step: usize| (step as f64 + 0.5) / steps as f64;
            let sum = |of: &dyn Fn(f64) -> f64| -> f64 {
                shares.iter().enumerate().map(|(step, share)| share * of(time(step))).sum()
            };
            let mean = sum(&|time| time);
            let deviation = sum(&|time| (time - mean) * (time - mean)).sqrt();
            assert!((sum(&|_| 1.0) - 1.0).abs() < 1e-12);
            assert!((deviation - sigma_rel).abs() < tolerance, "{sigma_rel} over {steps} steps: {deviation}");
        }
    }
}
