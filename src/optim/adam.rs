//! Adam with a beta1 that may change at every step.

use burn::tensor::{Device, Tensor};

use super::moments::{Factors, Moments, StepScales};
use super::optimizer::OptimizerState;

/// Adam (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1) on one flat tensor of parameters, and AdamW (Loshchilov and
/// Hutter 2019, arXiv 1711.05101, algorithm 2) where `weight_decay` is not 0:
///
/// m <- beta1 m + (1 - beta1) g, v <- beta2 v + (1 - beta2) g^2,
/// w <- (1 - lr weight_decay) w - lr (m / c1) / (sqrt(v / c2) + epsilon).
///
/// The bias correction c1 is 1 - (product of the beta1s used so far), which is the sum of the factors that m gives to the
/// past gradients, and Adam's 1 - beta1^k while beta1 is constant; c2 likewise. c1 is in (0, 1] for every beta1 in
/// [0, 1), and 1 from the first beta1 of 0 on.
pub struct Adam {
    settings: AdamSettings,
    moments: Moments,
    /// Of each parameter's learning rate, but not of its decay.
    scales: Option<StepScales>,
    beta1_product: f64,
    beta2_product: f64,
}

/// The settings that do not change over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamSettings {
    pub beta2: f64,
    pub epsilon: f64,
    /// 0 for Adam.
    pub weight_decay: f64,
}

impl Adam {
    /// `device` is the one of the weights, without autodiff.
    pub fn new(settings: impl Into<AdamSettings>, parameter_count: usize, device: &Device) -> Self {
        Self::from_state(settings, OptimizerState::start(parameter_count), device)
    }

    /// Goes on from a checkpoint, bit for bit.
    pub fn from_state(settings: impl Into<AdamSettings>, state: OptimizerState, device: &Device) -> Self {
        Self {
            settings: settings.into(),
            moments: Moments::new(state.first_moment, state.second_moment, device),
            scales: None,
            beta1_product: state.beta1_product,
            beta2_product: state.beta2_product,
        }
    }

    /// The same with learning rates that `scales` multiply; the decay of weights goes by the learning rate itself.
    pub fn with_scales(self, scales: StepScales) -> Self {
        Self { scales: Some(scales), ..self }
    }

    /// The state that a checkpoint keeps.
    pub fn state(&self) -> OptimizerState {
        let (first_moment, second_moment) = self.moments.to_vecs();
        let Self { beta1_product, beta2_product, .. } = *self;
        OptimizerState { first_moment, second_moment, beta1_product, beta2_product, factors: vec![] }
    }

    /// The weights after one update. `weights` and `gradient` hold all parameters, without autodiff.
    pub fn step(&mut self, weights: Tensor<1>, gradient: Tensor<1>, learning_rate: f64, beta1: f64) -> Tensor<1> {
        let factors = self.next_factors(learning_rate, beta1);
        self.moments.update(weights, gradient, factors, self.scales.as_ref())
    }

    /// The factors of the next update, which is then done elsewhere or by [`Self::step`].
    pub fn next_factors(&mut self, learning_rate: f64, beta1: f64) -> Factors {
        assert!((0.0..1.0).contains(&beta1), "beta1 is in [0, 1), not {beta1}");
        let AdamSettings { beta2, epsilon, weight_decay } = self.settings;
        self.beta1_product *= beta1;
        self.beta2_product *= beta2;
        Factors {
            beta1: beta1 as f32,
            one_minus_beta1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            one_minus_beta2: (1.0 - beta2) as f32,
            kept: (1.0 - learning_rate * weight_decay) as f32,
            step_size: (learning_rate / (1.0 - self.beta1_product)) as f32,
            root_scale: (1.0 - self.beta2_product).sqrt().recip() as f32,
            epsilon: epsilon as f32,
        }
    }

    /// Of each parameter's learning rate, where they differ.
    pub fn scales(&self) -> Option<&StepScales> {
        self.scales.as_ref()
    }

    /// m and v, which a captured step changes where they are.
    pub fn moments(&mut self) -> &mut Moments {
        &mut self.moments
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{AdamOptimizer, AdamwOptimizer};

    fn tensor(values: &[f32]) -> Tensor<1> {
        Tensor::from_data(values, &Device::flex())
    }

    fn adam(parameter_count: usize) -> Adam {
        Adam::new(&AdamOptimizer::default(), parameter_count, &Device::flex())
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
        let mut resumed = Adam::from_state(&AdamOptimizer::default(), straight.state(), &Device::flex());
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
        let weights = adam(1).step(tensor(&[4.0]), tensor(&[0.0]), 1e-3, 0.9);
        assert_eq!(weights.into_scalar::<f32>(), 4.0);
    }

    #[test]
    fn decoupled_decay_shrinks_weights_by_the_learning_rates_share_and_leaves_the_moments_alone() {
        let adamw = AdamwOptimizer { weight_decay: 0.5, ..AdamwOptimizer::default() };
        let mut adamw = Adam::new(&adamw, 2, &Device::flex());
        let weights = adamw.step(tensor(&[4.0, -2.0]), tensor(&[0.0, 0.0]), 0.1, 0.9);
        assert_eq!(weights.into_data().try_into_vec::<f32>().unwrap(), [3.8, -1.9]);
        assert_eq!(adamw.state().first_moment, [0.0, 0.0]);
    }
}
