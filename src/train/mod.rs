//! The training loop: steps, the clock, evaluations when they are due, checkpoints.
//!
//! What surrounds a run (where events go, how quality is measured, who asks to stop) is behind [`Host`].

mod auxiliary;
mod average_snapshot;
mod checkpoint;
pub mod classifier;
mod comparison;
mod hybrid_loss;
mod masks;
mod precision;
mod step_batch;
mod stopwatch;
mod trainer;

use burn::tensor::Device;

pub use average_snapshot::{AverageSnapshot, SnapshotError};
pub use checkpoint::{Checkpoint, CheckpointError, Progress, Window};
pub use classifier::{TrainedClassifier, train_classifier};
pub use comparison::{COMPARED_IMAGES, Speed, compare_with_cpu, measure_speed, warm_up};
pub use hybrid_loss::HybridLoss;
pub use precision::PrecisionError;
pub use stopwatch::Stopwatch;
pub use trainer::{Diverged, Trainer};

use crate::data::Dataset;
use crate::event::{Measure, Phase, RunEvent, RunOutcome};
use crate::model::Network;
use crate::optim::is_host;
use crate::spec::RunSpec;

/// Bins of the recorded timestep densities.
const DENSITY_BINS: usize = 50;
/// The densities are recorded at 0, 25, 50, 75 and 100 % of training.
const DENSITY_QUARTERS: u64 = 4;
/// Seconds between two `Progress` events.
const PROGRESS_SECONDS: f64 = 0.2;

/// The surroundings of a training run.
pub trait Host {
    /// Sends an event where it belongs.
    fn event(&mut self, event: RunEvent) -> Result<(), HostError>;

    /// Measures the network of `step`, given with its averaged and its raw weights; returns the measures and where the sample
    /// grid is.
    fn evaluate(&mut self, averaged: &Network, raw: &Network, step: u64) -> Result<(Vec<Measure>, String), HostError>;

    /// Replaces the checkpoint on disk. Everything sent so far must be there before.
    fn save(&mut self, checkpoint: &Checkpoint) -> Result<(), HostError>;

    /// Keeps averages beside the checkpoint. A run that goes on from a checkpoint may keep those of a step again: the same.
    fn keep(&mut self, averages: &AverageSnapshot) -> Result<(), HostError>;

    /// Whether someone asked this run to stop.
    fn stop_asked(&self) -> bool;
}

#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The evaluation was left because someone asked to stop.
    #[error("stopped")]
    Stopped,
    /// The samples or their statistics are not finite.
    #[error("{0}")]
    NotFinite(String),
    #[error(transparent)]
    Failed(#[from] Box<dyn std::error::Error + Send + Sync>),
}

