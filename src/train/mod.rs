//! The training loop: steps, the clock, evaluations when they are due, checkpoints.
//!
//! What surrounds a run (where events go, how quality is measured, who asks to stop) is behind [`Host`].

mod alignment;
mod auxiliary;
mod average_snapshot;
mod captured_step;
mod checkpoint;
pub mod classifier;
mod comparison;
mod hybrid_loss;
mod masks;
mod precision;
mod prefix;
mod step_batch;
mod stopwatch;
mod trainer;

use burn::tensor::Device;

pub use alignment::{KEPT_FEATURE_BYTES, PatchFeatures, misalignment, of_shown};
pub use average_snapshot::{AverageSnapshot, SnapshotError};
pub use captured_step::{CapturedStep, Given, needs_the_host};
pub use checkpoint::{Checkpoint, CheckpointError, Progress, Window};
pub use classifier::{TrainedClassifier, train_classifier};
pub use comparison::{COMPARED_IMAGES, Speed, compare_with_cpu, measure_speed, shapes, warm_up};
pub use hybrid_loss::HybridLoss;
pub use precision::PrecisionError;
pub use prefix::{densities_until, shared_steps};
pub use stopwatch::{Breaks, Stopwatch};
pub use trainer::{Diverged, Trainer};

use crate::data::Dataset;
use crate::event::{Measure, Phase, RunEvent, RunOutcome, Stamp};
use crate::model::{Network, NotCaptured};
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

    /// Measures the network of `step`, given with its averaged and its raw weights; or begins to, beside training.
    fn evaluate(&mut self, averaged: &Network, raw: &Network, step: u64) -> Result<Evaluating, HostError>;

    /// Whether evaluations go on beside training. One does at a time.
    fn evaluates_beside(&self) -> bool;

    /// The result of the evaluation that goes on beside training: if it is there, or `wait`ed for.
    fn evaluated(&mut self, wait: bool) -> Result<Option<Evaluated>, HostError>;

    /// Replaces the checkpoint on disk. Everything sent so far must be there before.
    fn save(&mut self, checkpoint: &Checkpoint) -> Result<(), HostError>;

    /// Whether the checkpoint of `step` is to be written, and kept beside the last one for runs that go on from there.
    fn keeps_state_of(&self, step: u64) -> bool;

    /// Keeps averages beside the checkpoint. A run that goes on from a checkpoint may keep those of a step again: the same.
    fn keep(&mut self, averages: &AverageSnapshot) -> Result<(), HostError>;

    /// The share of training since it was last asked in which the device was busy, between 0 and 1; `None` where nobody knows.
    fn device_utilization(&mut self) -> Option<f64>;

    /// Whether someone asked this run to stop.
    fn stop_asked(&self) -> bool;
}

/// What became of an evaluation that was asked for.
pub enum Evaluating {
    Done(Evaluated),
    /// It goes on beside training: see [`Host::evaluated`].
    Beside,
}

/// The result of an evaluation.
pub struct Evaluated {
    pub measures: Vec<Measure>,
    /// Where the sample grid is.
    pub samples: String,
}

#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The evaluation was left because someone asked to stop.
    #[error("stopped")]
    Stopped,
    /// The samples or their statistics are not finite.
    #[error("{0}")]
    NotFinite(String),
    /// What evaluates beside training is no more; the run goes on in another process.
    #[error("{0}")]
    Crashed(String),
    #[error(transparent)]
    Failed(#[from] Box<dyn std::error::Error + Send + Sync>),
}

/// How a device is told of steps; their results are the same but for the last bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// See [`Trainer::new`].
    pub micro_batches: usize,
    /// See [`Trainer::capture_steps`].
    pub capture_steps: bool,
}

