//! Which timesteps are trained on. A new sampler is one file here, one kind in `spec::TimestepSampler` and one match arm in
//! [`timestep_sampler`].

mod curriculum;
mod curriculum_sampling;
mod edm;
mod fixed;
mod laplace;
mod log_snr;
mod logit_normal;
mod loss_second_moment;
mod rectified_flow;
mod speed;
mod task_difficulty;
mod uniform;

use super::ForwardProcess;
use crate::spec::{self, RunSpec};

/// Draws timesteps by inverse CDF of uniforms that all runs of a seed share, so that their draws are paired.
pub trait TimestepSampler {
    /// The probability of each timestep 0..T at `step`; they sum to 1.
    fn probabilities(&self, step: u64) -> Vec<f64>;

    /// One timestep per uniform in [0, 1): the smallest t with P(t' <= t) > uniform, so t grows with the uniform.
    ///
    /// Importance weights are 1 unless a sampler says otherwise.
    fn draw(&self, uniforms: &[f64], step: u64) -> Vec<TrainingTimestep> {
        let cumulative = cumulative(&self.probabilities(step));
        uniforms.iter().map(|&uniform| TrainingTimestep { t: invert(&cumulative, uniform), weight: 1.0 }).collect()
    }

    /// Whether the density follows the losses: then the training step calls [`observe`](Self::observe) after every draw.
    fn observes_losses(&self) -> bool {
        false
    }

    /// Hears the loss of each image of a step (with its loss weight, without its importance weight), in the order drawn.
    fn observe(&mut self, _timesteps: &[u32], _losses: &[f32]) {}

    /// The state that the density depends on beside the step, for the checkpoint; empty for a sampler that observes nothing.
    fn state(&self) -> Vec<f32> {
        Vec::new()
    }

    /// Goes on from what [`state`](Self::state) gave; `Err` says what is wrong with it.
    fn restore(&mut self, state: &[f32]) -> Result<(), String> {
        if state.is_empty() { Ok(()) } else { Err(format!("{} values for a sampler without state", state.len())) }
    }

    /// The probability of each of `bins` equally wide bins of t/T at `step`; they sum to 1. Timestep t covers
    /// [t/T, (t+1)/T), and one that lies across a border is split in proportion.
    fn density(&self, step: u64, bins: usize) -> Vec<f64> {
        let probabilities = self.probabilities(step);
        let cumulative = cumulative(&probabilities);
        let below = |border: usize| {
            let position = (border * probabilities.len()) as f64 / bins as f64;
            let whole = position as usize;
            let before = whole.checked_sub(1).map_or(0.0, |last| cumulative[last]);
            before + probabilities.get(whole).map_or(0.0, |next| next * (position - whole as f64))
        };
        (0..bins).map(|bin| below(bin + 1) - below(bin)).collect()
    }
}

/// A timestep to train on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainingTimestep {
    /// Index 0..T, 0 the least noisy.
    pub t: u32,
    /// Importance weight of its loss: 1 where the changed frequency is the method itself.
    pub weight: f32,
}

/// The sampler of a run.
pub fn timestep_sampler(spec: &RunSpec) -> Box<dyn TimestepSampler + Send> {
    let (timesteps, steps) = (spec.noise_schedule.timesteps(), spec.train.steps);
    let process = || ForwardProcess::new(&spec.noise_schedule);
    use spec::TimestepSampler::*;
    match &spec.timestep_sampler {
        Uniform(_) => Box::new(uniform::Uniform::new(timesteps)),
        Curriculum(settings) => Box::new(curriculum::Curriculum::new(settings, timesteps, steps)),
        PacedCurriculum(settings) => Box::new(curriculum::Curriculum::paced(settings, timesteps, steps)),
        LogSnrCurriculum(settings) => Box::new(curriculum::Curriculum::in_log_snr(settings, &process(), steps)),
        CurriculumSampling(settings) => {
            Box::new(curriculum_sampling::CurriculumSampling::new(settings, timesteps, steps))
        }
        LogitNormal(settings) => Box::new(logit_normal::logit_normal(settings, timesteps)),
        Shifted(settings) => Box::new(rectified_flow::shifted(settings, timesteps)),
        Mode(settings) => Box::new(rectified_flow::mode(settings, timesteps)),
        LossSecondMoment(settings) => Box::new(loss_second_moment::LossSecondMoment::new(settings, timesteps)),
        Laplace(settings) => Box::new(laplace::laplace(settings, &process())),
        Edm(settings) => Box::new(edm::edm(settings, &process())),
        TaskDifficulty(settings) => Box::new(task_difficulty::TaskDifficulty::new(settings, &process())),
        Speed(settings) => Box::new(speed::speed(settings, timesteps)),
    }
}

