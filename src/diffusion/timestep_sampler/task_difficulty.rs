//! The curriculum of denoising tasks: the noisiest timesteps first; less noisy ones are added when the loss stops improving.

use super::TimestepSampler;
use crate::diffusion::ForwardProcess;
use crate::spec::{Clustering, TaskDifficultyTimesteps};

/// Timesteps in N clusters, trained on from the noisiest, which is the easiest, downward (Kim, Go, Kwon and Kim 2024, arXiv
/// 2403.10348): at stage n uniformly on those of the n noisiest clusters, and at the last stage on all. A stage ends when the
/// loss has not improved for more than `patience` steps. Open, and chosen here: the loss is the batch's mean under an
/// exponential average, and each stage starts both the average and the best anew, as other timesteps have other losses.
pub struct TaskDifficulty {
    timesteps: usize,
    /// The lowest timestep of each stage; the last is 0.
    lowest: Vec<usize>,
    patience: u32,
    smoothing: f64,
    stage: usize,
    progress: Progress,
}

/// Within a stage. In f32, as a checkpoint keeps it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Progress {
    /// The averaged loss; NaN before the stage's first step.
    average: f32,
    /// The lowest average so far; infinite before the stage's first step.
    best: f32,
    /// Steps since.
    waited: u32,
}

const START: Progress = Progress { average: f32::NAN, best: f32::INFINITY, waited: 0 };
/// Up to here an f32 holds every whole number.
const MOST_WAITED: f32 = 16_777_216.0;

impl TaskDifficulty {
    pub fn new(settings: &TaskDifficultyTimesteps, process: &ForwardProcess) -> Self {
        let TaskDifficultyTimesteps { clusters, clustering, patience, smoothing } = *settings;
        let timesteps = process.timesteps();
        let lowest = (1..=clusters).map(|stage| match clustering {
            // Cluster i of 1..=N is (i - 1) T / N up to i T / N.
            Clustering::Timestep => (clusters - stage) * timesteps / clusters,
            Clustering::LogSnr => lowest_above(process, stage as f64 / clusters as f64),
        });
        let lowest = lowest.collect();
        Self { timesteps, lowest, patience, smoothing, stage: 0, progress: START }
    }
}

/// The lowest timestep whose ln(SNR) is at most `share` of the way from the noisiest to the least noisy.
fn lowest_above(process: &ForwardProcess, share: f64) -> usize {
    let last = process.timesteps() - 1;
    let log_snr = |t: usize| process.snr(t as u32).ln();
    if share >= 1.0 {
        return 0;
    }
    let border = log_snr(last) + share * (log_snr(0) - log_snr(last));
    (0..=last).find(|&t| log_snr(t) <= border).expect("the noisiest timestep is below every border")
}

impl TimestepSampler for TaskDifficulty {
    fn probabilities(&self, _step: u64) -> Vec<f64> {
        let lowest = self.lowest[self.stage];
        let probability = 1.0 / (self.timesteps - lowest) as f64;
        (0..self.timesteps).map(|t| if t < lowest { 0.0 } else { probability }).collect()
    }

    fn observes_losses(&self) -> bool {
        true
    }

    fn observe(&mut self, _timesteps: &[u32], losses: &[f32]) {
        if self.stage + 1 == self.lowest.len() {
            return;
        }
        let mean = losses.iter().copied().map(f64::from).sum::<f64>() / losses.len() as f64;
        let Progress { average, best, waited } = self.progress;
        let average =
            if average.is_nan() { mean } else { self.smoothing * f64::from(average) + (1.0 - self.smoothing) * mean };
        let average = average as f32;
        self.progress = if average < best {
            Progress { average, best: average, waited: 0 }
        } else {
            Progress { average, best, waited: waited + 1 }
        };
        if self.progress.waited > self.patience {
            self.stage += 1;
            self.progress = START;
        }
    }

    /// Stage, average, best, steps since.
    fn state(&self) -> Vec<f32> {
        let Progress { average, best, waited } = self.progress;
        // A stage is below 1,000 and a wait at most 2^24, which an f32 holds exactly.
        vec![self.stage as f32, average, best, waited as f32]
    }

