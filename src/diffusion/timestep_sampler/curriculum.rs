//! CLTS, the curriculum learning timestep schedule.

use std::f64::consts::PI;

use super::TimestepSampler;
use super::log_snr::{log_snr, relative_to_largest};
use crate::diffusion::ForwardProcess;
use crate::spec::{CurriculumTimesteps, LogSnrCurriculumTimesteps, PacedCurriculumTimesteps, Pacing};

/// p_i(t) = (1 - a)/T + a g(t), a = min(i/N, 1), g(t) ~ exp(-(t - mu T)^2 / (2 (s T)^2)) with sum 1 (Xu, Mi, Wang and Chen
/// 2024, arXiv 2404.07946: "gradually reduces the training frequency of easier timesteps"; this form, N and s are not
/// in the public text and are open). The loss is not divided by p.
///
/// Two more forms of what is open: another pacing a(i/N), and g(t) ~ exp(-(ln SNR_t - center)^2 / (2 width^2)), which means
/// the same noise under every noise schedule.
pub struct Curriculum {
    /// g, one probability per timestep.
    favoured: Vec<f64>,
    /// N, in steps; 0 means the final density from the first step on.
    anneal_steps: f64,
    pacing: Pacing,
}

/// N in steps: up to 1 `anneal` is a share of the planned ones, above it is a number of them.
fn anneal_steps(anneal: f64, planned_steps: u64) -> f64 {
    if anneal > 1.0 { anneal } else { anneal * planned_steps as f64 }
}

impl Curriculum {
    pub fn new(settings: &CurriculumTimesteps, timesteps: usize, planned_steps: u64) -> Self {
        let CurriculumTimesteps { center, width, anneal } = *settings;
        Self::paced(
            &PacedCurriculumTimesteps { center, width, anneal, pacing: Pacing::Linear },
            timesteps,
            planned_steps,
        )
    }

    pub fn paced(settings: &PacedCurriculumTimesteps, timesteps: usize, planned_steps: u64) -> Self {
        Self {
            favoured: bump(settings.center, settings.width, timesteps),
            anneal_steps: anneal_steps(settings.anneal, planned_steps),
            pacing: settings.pacing,
        }
    }

    pub fn in_log_snr(settings: &LogSnrCurriculumTimesteps, process: &ForwardProcess, planned_steps: u64) -> Self {
        assert!(settings.width > 0.0, "the plan's check refuses a curriculum without width");
        let exponents =
            log_snr(process).into_iter().map(|lambda| -0.5 * ((lambda - settings.center) / settings.width).powi(2));
        Self {
            favoured: normalized(relative_to_largest(exponents.collect())),
            anneal_steps: anneal_steps(settings.anneal, planned_steps),
            pacing: settings.pacing,
        }
    }

    /// a, the share of g in the density of `step`.
    fn share(&self, step: u64) -> f64 {
        let done = if self.anneal_steps > 0.0 { (step as f64 / self.anneal_steps).min(1.0) } else { 1.0 };
        match self.pacing {
            Pacing::Linear => done,
            Pacing::Cosine => (1.0 - (PI * done).cos()) / 2.0,
            Pacing::Step => done.floor(),
        }
    }
}

/// exp(-(t - center T)^2 / (2 (width T)^2)) with sum 1.
pub(super) fn bump(center: f64, width: f64, timesteps: usize) -> Vec<f64> {
    assert!(width > 0.0, "the plan's check refuses a density without width");
    let (center, width) = (center * timesteps as f64, width * timesteps as f64);
    // Relative to the largest, so that a narrow density cannot vanish everywhere.
    normalized(relative_to_largest((0..timesteps).map(|t| -0.5 * ((t as f64 - center) / width).powi(2)).collect()))
}

fn normalized(weights: Vec<f64>) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
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
    use crate::spec::{CosineNoise, NoiseSchedule};

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

    /// So that a short run is the beginning of a long one.
    #[test]
    fn annealing_in_steps_does_not_depend_on_the_planned_length() {
        let settings = CurriculumTimesteps { center: 0.3, width: 0.3, anneal: 400.0 };
        let planned = [500, 5000].map(|planned_steps| Curriculum::new(&settings, 1000, planned_steps));
        for step in [0, 100, 399, 400, 499] {
            assert_eq!(planned[0].probabilities(step), planned[1].probabilities(step));
        }
        assert!((planned[1].share(100) - 0.25).abs() < 1e-15 && planned[1].share(400) == 1.0);
        // The same as a share of the length.
        assert_eq!(
            planned[0].probabilities(123),
            Curriculum::new(&CurriculumTimesteps { anneal: 0.8, ..settings }, 1000, 500).probabilities(123)
        );
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

    #[test]
    fn every_pacing_goes_from_uniform_to_the_favoured_density() {
        let paced = |pacing| {
            let settings = PacedCurriculumTimesteps { center: 0.3, width: 0.3, anneal: 0.5, pacing };
            Curriculum::paced(&settings, 1000, 2000)
        };
        for (pacing, early, late) in
            [(Pacing::Linear, 0.25, 0.75), (Pacing::Cosine, 0.146_447, 0.853_553), (Pacing::Step, 0.0, 0.0)]
        {
            let curriculum = paced(pacing);
            for (step, share) in [(0, 0.0), (250, early), (750, late), (1000, 1.0), (1999, 1.0)] {
                assert!((curriculum.share(step) - share).abs() < 1e-6, "{pacing:?} at {step}");
            }
            assert_eq!(curriculum.probabilities(1500), paced(Pacing::Linear).probabilities(1500));
        }
    }

    /// At t = 0.3 T the linear schedule has abar = 0.394; the cosine schedule has it at 0.565 T.
    #[test]
    fn in_log_snr_the_favoured_noise_is_the_same_under_every_schedule() {
        let settings = LogSnrCurriculumTimesteps { width: 0.5, anneal: 0.0, ..LogSnrCurriculumTimesteps::default() };
        for (noise_schedule, expected) in
            [(NoiseSchedule::default(), 300), (NoiseSchedule::Cosine(CosineNoise::default()), 564)]
        {
            let process = ForwardProcess::new(&noise_schedule);
            let probabilities = Curriculum::in_log_snr(&settings, &process, 100).probabilities(0);
            let favoured = (0..1000).max_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b])).unwrap();
            assert!(favoured.abs_diff(expected) <= 2, "{noise_schedule:?}: {favoured}");
            assert!((process.snr(favoured as u32).ln() - settings.center).abs() < 0.01);
            // One width away in log-SNR the density is exp(-1/2) of the largest.
            let away = (0..1000u32).min_by_key(|&t| ((process.snr(t).ln() - settings.center - 0.5).abs() * 1e9) as u64);
            let ratio = probabilities[away.unwrap() as usize] / probabilities[favoured];
            assert!((ratio - (-0.5f64).exp()).abs() < 0.02, "{ratio}");
        }
    }
}
