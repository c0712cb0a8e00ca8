//! Adam with a beta1 that may change at every step.

use burn::tensor::{Device, Tensor};

use super::adam_settings;
use super::moments::{Factors, Moments};
use crate::spec::Optimizer;

/// Adam (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1) on one flat tensor of parameters:
///
/// m <- beta1 m + (1 - beta1) g, v <- beta2 v + (1 - beta2) g^2,
/// w <- w - lr (m / c1) / (sqrt(v / c2) + epsilon).
///
/// The bias correction c1 is 1 - (product of the beta1s used so far), which is the sum of the factors that m gives to the
/// past gradients, and Adam's 1 - beta1^k while beta1 is constant; c2 likewise. c1 is in (0, 1] for every beta1 in
/// [0, 1), and 1 from the first beta1 of 0 on.
pub struct Adam {
    beta2: f64,
    epsilon: f64,
    moments: Moments,
    beta1_product: f64,
    beta2_product: f64,
}

/// All that Adam carries from step to step. A checkpoint keeps every bit of it.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamState {
    /// m, one value per parameter.
    pub first_moment: Vec<f32>,
    /// v, one value per parameter.
    pub second_moment: Vec<f32>,
    /// The product of the beta1s used so far; 1 before the first step.
    pub beta1_product: f64,
    /// The same of beta2.
    pub beta2_product: f64,
}

impl Adam {
    /// `device` is the one of the weights, without autodiff.
    pub fn new(optimizer: &Optimizer, parameter_count: usize, device: &Device) -> Self {
        let state = AdamState {
            first_moment: vec![0.0; parameter_count],
            second_moment: vec![0.0; parameter_count],
            beta1_product: 1.0,
            beta2_product: 1.0,
        };
        Self::from_state(optimizer, state, device)
    }

    /// Goes on from a checkpoint, bit for bit.
    pub fn from_state(optimizer: &Optimizer, state: AdamState, device: &Device) -> Self {
        let adam = adam_settings(optimizer);
        Self {
            beta2: adam.beta2,
            epsilon: adam.epsilon,
            moments: Moments::new(state.first_moment, state.second_moment, device),
            beta1_product: state.beta1_product,
            beta2_product: state.beta2_product,
        }
    }

    /// What a checkpoint keeps.
    pub fn state(&self) -> AdamState {
        let (first_moment, second_moment) = self.moments.to_vecs();
        AdamState { first_moment, second_moment, beta1_product: self.beta1_product, beta2_product: self.beta2_product }
    }

    /// The weights after one update. `weights` and `gradient` hold all parameters, without autodiff.
    pub fn step(&mut self, weights: Tensor<1>, gradient: Tensor<1>, learning_rate: f64, beta1: f64) -> Tensor<1> {
        assert!((0.0..1.0).contains(&beta1), "beta1 is in [0, 1), not {beta1}");
        self.beta1_product *= beta1;
        self.beta2_product *= self.beta2;
        let factors = Factors {
            beta1: beta1 as f32,
            one_minus_beta1: (1.0 - beta1) as f32,
            beta2: self.beta2 as f32,
            one_minus_beta2: (1.0 - self.beta2) as f32,
            step_size: (learning_rate / (1.0 - self.beta1_product)) as f32,
            root_scale: (1.0 - self.beta2_product).sqrt().recip() as f32,
            epsilon: self.epsilon as f32,
        };
        self.moments.update(weights, gradient, factors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::AdamOptimizer;

    fn tensor(values: &[f32]) -> Tensor<1> {
        Tensor::from_data(values, &Device::flex())
    }

    fn adam(parameter_count: usize) -> Adam {
        Adam::new(&Optimizer::default(), parameter_count, &Device::flex())
    }

    /// m / c1 and v / c2 are the gradient and its square as long as the gradient does not change, whatever beta1 does.
    #[test]
    fn a_constant_gradient_moves_by_the_learning_rate_under_any_betas() {
        let mut adam = adam(2);
        let mut weights = tensor(&[0.0, 0.0]);
        for beta1 in [0.9, 0.5, 0.99, 0.0, 0.3, 0.0045] {
            weights = adam.step(weights, tensor(&[0.02, -3.0]), 1e-3, beta1);
        }
        for (weight, expected) in weights.into_data().iter::<f32>().zip([-6e-3, 6e-3]) {
            assert!((weight - expected).abs() < 1e-8, "{weight}");
        }
    }

    #[test]
    fn a_beta1_of_zero_keeps_everything_finite_from_the_first_step_on() {
        let mut adam = adam(3);
        let mut weights = tensor(&[1.0, 2.0, 3.0]);
        for beta1 in [0.0, 0.9, 0.0] {
            weights = adam.step(weights, tensor(&[1.0, 0.0, -1e-20]), 1e-3, beta1);
            assert_eq!(adam.state().beta1_product, 0.0);
        }
        assert!(weights.into_data().iter::<f32>().all(f32::is_finite));
    }

    #[test]
    fn a_state_taken_up_goes_on_bit_for_bit() {
        let gradient = |step: u32| tensor(&[0.3 * step as f32, -1e-3, (step as f32).cos()]);
        let mut straight = adam(3);
        let mut weights = tensor(&[1.0, -1.0, 0.5]);
        for step in 0..7 {
            weights = straight.step(weights, gradient(step), 1e-3, 0.9 - 0.05 * f64::from(step));
        }
        let mut resumed = Adam::from_state(&Optimizer::default(), straight.state(), &Device::flex());
        let (mut resumed_weights, mut straight_weights) = (weights.clone(), weights);
        for step in 7..12 {
            straight_weights = straight.step(straight_weights, gradient(step), 1e-3, 0.4);
            resumed_weights = resumed.step(resumed_weights, gradient(step), 1e-3, 0.4);
        }
        assert_eq!(straight.state(), resumed.state());
        assert_eq!(straight_weights.into_data(), resumed_weights.into_data());
    }

    #[test]
    fn an_update_leaves_other_holders_of_the_weights_alone() {
        let weights = tensor(&[1.0, 2.0]);
        let updated = adam(2).step(weights.clone(), tensor(&[1.0, 1.0]), 0.1, 0.9);
        assert_eq!(weights.into_data().try_into_vec::<f32>().unwrap(), [1.0, 2.0]);
        assert!(
            updated.into_data().iter::<f32>().zip([0.9, 1.9]).all(|(value, expected)| (value - expected).abs() < 1e-6)
        );
    }

    #[test]
    #[should_panic(expected = "beta1 is in [0, 1), not 1")]
    fn a_beta1_of_one_is_refused() {
        adam(1).step(tensor(&[0.0]), tensor(&[0.0]), 1e-3, 1.0);
    }

    #[test]
    fn zero_gradients_leave_the_weights_where_they_are() {
        let settings = Optimizer::Adam(AdamOptimizer::default());
        let weights = Adam::new(&settings, 1, &Device::flex()).step(tensor(&[4.0]), tensor(&[0.0]), 1e-3, 0.9);
        assert_eq!(weights.into_scalar::<f32>(), 4.0);
    }
}