/// Trains from the start, or from `checkpoint`, to the end or until asked to stop; see [`Trainer::new`] for `micro_batches`.
/// `preparing`: since when this attempt has been prepared.
pub fn train(
    spec: &RunSpec,
    dataset: &Dataset,
    device: &Device,
    checkpoint: Option<Checkpoint>,
    micro_batches: usize,
    preparing: Stopwatch,
    host: &mut dyn Host,
) -> Result<(RunOutcome, crate::event::Stamp), HostError> {
    let batch_size = spec.train.batch_size;
    let before = checkpoint.as_ref().map_or_else(Default::default, |checkpoint| checkpoint.progress.stamp);
    let mut stopwatch = preparing.having_set_up(&before);
    if !is_host(device)
        && let Some(reason) = stopwatch.setting_up(|| set_up(spec, dataset, device, micro_batches, host))?
    {
        return Ok((RunOutcome::DeviceDisagrees { reason }, stopwatch.stamp(before.step, batch_size)));
    }
    let mut trainer = Trainer::new(spec, dataset, device, checkpoint, micro_batches).map_err(failed)?;
    let mut saved_at = stopwatch.train_seconds();
    let mut shown_at = f64::NEG_INFINITY;
    let outcome = loop {
        let step = trainer.step();
        if step * DENSITY_QUARTERS >= trainer.progress.densities * spec.train.steps
            && trainer.progress.densities <= DENSITY_QUARTERS
        {
            let density = trainer.timestep_density(DENSITY_BINS);
            host.event(RunEvent::TimestepDensity { step, density })?;
            trainer.progress.densities += 1;
        }
        if trainer.evaluation_due() {
            match evaluate(&mut trainer, &mut stopwatch, host) {
                Ok(()) => {}
                Err(HostError::Stopped) => {
                    save(&mut trainer, &mut stopwatch, host)?;
                    break RunOutcome::Interrupted { reason: "asked to stop".to_owned() };
                }
                Err(HostError::NotFinite(reason)) => break RunOutcome::Diverged { reason },
                Err(error) => return Err(error),
            }
        }
        if let Some(averages) = trainer.kept_averages() {
            stopwatch.saving(|| host.keep(&averages))?;
        }
        if step == spec.train.steps {
            save(&mut trainer, &mut stopwatch, host)?;
            break RunOutcome::Completed;
        }
        if host.stop_asked() {
            save(&mut trainer, &mut stopwatch, host)?;
            break RunOutcome::Interrupted { reason: "asked to stop".to_owned() };
        }
        if stopwatch.train_seconds() - saved_at >= spec.train.checkpoint_seconds {
            save(&mut trainer, &mut stopwatch, host)?;
            saved_at = stopwatch.train_seconds();
        }

        // The loss is read before the optimizer's work is done: a device that works on its own is waited for.
        let (loss, waited) = stopwatch.training(|| (trainer.train_step(), device.sync()));
        waited.map_err(failed)?;
        let loss = match loss {
            Ok(loss) => loss,
            Err(Diverged(reason)) => break RunOutcome::Diverged { reason },
        };
        let stamp = stopwatch.stamp(trainer.step(), batch_size);
        if let Some(mean) = trainer.recorded_mean() {
            host.event(RunEvent::Trained {
                stamp,
                loss: mean.loss,
                gradient_norm: Some(mean.gradient_norm),
                learning_rate: Some(mean.learning_rate),
                beta1: Some(mean.beta1),
                wait_seconds: Some(mean.wait_seconds),
            })?;
        }
        if stamp.wall_seconds - shown_at >= PROGRESS_SECONDS {
            host.event(RunEvent::Progress { stamp, loss: Some(loss), phase: Phase::Training })?;
            shown_at = stamp.wall_seconds;
        }
    };
    Ok((outcome, stopwatch.stamp(trainer.step(), batch_size)))
}

fn evaluate(trainer: &mut Trainer, stopwatch: &mut Stopwatch, host: &mut dyn Host) -> Result<(), HostError> {
    let (step, batch_size) = (trainer.step(), trainer.spec().train.batch_size);
    let (averaged, raw) = (trainer.ema_network(), trainer.raw_network());
    host.event(RunEvent::Progress {
        stamp: stopwatch.stamp(step, batch_size),
        loss: trainer.last_loss(),
        phase: Phase::Evaluating,
    })?;
    let (measures, samples) = stopwatch.evaluating(|| host.evaluate(&averaged, &raw, step))?;
    let stamp = stopwatch.stamp(step, batch_size);
    host.event(RunEvent::Evaluated { stamp, measures, samples })?;
    trainer.progress.evaluated_step = step;
    Ok(())
}

/// Announces the checkpoint in the journal, then replaces the file: see `record::effective_events`.
fn save(trainer: &mut Trainer, stopwatch: &mut Stopwatch, host: &mut dyn Host) -> Result<(), HostError> {
    trainer.progress.checkpoint += 1;
    trainer.progress.stamp = stopwatch.stamp(trainer.step(), trainer.spec().train.batch_size);
    let Progress { stamp, checkpoint, .. } = trainer.progress;
    stopwatch.saving(|| {
        host.event(RunEvent::Checkpointed { stamp, checkpoint, losses: Vec::new() })?;
        host.save(&trainer.checkpoint())
    })
}

/// Before training on a device whose kernels a compiler makes: compares it with the CPU, and warms it up. Returns what there is
/// to object to.
fn set_up(
    spec: &RunSpec,
    dataset: &Dataset,
    device: &Device,
    micro_batches: usize,
    host: &mut dyn Host,
) -> Result<Option<String>, HostError> {
    let comparison = compare_with_cpu(spec, dataset, device).map_err(failed)?;
    let objection = comparison.objection();
    host.event(RunEvent::DeviceCompared(comparison))?;
    if objection.is_none() && (spec.train.batch_size > COMPARED_IMAGES || micro_batches > 1) {
        warm_up(spec, dataset, device, micro_batches).map_err(failed)?;
    }
    Ok(objection)
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> HostError {
    HostError::Failed(Box::new(error))
}