/// Trains from the start, or from `checkpoint`, to the end or until asked to stop.
/// `preparing`: since when this attempt has been prepared.
pub fn train(
    spec: &RunSpec,
    dataset: &Dataset,
    device: &Device,
    checkpoint: Option<Checkpoint>,
    way: Way,
    preparing: Stopwatch,
    host: &mut dyn Host,
) -> Result<(RunOutcome, Stamp), HostError> {
    let before = checkpoint.as_ref().map_or_else(Default::default, |checkpoint| checkpoint.progress.stamp);
    let mut stopwatch = preparing.having_set_up(&before);
    if !is_host(device)
        && let Some(reason) = stopwatch.setting_up(|| set_up(spec, dataset, device, way, host))?
    {
        return Ok((RunOutcome::DeviceDisagrees { reason }, stopwatch.stamp(before.step, before.images_seen)));
    }
    let mut trainer = Trainer::new(spec, dataset, device, checkpoint, way.micro_batches).map_err(failed)?;
    if way.capture_steps {
        match stopwatch.setting_up(|| trainer.capture_steps()) {
            Ok(()) => {}
            Err(error @ NotCaptured::Differs { .. }) => {
                let reason = error.to_string();
                return Ok((RunOutcome::DeviceDisagrees { reason }, stopwatch.stamp(before.step, before.images_seen)));
            }
            Err(error) => return Err(failed(CheckpointError::from(error))),
        }
    }
    let mut saved_at = stopwatch.train_seconds();
    let mut shown_at = f64::NEG_INFINITY;
    // The stamp of the evaluation that goes on beside training. No checkpoint is written until its result is recorded: the last
    // one is from before it, so that a run that goes on from there evaluates again.
    let mut beside: Option<Stamp> = None;
    let outcome = loop {
        let step = trainer.step();
        if prefix::is_density_due(step, trainer.progress.densities, spec.train.steps) {
            let density = trainer.timestep_density(DENSITY_BINS);
            host.event(RunEvent::TimestepDensity { step, density })?;
            trainer.progress.densities += 1;
        }
        match evaluations(&mut trainer, &mut stopwatch, host, &mut beside) {
            Ok(()) => {}
            Err(HostError::Stopped) => break stopped(&mut trainer, &mut stopwatch, host, beside)?,
            Err(HostError::NotFinite(reason)) => break RunOutcome::Diverged { reason },
            Err(HostError::Crashed(reason)) => break RunOutcome::Crashed { reason },
            Err(error) => return Err(error),
        }
        if let Some(averages) = trainer.kept_averages() {
            stopwatch.saving(|| host.keep(&averages))?;
        }
        if step == spec.train.steps {
            save(&mut trainer, &mut stopwatch, host)?;
            break RunOutcome::Completed;
        }
        if host.keeps_state_of(step) {
            save(&mut trainer, &mut stopwatch, host)?;
            saved_at = stopwatch.train_seconds();
        }
        if host.stop_asked() {
            break stopped(&mut trainer, &mut stopwatch, host, beside)?;
        }
        if beside.is_none() && stopwatch.train_seconds() - saved_at >= spec.train.checkpoint_seconds {
            save(&mut trainer, &mut stopwatch, host)?;
            saved_at = stopwatch.train_seconds();
        }

        // The loss is read before the optimizer's work is done: a device that works on its own is waited for.
        let (loss, waited) = stopwatch.training(|| (trainer.train_step(), device.sync()));
        waited.map_err(failed)?;
        let loss = match loss {
            Ok(loss) => loss,
            // What was measured before is recorded all the same.
            Err(Diverged(reason)) => match record_beside(&mut trainer, &mut stopwatch, host, &mut beside, true) {
                Ok(()) => break RunOutcome::Diverged { reason },
                Err(HostError::NotFinite(reason)) => break RunOutcome::Diverged { reason },
                Err(HostError::Crashed(reason)) => break RunOutcome::Crashed { reason },
                Err(HostError::Stopped) => break stopped(&mut trainer, &mut stopwatch, host, beside)?,
                Err(error) => return Err(error),
            },
        };
        let stamp = stopwatch.stamp(trainer.step(), trainer.images_seen());
        if let Some(mean) = trainer.recorded_mean() {
            let device_utilization = host.device_utilization();
            host.event(RunEvent::Trained {
                stamp,
                loss: mean.loss,
                gradient_norm: Some(mean.gradient_norm),
                learning_rate: Some(mean.learning_rate),
                beta1: Some(mean.beta1),
                wait_seconds: Some(mean.wait_seconds),
                device_utilization,
            })?;
        }
        if stamp.wall_seconds - shown_at >= PROGRESS_SECONDS {
            host.event(RunEvent::Progress { stamp, loss: Some(loss), phase: Phase::Training })?;
            shown_at = stamp.wall_seconds;
        }
    };
    Ok((outcome, stopwatch.stamp(trainer.step(), trainer.images_seen())))
}