/// P(t' <= t) for each t.
fn cumulative(probabilities: &[f64]) -> Vec<f64> {
    let running_sum = probabilities.iter().scan(0.0, |sum, probability| {
        *sum += probability;
        Some(*sum)
    });
    running_sum.collect()
}

/// The smallest t with `cumulative[t]` above `uniform`, hence one of positive probability.
fn invert(cumulative: &[f64], uniform: f64) -> u32 {
    let total = *cumulative.last().expect("a noise schedule has at least one timestep");
    let t = cumulative.partition_point(|&below| below <= uniform * total);
    // Rounding can lift uniform * total to total itself; then it is the last timestep that adds to the sum.
    let last = cumulative.partition_point(|&below| below < total);
    t.min(last) as u32
}

#[cfg(test)]
mod tests {
    use statrs::distribution::{ChiSquared, ContinuousCDF};

    use super::*;
    use crate::random::{Draws, Stream};
    use crate::spec::{
        CurriculumSamplingTimesteps, CurriculumTimesteps, EdmTimesteps, LaplaceTimesteps, LinearNoise,
        LogSnrCurriculumTimesteps, LogitNormalTimesteps, LossSecondMomentTimesteps, ModeTimesteps, NoiseSchedule,
        PacedCurriculumTimesteps, ShiftedTimesteps, SpeedTimesteps, TaskDifficultyTimesteps,
    };

    /// Every sampler: what holds for all is tested on each.
    fn run_specs() -> Vec<RunSpec> {
        let samplers = [
            spec::TimestepSampler::default(),
            spec::TimestepSampler::Curriculum(CurriculumTimesteps::default()),
            spec::TimestepSampler::Curriculum(CurriculumTimesteps { center: 0.9, width: 0.05, anneal: 0.0 }),
            spec::TimestepSampler::PacedCurriculum(PacedCurriculumTimesteps::default()),
            spec::TimestepSampler::LogSnrCurriculum(LogSnrCurriculumTimesteps::default()),
            spec::TimestepSampler::CurriculumSampling(CurriculumSamplingTimesteps::default()),
            spec::TimestepSampler::LogitNormal(LogitNormalTimesteps::default()),
            spec::TimestepSampler::Shifted(ShiftedTimesteps::default()),
            spec::TimestepSampler::Mode(ModeTimesteps::default()),
            spec::TimestepSampler::Laplace(LaplaceTimesteps::default()),
            spec::TimestepSampler::Edm(EdmTimesteps::default()),
            spec::TimestepSampler::Speed(SpeedTimesteps::default()),
            spec::TimestepSampler::LossSecondMoment(LossSecondMomentTimesteps::default()),
            spec::TimestepSampler::TaskDifficulty(TaskDifficultyTimesteps::default()),
        ];
        let run_spec = |timestep_sampler| RunSpec { timestep_sampler, ..RunSpec::default() };
        samplers.into_iter().map(run_spec).collect()
    }

    fn uniforms(count: usize, step: u64) -> Vec<f64> {
        let mut draws = Draws::new(11, Stream::Timesteps, step);
        (0..count).map(|_| draws.uniform()).collect()
    }

