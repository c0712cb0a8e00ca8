//! Loss-second-moment importance sampling.

use super::{TimestepSampler, TrainingTimestep, cumulative, invert};
use crate::spec::LossSecondMomentTimesteps;

/// p(t) proportional to sqrt(E[L_t^2]) over the last `history` losses of each timestep, mixed with `uniform` of the uniform
/// density; each loss is divided by T p(t), so that the objective stays the same (Nichol and Dhariwal 2021, arXiv
/// 2102.09672; the paper keeps 10 losses, the mixing is in its code). Uniform until every timestep has a full
/// history.
pub struct LossSecondMoment {
    timesteps: usize,
    history: usize,
    uniform: f64,
    /// The last losses of each timestep, the oldest first: `[timesteps, history]`.
    losses: Vec<f32>,
    /// How many of them there are, for each timestep.
    counts: Vec<usize>,
}

impl LossSecondMoment {
    pub fn new(settings: &LossSecondMomentTimesteps, timesteps: usize) -> Self {
        let LossSecondMomentTimesteps { history, uniform } = *settings;
        assert!(history > 0, "the plan's check refuses an empty history");
        Self { timesteps, history, uniform, losses: vec![0.0; timesteps * history], counts: vec![0; timesteps] }
    }
}

impl TimestepSampler for LossSecondMoment {
    fn probabilities(&self, _step: u64) -> Vec<f64> {
        let even = 1.0 / self.timesteps as f64;
        let root_mean_square = |losses: &[f32]| {
            (losses.iter().map(|&loss| f64::from(loss).powi(2)).sum::<f64>() / self.history as f64).sqrt()
        };
        let roots: Vec<f64> = self.losses.chunks_exact(self.history).map(root_mean_square).collect();
        let total: f64 = roots.iter().sum();
        let warmed_up = self.counts.iter().all(|&count| count == self.history);
        // Losses of 0 everywhere prefer no timestep.
        if !warmed_up || total <= 0.0 {
            return vec![even; self.timesteps];
        }
        roots.iter().map(|root| (1.0 - self.uniform) * root / total + self.uniform * even).collect()
    }

    fn draw(&self, uniforms: &[f64], step: u64) -> Vec<TrainingTimestep> {
        let probabilities = self.probabilities(step);
        let cumulative = cumulative(&probabilities);
        let draw = |&uniform: &f64| {
            let t = invert(&cumulative, uniform);
            TrainingTimestep { t, weight: (1.0 / (self.timesteps as f64 * probabilities[t as usize])) as f32 }
        };
        uniforms.iter().map(draw).collect()
    }

    fn observes_losses(&self) -> bool {
        true
    }

    fn observe(&mut self, timesteps: &[u32], losses: &[f32]) {
        assert_eq!(timesteps.len(), losses.len(), "a loss for each timestep");
        for (&t, &loss) in timesteps.iter().zip(losses) {
            let history = &mut self.losses[t as usize * self.history..][..self.history];
            let count = &mut self.counts[t as usize];
            if *count == self.history {
                history.rotate_left(1);
                history[self.history - 1] = loss;
            } else {
                history[*count] = loss;
                *count += 1;
            }
        }
    }

    /// All losses, then all counts.
    fn state(&self) -> Vec<f32> {
        // A count is at most 2^20, which an f32 holds exactly.
        self.losses.iter().copied().chain(self.counts.iter().map(|&count| count as f32)).collect()
    }

    fn restore(&mut self, state: &[f32]) -> Result<(), String> {
        let (losses, counts) = (self.losses.len(), self.counts.len());
        if state.len() != losses + counts {
            return Err(format!("{} values instead of {} losses and {counts} counts", state.len(), losses));
        }
        if let Some(count) = state[losses..].iter().find(|&&count| !(0.0..=self.history as f32).contains(&count)) {
            return Err(format!("a history of {count} losses, of at most {}", self.history));
        }
        self.losses.copy_from_slice(&state[..losses]);
        self.counts = state[losses..].iter().map(|&count| count as usize).collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(uniform: f64) -> LossSecondMoment {
        LossSecondMoment::new(&LossSecondMomentTimesteps { history: 2, uniform }, 4)
    }

    #[test]
    fn it_is_uniform_until_every_timestep_has_a_full_history() {
        let mut sampler = sampler(0.0);
        sampler.observe(&[0, 0, 1, 1, 2, 2, 3], &[9.0; 7]);
        assert_eq!(sampler.probabilities(0), [0.25; 4]);
        assert!(sampler.draw(&[0.1, 0.9], 0).iter().all(|drawn| drawn.weight == 1.0));
        sampler.observe(&[3], &[1.0]);
        assert_ne!(sampler.probabilities(0), [0.25; 4]);
    }

    #[test]
    fn the_density_follows_the_root_of_the_second_moment_of_the_last_losses() {
        let mut sampler = sampler(0.2);
        sampler.observe(&[0, 1, 1, 2, 2, 3, 3, 0, 0], &[100.0, 3.0, 4.0, 0.0, 0.0, 1.0, 1.0, 1.0, 7.0]);
        // The 100 is older than two losses. Roots of the means: 5, 3.5355, 0, 1.
        let roots = [25f64.sqrt(), 12.5f64.sqrt(), 0.0, 1.0];
        let total: f64 = roots.iter().sum();
        for (probability, root) in sampler.probabilities(7).iter().zip(roots) {
            assert!((probability - (0.8 * root / total + 0.05)).abs() < 1e-12);
        }
    }

    /// E[weight x loss] under p is the mean of the losses over all timesteps.
    #[test]
    fn importance_weights_leave_the_objective_as_it_is() {
        let mut sampler = sampler(0.1);
        let losses = [1.0, 2.0, 4.0, 0.5];
        for (t, loss) in losses.iter().enumerate() {
            sampler.observe(&[t as u32; 2], &[*loss; 2]);
        }
        let count = 400_000;
        let uniforms: Vec<f64> = (0..count).map(|index| (index as f64 + 0.5) / count as f64).collect();
        let drawn = sampler.draw(&uniforms, 0);
        let mean: f64 = drawn.iter().map(|drawn| f64::from(drawn.weight * losses[drawn.t as usize])).sum::<f64>()
            / f64::from(count);
        assert!((mean - 1.875).abs() < 1e-4, "{mean}");
    }

    #[test]
    fn a_restored_sampler_goes_on_as_if_nothing_had_happened() {
        let (mut first, mut second) = (sampler(0.1), sampler(0.1));
        first.observe(&[0, 1, 2, 3, 0, 1, 2, 3, 3], &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]);
        second.restore(&first.state()).unwrap();
        for sampler in [&mut first, &mut second] {
            sampler.observe(&[3, 2], &[5.0, 0.25]);
        }
        assert_eq!(first.probabilities(0), second.probabilities(0));
        assert_eq!(first.state(), second.state());
        assert!(second.restore(&[0.0; 3]).unwrap_err().contains("3 values instead of 8 losses and 4 counts"));
        assert!(second.restore(&[f32::NAN; 12]).is_err());
    }
}
