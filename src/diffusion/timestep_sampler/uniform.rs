//! Every timestep equally often.

use super::{TimestepSampler, TrainingTimestep};

/// p(t) = 1/T (Ho et al. 2020, arXiv 2006.11239, algorithm 1).
pub struct Uniform {
    timesteps: usize,
}

impl Uniform {
    pub fn new(timesteps: usize) -> Self {
        Self { timesteps }
    }
}

impl TimestepSampler for Uniform {
    fn probabilities(&self, _step: u64) -> Vec<f64> {
        vec![1.0 / self.timesteps as f64; self.timesteps]
    }

    /// t = floor(uniform T).
    fn draw(&self, uniforms: &[f64], _step: u64) -> Vec<TrainingTimestep> {
        let last = self.timesteps as u32 - 1;
        let draw = |&uniform| TrainingTimestep { t: ((uniform * self.timesteps as f64) as u32).min(last), weight: 1.0 };
        uniforms.iter().map(draw).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestep_is_the_floor_of_the_uniform_times_their_number() {
        let drawn = Uniform::new(1000).draw(&[0.0, 0.000_999, 0.001, 0.5, 0.999, 1.0 - f64::EPSILON / 2.0], 9);
        assert_eq!(drawn.iter().map(|drawn| drawn.t).collect::<Vec<_>>(), [0, 0, 1, 500, 999, 999]);
    }
}
