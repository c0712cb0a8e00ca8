//! CLTS, the curriculum learning timestep schedule.

use super::TimestepSampler;
use crate::spec::CurriculumTimesteps;

/// p_i(t) = (1 - a)/T + a g(t), a = min(i/N, 1), g(t) ~ exp(-(t - mu T)^2 / (2 (s T)^2)) with sum 1 (Xu, Mi, Wang and Chen
/// 2024, arXiv 2404.07946: "gradually reduces the training frequency of easier timesteps"; this form, N and s are not
/// in the public text and are open). The loss is not divided by p.
pub struct Curriculum {
    /// g, one probability per timestep.
    favoured: Vec<f64>,
    /// N, in steps; 0 means the final density from the first step on.
    anneal_steps: f64,
}

impl Curriculum {
    pub fn new(curriculum: &CurriculumTimesteps, timesteps: usize, planned_steps: u64) -> Self {
        assert!(curriculum.width > 0.0, "the plan's check refuses a curriculum without width");
        let (center, width) = (curriculum.center * timesteps as f64, curriculum.width * timesteps as f64);
        let exponents: Vec<f64> = (0..timesteps).map(|t| -0.5 * ((t as f64 - center) / width).powi(2)).collect();
        // Relative to the largest, so that a narrow density cannot vanish everywhere.
        let largest = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = exponents.iter().map(|exponent| (exponent - largest).exp()).collect();
        let total: f64 = weights.iter().sum();
        Self {
            favoured: weights.iter().map(|weight| weight / total).collect(),
            anneal_steps: curriculum.anneal * planned_steps as f64,
        }
    }

    /// a, the share of g in the density of `step`.
    fn share(&self, step: u64) -> f64 {
        if self.anneal_steps > 0.0 { (step as f64 / self.anneal_steps).min(1.0) } else { 1.0 }
    }
}

impl TimestepSampler for Curriculum {
    fn probabilities(&self, step: u64) -> Vec<f64> {
        let share = self.share(step);
        let uniform = (1.0 - share) / self.favoured.len() as f64;
        self.favoured.iter().map(|favoured| uniform + share * favoured).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curriculum(width: f64, anneal: f64) -> Curriculum {
        Curriculum::new(&CurriculumTimesteps { center: 0.3, width, anneal }, 1000, 2000)
    }

    #[test]
    fn the_final_density_over_uniform_is_the_tabled_one() {
        let probabilities = curriculum(0.3, 0.5).probabilities(1000);
        for (t, expected) in [(0, 0.97), (300, 1.60), (500, 1.28), (800, 0.40), (999, 0.11)] {
            assert!((1000.0 * probabilities[t] - expected).abs() < 0.005, "t = {t}: {}", 1000.0 * probabilities[t]);
        }
        let nearly_flat = curriculum(1.0, 0.5).probabilities(1000);
        assert!(nearly_flat.iter().all(|probability| (0.825..1.065).contains(&(1000.0 * probability))));
    }

    #[test]
    fn the_density_moves_from_uniform_to_the_favoured_one_and_stays() {
        let curriculum = curriculum(0.3, 0.5);
        assert!(curriculum.probabilities(0).iter().all(|&probability| probability == 0.001));
        let (half_way, end) = (curriculum.probabilities(500), curriculum.probabilities(1000));
        assert!(half_way.iter().zip(&end).all(|(half, end)| (half - 0.5 * (0.001 + end)).abs() < 1e-15));
        assert_eq!(end, curriculum.probabilities(1999));
    }

    #[test]
    fn without_annealing_the_density_is_the_final_one_from_the_first_step() {
        assert_eq!(curriculum(0.3, 0.0).probabilities(0), curriculum(0.3, 0.5).probabilities(1000));
    }

    #[test]
    fn a_width_far_below_one_timestep_still_favours_the_nearest() {
        let probabilities = curriculum(1e-9, 0.0).probabilities(0);
        assert_eq!(probabilities[300], 1.0);
    }
}