    #[test]
    fn probabilities_and_densities_sum_to_one_at_every_step() {
        for run_spec in run_specs() {
            let sampler = timestep_sampler(&run_spec);
            for step in [0, 1, 250, 500, 999, 1000, 1999, 2000, u64::MAX] {
                let probabilities = sampler.probabilities(step);
                assert_eq!(probabilities.len(), 1000);
                assert!(probabilities.iter().all(|&probability| probability >= 0.0));
                assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                for bins in [1, 7, 10, 1000, 1500] {
                    let density = sampler.density(step, bins);
                    assert!((density.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{bins} bins at step {step}");
                }
            }
        }
    }

    /// Pearson's statistic over all timesteps that expect at least 5 draws, the others pooled.
    #[test]
    fn a_million_draws_follow_the_probabilities() {
        const DRAWS: usize = 1_000_000;
        for run_spec in run_specs() {
            for step in [0, 600, 1999] {
                let sampler = timestep_sampler(&run_spec);
                let mut counts = vec![0.0; 1000];
                for training_timestep in sampler.draw(&uniforms(DRAWS, step), step) {
                    assert_eq!(training_timestep.weight, 1.0);
                    counts[training_timestep.t as usize] += 1.0;
                }
                let (mut statistic, mut cells, mut rest) = (0.0, 0, (0.0, 0.0));
                for (count, probability) in counts.iter().zip(sampler.probabilities(step)) {
                    let expected = probability * DRAWS as f64;
                    if expected < 5.0 {
                        rest = (rest.0 + count, rest.1 + expected);
                    } else {
                        statistic += (count - expected) * (count - expected) / expected;
                        cells += 1;
                    }
                }
                if rest.1 >= 5.0 {
                    statistic += (rest.0 - rest.1) * (rest.0 - rest.1) / rest.1;
                    cells += 1;
                } else {
                    assert!(rest.0 < 25.0, "{} draws where {} are expected", rest.0, rest.1);
                }
                let critical = ChiSquared::new(f64::from(cells - 1)).unwrap().inverse_cdf(1.0 - 1e-4);
                assert!(statistic < critical, "{:?}, step {step}: {statistic} > {critical}", run_spec.timestep_sampler);
            }
        }
    }

    #[test]
    fn a_larger_uniform_never_gives_a_smaller_timestep() {
        for run_spec in run_specs() {
            let mut uniforms = uniforms(10_000, 3);
            uniforms.extend([0.0, 1.0 - f64::EPSILON / 2.0]);
            uniforms.sort_by(f64::total_cmp);
            let drawn = timestep_sampler(&run_spec).draw(&uniforms, 700);
            assert!(drawn.windows(2).all(|pair| pair[0].t <= pair[1].t));
            assert!(drawn.iter().all(|training_timestep| training_timestep.t < 1000));
        }
    }

    #[test]
    fn arms_of_one_seed_draw_the_same_timesteps_until_their_densities_part() {
        let specs = run_specs();
        let uniforms = uniforms(100_000, 0);
        let (uniform, curriculum) = (timestep_sampler(&specs[0]), timestep_sampler(&specs[1]));
        assert_eq!(uniform.draw(&uniforms, 0), curriculum.draw(&uniforms, 0));
        let (uniform, curriculum) = (uniform.draw(&uniforms, 2000), curriculum.draw(&uniforms, 2000));
        let mean = |drawn: &[TrainingTimestep]| drawn.iter().map(|d| f64::from(d.t)).sum::<f64>() / drawn.len() as f64;
        let (uniform_mean, curriculum_mean) = (mean(&uniform), mean(&curriculum));
        let covariance: f64 = uniform
            .iter()
            .zip(&curriculum)
            .map(|(u, c)| (f64::from(u.t) - uniform_mean) * (f64::from(c.t) - curriculum_mean))
            .sum();
        let spread = |drawn: &[TrainingTimestep], mean: f64| {
            drawn.iter().map(|d| (f64::from(d.t) - mean).powi(2)).sum::<f64>().sqrt()
        };
        // Drawn apart, they would be uncorrelated.
        assert!(covariance / (spread(&uniform, uniform_mean) * spread(&curriculum, curriculum_mean)) > 0.95);
    }

    #[test]
    fn timesteps_without_probability_are_never_drawn() {
        struct Fixed(Vec<f64>);
        impl TimestepSampler for Fixed {
            fn probabilities(&self, _step: u64) -> Vec<f64> {
                self.0.clone()
            }
        }
        let drawn = Fixed(vec![0.0, 0.25, 0.0, 0.75, 0.0]).draw(&[0.0, 0.249, 0.25, 1.0 - f64::EPSILON / 2.0, 1.0], 0);
        assert_eq!(drawn.iter().map(|drawn| drawn.t).collect::<Vec<_>>(), [1, 1, 3, 3, 3]);
    }

    #[test]
    fn a_timestep_across_the_border_of_two_bins_is_split() {
        let linear = LinearNoise { timesteps: 3, ..LinearNoise::default() };
        let run_spec = RunSpec { noise_schedule: NoiseSchedule::Linear(linear), ..RunSpec::default() };
        let density = timestep_sampler(&run_spec).density(0, 2);
        assert!(density.iter().all(|share| (share - 0.5).abs() < 1e-15), "{density:?}");
    }
}
