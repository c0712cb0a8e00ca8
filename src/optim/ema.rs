//! The exponential moving average of the weights.

use burn::tensor::Tensor;

use super::host_memory;

/// The averaged weights (Ho et al. 2020, arXiv 2006.11239, appendix B): average <- decay average + (1 - decay) weights,
/// starting from the initial weights, without a warm-up of the decay.
pub struct Ema {
    average: Tensor<1>,
    decay: f64,
}

impl Ema {
    /// Starts from `weights`: the initial ones, or those that a checkpoint kept of [`Ema::state`].
    pub fn new(weights: Tensor<1>, decay: f64) -> Self {
        assert!((0.0..1.0).contains(&decay), "the decay of averaged weights is in [0, 1), not {decay}");
        Self { average: weights, decay }
    }

    /// Takes in the weights after an update.
    pub fn update(&mut self, weights: &Tensor<1>) {
        // As a step towards the weights: 1 - decay is rounded once, in f64, and equal weights stay equal.
        let towards = weights.clone().sub(self.average.clone()).mul_scalar(1.0 - self.decay);
        self.average = self.average.clone().add(towards);
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

    fn weights(values: [f32; 2]) -> Tensor<1> {
        Tensor::from_data(values, &Device::flex())
    }

    #[test]
    fn the_average_is_the_sum_of_past_weights_with_falling_shares() {
        let mut ema = Ema::new(weights([1.0, -2.0]), 0.9);
        let mut expected = [1.0f64, -2.0];
        for step in 0..500 {
            let next = [(step as f32 * 0.1).sin(), 3.0];
            ema.update(&weights(next));
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
        let mut ema = Ema::new(weights([0.1, -7.3]), 0.9999);
        (0..100).for_each(|_| ema.update(&weights([0.1, -7.3])));
        assert_eq!(ema.state(), [0.1, -7.3]);
    }

    #[test]
    fn an_average_taken_up_from_its_state_goes_on_bit_for_bit() {
        let mut straight = Ema::new(weights([1.0, 2.0]), 0.99);
        straight.update(&weights([0.3, 0.7]));
        let state: [f32; 2] = straight.state().try_into().unwrap();
        let mut resumed = Ema::new(weights(state), 0.99);
        straight.update(&weights([0.2, -0.7]));
        resumed.update(&weights([0.2, -0.7]));
        assert_eq!(straight.state(), resumed.state());
    }
}