/// Writes a checkpoint, but for the one that there is from before an evaluation whose result is not recorded.
fn stopped(
    trainer: &mut Trainer,
    stopwatch: &mut Stopwatch,
    host: &mut dyn Host,
    beside: Option<Stamp>,
) -> Result<RunOutcome, HostError> {
    if beside.is_none() {
        save(trainer, stopwatch, host)?;
    }
    Ok(RunOutcome::Interrupted { reason: "asked to stop".to_owned() })
}

/// Records the evaluation that went on beside training, if it has ended, and does or begins the one that is due.
fn evaluations(
    trainer: &mut Trainer,
    stopwatch: &mut Stopwatch,
    host: &mut dyn Host,
    beside: &mut Option<Stamp>,
) -> Result<(), HostError> {
    let due = trainer.evaluation_due();
    record_beside(trainer, stopwatch, host, beside, due)?;
    if due {
        if host.evaluates_beside() {
            save(trainer, stopwatch, host)?;
        }
        *beside = evaluate(trainer, stopwatch, host)?;
    }
    // Whoever goes on from this step has its evaluation too.
    if trainer.step() == trainer.spec().train.steps || host.keeps_state_of(trainer.step()) {
        record_beside(trainer, stopwatch, host, beside, true)?;
    }
    Ok(())
}

/// Records the evaluation that goes on beside training, if it has ended or is `wait`ed for, on the evaluation's clock.
fn record_beside(
    trainer: &mut Trainer,
    stopwatch: &mut Stopwatch,
    host: &mut dyn Host,
    beside: &mut Option<Stamp>,
    wait: bool,
) -> Result<(), HostError> {
    if let Some(stamp) = *beside
        && let Some(Evaluated { measures, samples }) = stopwatch.evaluating(|| host.evaluated(wait))?
    {
        host.event(RunEvent::Evaluated { stamp, measures, samples })?;
        trainer.progress.evaluated_step = stamp.step;
        *beside = None;
    }
    Ok(())
}

/// The stamp of the evaluation, where it goes on beside training.
fn evaluate(trainer: &mut Trainer, stopwatch: &mut Stopwatch, host: &mut dyn Host) -> Result<Option<Stamp>, HostError> {
    let (step, images_seen) = (trainer.step(), trainer.images_seen());
    let (averaged, raw) = (trainer.ema_network(), trainer.raw_network());
    host.event(RunEvent::Progress {
        stamp: stopwatch.stamp(step, images_seen),
        loss: trainer.last_loss(),
        phase: Phase::Evaluating,
    })?;
    let evaluating = stopwatch.evaluating(|| host.evaluate(&averaged, &raw, step))?;
    let stamp = stopwatch.stamp(step, images_seen);
    match evaluating {
        Evaluating::Beside => Ok(Some(stamp)),
        Evaluating::Done(Evaluated { measures, samples }) => {
            host.event(RunEvent::Evaluated { stamp, measures, samples })?;
            trainer.progress.evaluated_step = step;
            Ok(None)
        }
    }
}

/// Announces the checkpoint in the journal, then replaces the file: see `record::effective_events`.
fn save(trainer: &mut Trainer, stopwatch: &mut Stopwatch, host: &mut dyn Host) -> Result<(), HostError> {
    trainer.progress.checkpoint += 1;
    trainer.progress.stamp = stopwatch.stamp(trainer.step(), trainer.images_seen());
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
    way: Way,
    host: &mut dyn Host,
) -> Result<Option<String>, HostError> {
    for (spec, first_step) in shapes(spec) {
        let comparison = match compare_with_cpu(&spec, dataset, device, first_step, way.capture_steps) {
            Err(CheckpointError::NotCaptured(error @ NotCaptured::Differs { .. })) => {
                return Ok(Some(error.to_string()));
            }
            compared => compared.map_err(failed)?,
        };
        let objection = comparison.objection();
        host.event(RunEvent::DeviceCompared(comparison))?;
        if objection.is_some() {
            return Ok(objection);
        }
        // Capturing a step does it several times.
        let is_larger = spec.train.batch_sizes().at(first_step) > COMPARED_IMAGES || way.micro_batches > 1;
        if is_larger && !way.capture_steps {
            warm_up(&spec, dataset, device, first_step, way.micro_batches).map_err(failed)?;
        }
    }
    Ok(None)
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> HostError {
    HostError::Failed(Box::new(error))
}
