//! Curriculum sampling: first the middle of t, then every timestep equally often.

use super::TimestepSampler;
use super::curriculum::bump;
use crate::spec::CurriculumSamplingTimesteps;

/// "Middle-biased first, uniform after" (Curriculum Sampling, arXiv 2603.12517). Its density and the moment of the change are
/// open where we could read it: here p(t) ~ exp(-(t - center T)^2 / (2 (width T)^2)) before `switch` of the planned steps,
/// and 1/T from there on. The loss is not divided by p.
pub struct CurriculumSampling {
    middle: Vec<f64>,
    /// The first uniform step.
    switch_step: f64,
}

impl CurriculumSampling {
    pub fn new(settings: &CurriculumSamplingTimesteps, timesteps: usize, planned_steps: u64) -> Self {
        Self {
            middle: bump(settings.center, settings.width, timesteps),
            switch_step: settings.switch * planned_steps as f64,
        }
    }
}

impl TimestepSampler for CurriculumSampling {
    fn probabilities(&self, step: u64) -> Vec<f64> {
        if (step as f64) < self.switch_step {
            self.middle.clone()
        } else {
            vec![1.0 / self.middle.len() as f64; self.middle.len()]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_comes_first_and_everything_after() {
        let settings = CurriculumSamplingTimesteps { center: 0.5, width: 0.2, switch: 0.4 };
        let sampler = CurriculumSampling::new(&settings, 1000, 500);
        for step in [0, 100, 199] {
            let probabilities = sampler.probabilities(step);
            // One width away the density is exp(-1/2) of the middle's, two away exp(-2).
            assert!((probabilities[700] / probabilities[500] - (-0.5f64).exp()).abs() < 1e-12);
            assert!((probabilities[100] / probabilities[500] - (-2.0f64).exp()).abs() < 1e-12);
        }
        for step in [200, 499, u64::MAX] {
            assert!(sampler.probabilities(step).iter().all(|&probability| probability == 0.001));
        }
    }
}
