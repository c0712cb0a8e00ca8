//! The same density at every step.

use super::TimestepSampler;

/// One probability per timestep, which the step does not change. The loss is not divided by it: the frequency is the method.
pub struct Fixed {
    probabilities: Vec<f64>,
}

impl Fixed {
    /// A sampler from weights that are proportional to the probabilities.
    pub fn proportional_to(weights: &[f64]) -> Self {
        let total: f64 = weights.iter().sum();
        assert!(total > 0.0 && total.is_finite(), "a density over timesteps has a finite sum above 0, not {total}");
        Self { probabilities: weights.iter().map(|weight| weight / total).collect() }
    }
}

impl TimestepSampler for Fixed {
    fn probabilities(&self, _step: u64) -> Vec<f64> {
        self.probabilities.clone()
    }
}