    fn restore(&mut self, state: &[f32]) -> Result<(), String> {
        let &[stage, average, best, waited] = state else {
            return Err(format!("{} values instead of 4", state.len()));
        };
        let whole = |value: f32, most: f32| (0.0..=most).contains(&value) && value.fract() == 0.0;
        if !whole(stage, (self.lowest.len() - 1) as f32) {
            return Err(format!("stage {stage} of {}", self.lowest.len()));
        }
        if !whole(waited, (self.patience as f32).min(MOST_WAITED)) {
            return Err(format!("a wait of {waited} steps, of at most {}", self.patience));
        }
        self.stage = stage as usize;
        self.progress = Progress { average, best, waited: waited as u32 };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{LinearNoise, NoiseSchedule};

    fn sampler(settings: TaskDifficultyTimesteps, timesteps: usize) -> TaskDifficulty {
        let linear = LinearNoise { timesteps, ..LinearNoise::default() };
        TaskDifficulty::new(&settings, &ForwardProcess::new(&NoiseSchedule::Linear(linear)))
    }

    fn plain(clusters: usize, patience: u32) -> TaskDifficulty {
        let settings = TaskDifficultyTimesteps { clusters, patience, smoothing: 0.0, ..Default::default() };
        sampler(settings, 10)
    }

    #[test]
    fn each_stage_adds_the_next_lower_cluster_and_the_last_is_uniform() {
        let mut sampler = plain(3, 1);
        for lowest in [6, 3, 0] {
            let probabilities = sampler.probabilities(0);
            let share = 1.0 / (10 - lowest) as f64;
            assert!(probabilities[..lowest].iter().all(|&probability| probability == 0.0));
            assert!(probabilities[lowest..].iter().all(|&probability| probability == share));
            for loss in [1.0, 2.0, 2.0] {
                sampler.observe(&[9], &[loss]);
            }
        }
        assert_eq!(sampler.probabilities(0), [0.1; 10], "after the last stage all timesteps stay");
    }

    #[test]
    fn a_stage_lasts_while_the_loss_improves_and_patience_starts_anew_with_each_improvement() {
        let mut sampler = plain(2, 2);
        let losses = [5.0, 6.0, 6.0, 4.0, 4.0, 4.5, 3.9, 4.0, 4.0];
        for loss in losses {
            sampler.observe(&[9, 8], &[loss, loss]);
            assert_eq!(sampler.stage, 0);
        }
        sampler.observe(&[9, 8], &[3.9, 3.9]);
        assert_eq!((sampler.stage, sampler.progress.waited), (1, 0), "an equal loss is no improvement");
    }

    #[test]
    fn the_loss_is_smoothed_and_each_stage_starts_anew() {
        let settings = TaskDifficultyTimesteps { clusters: 2, patience: 1, smoothing: 0.5, ..Default::default() };
        let mut sampler = sampler(settings, 10);
        sampler.observe(&[9, 9], &[3.0, 5.0]);
        assert_eq!((sampler.progress.average, sampler.progress.best), (4.0, 4.0));
        sampler.observe(&[9], &[2.0]);
        assert_eq!((sampler.progress.average, sampler.progress.best), (3.0, 3.0));
        sampler.observe(&[9], &[4.0]);
        sampler.observe(&[9], &[4.0]);
        assert_eq!(sampler.stage, 1);
        assert!(sampler.progress.average.is_nan() && sampler.progress.best.is_infinite());
    }

    #[test]
    fn clusters_in_log_snr_have_equal_widths_there() {
        let settings = TaskDifficultyTimesteps { clusters: 4, clustering: Clustering::LogSnr, ..Default::default() };
        let sampler = sampler(settings, 1000);
        let process = ForwardProcess::new(&NoiseSchedule::default());
        let log_snr = |t: usize| process.snr(t as u32).ln();
        let width = (log_snr(0) - log_snr(999)) / 4.0;
        for (stage, &lowest) in sampler.lowest.iter().enumerate() {
            let border = log_snr(999) + (stage + 1) as f64 * width;
            assert!(log_snr(lowest) <= border + 1e-9 && (lowest == 0 || log_snr(lowest - 1) > border));
        }
        assert_eq!(sampler.lowest[3], 0);
    }

    #[test]
    fn a_restored_sampler_goes_on_as_if_nothing_had_happened() {
        let settings = TaskDifficultyTimesteps { clusters: 5, patience: 3, smoothing: 0.9, ..Default::default() };
        let (mut first, mut second) = (sampler(settings.clone(), 10), sampler(settings, 10));
        let loss = |step: u32| (step as f32 * 1.7).sin() + 2.0;
        for step in 0..9 {
            first.observe(&[9], &[loss(step)]);
        }
        second.restore(&first.state()).unwrap();
        for step in 9..40 {
            first.observe(&[9], &[loss(step)]);
            second.observe(&[9], &[loss(step)]);
            assert_eq!(first.probabilities(0), second.probabilities(0));
        }
        let bits = |sampler: &TaskDifficulty| sampler.state().iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&first), bits(&second));
        assert!(first.stage > 0, "the test goes through stages");
        for (state, message) in [
            (&[0.0; 3][..], "3 values instead of 4"),
            (&[5.0, 0.0, 0.0, 0.0], "stage 5 of 5"),
            (&[0.5, 0.0, 0.0, 0.0], "stage 0.5 of 5"),
            (&[f32::NAN, 0.0, 0.0, 0.0], "stage NaN of 5"),
            (&[0.0, 0.0, 0.0, 4.0], "a wait of 4 steps, of at most 3"),
        ] {
            assert_eq!(second.restore(state).unwrap_err(), message);
        }
    }
}
