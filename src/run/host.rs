//! Records what training says, and measures when it asks.

use super::SignsOfLife;
use super::beside::Beside;
use super::shared_steps::TakenOver;
use super::utilization::Looks;
use crate::evaluate::{EvaluateError, Evaluation, Evaluator, level};
use crate::event::{Phase, RunEvent, Stamp};
use crate::model::Network;
use crate::record::{ConsistencyImages, Journal, RunFolder, write_beside};
use crate::spec::{Consistency, RunSpec};
use crate::train::{AverageSnapshot, Checkpoint, Evaluated, Evaluating, Host, HostError};

/// Records what a run says, and passes it on to the parent process.
pub(super) struct RecordingHost<'a, 'scope, 'env: 'scope> {
    pub folder: &'a RunFolder,
    pub spec: &'a RunSpec,
    pub journal: Journal,
    pub evaluator: &'a Evaluator,
    /// Where evaluations go on beside training.
    pub beside: Option<Beside<'scope, 'env>>,
    /// At how busy the device is.
    pub looks: Option<Looks>,
    pub stop_asked: &'a dyn Fn() -> bool,
    /// The steps whose checkpoints are kept for runs that share the steps up to there.
    pub kept_for_others: &'a [u64],
    pub life: SignsOfLife<'a>,
    /// The stamp of the last event that had one.
    pub last_stamp: Stamp,
}

impl RecordingHost<'_, '_, '_> {
    /// Records the first steps of another run as this one's own, and returns its state after them.
    pub fn take_over(&mut self, taken: TakenOver) -> Result<Checkpoint, HostError> {
        taken.copy_files().map_err(failed)?;
        for event in &taken.events {
            self.journal.append(event).map_err(failed)?;
        }
        self.save(&taken.checkpoint)?;
        Ok(taken.checkpoint)
    }

    /// Writes what an evaluation leaves on disk.
    fn keep_evaluation(&self, evaluation: Evaluation, step: u64) -> Result<Evaluated, HostError> {
        let samples = RunFolder::sample_grid(step);
        self.folder.write_samples(&samples, &evaluation.grid_png).map_err(failed)?;
        let consistency = &self.spec.evaluate.consistency;
        if consistency.is_kept_at(step, self.spec.train.steps) {
            let (channels, side) = self.spec.data.picture_shape();
            let kept = &evaluation.first_images[..consistency.images * channels * side * side];
            let images = ConsistencyImages {
                step,
                protocol: Consistency::protocol(self.spec, self.evaluator.decoder_sha256()),
                channels,
                side,
                pixels: kept.iter().copied().map(level).collect(),
                features: self.evaluator.features(kept),
            };
            write_beside(&self.folder.consistency(step), &images.to_bytes()).map_err(failed)?;
        }
        Ok(Evaluated { measures: evaluation.measures, samples })
    }
}

impl Host for RecordingHost<'_, '_, '_> {
    fn event(&mut self, event: RunEvent) -> Result<(), HostError> {
        if !matches!(event, RunEvent::Progress { .. }) {
            self.journal.append(&event).map_err(failed)?;
        }
        self.last_stamp = event.stamp().unwrap_or(self.last_stamp);
        (self.life.tell_parent)(&event);
        Ok(())
    }

    fn evaluate(&mut self, averaged: &Network, raw: &Network, step: u64) -> Result<Evaluating, HostError> {
        if let Some(beside) = &mut self.beside {
            beside.begin(averaged, raw, step);
            return Ok(Evaluating::Beside);
        }
        let (life, stamp, stop_asked) = (&mut self.life, self.last_stamp, self.stop_asked);
        let mut goes_on = |_: f64| {
            life.sign(stamp, Phase::Evaluating);
            !stop_asked()
        };
        let evaluation =
            measured(self.evaluator, self.spec, averaged, raw, step, &mut goes_on).map_err(not_measured)?;
        self.keep_evaluation(evaluation, step).map(Evaluating::Done)
    }

    fn evaluates_beside(&self) -> bool {
        self.beside.is_some()
    }

    fn evaluated(&mut self, wait: bool) -> Result<Option<Evaluated>, HostError> {
        let Some(beside) = &mut self.beside else { return Ok(None) };
        let (life, stamp, stop_asked) = (&mut self.life, self.last_stamp, self.stop_asked);
        let mut goes_on = || {
            life.sign(stamp, Phase::Evaluating);
            !stop_asked()
        };
        match beside.take(wait, &mut goes_on).map_err(not_measured)? {
            Some((step, evaluation)) => self.keep_evaluation(evaluation, step).map(Some),
            None => Ok(None),
        }
    }

    fn save(&mut self, checkpoint: &Checkpoint) -> Result<(), HostError> {
        self.journal.sync().map_err(failed)?;
        let (bytes, step) = (checkpoint.to_bytes(), checkpoint.progress.stamp.step);
        write_beside(&self.folder.checkpoint(), &bytes).map_err(failed)?;
        if self.keeps_state_of(step) {
            write_beside(&self.folder.kept_state(step), &bytes).map_err(failed)?;
        }
        Ok(())
    }

    fn keeps_state_of(&self, step: u64) -> bool {
        self.kept_for_others.contains(&step)
    }

    fn keep(&mut self, averages: &AverageSnapshot) -> Result<(), HostError> {
        write_beside(&self.folder.averages(averages.step), &averages.to_bytes()).map_err(failed)
    }

    fn device_utilization(&mut self) -> Option<f64> {
        self.looks.as_ref().and_then(Looks::take)
    }

    fn stop_asked(&self) -> bool {
        (self.stop_asked)()
    }
}

/// What is measured of the network of `step`.
pub(super) fn measured(
    evaluator: &Evaluator,
    spec: &RunSpec,
    averaged: &Network,
    raw: &Network,
    step: u64,
    goes_on: &mut dyn FnMut(f64) -> bool,
) -> Result<Evaluation, EvaluateError> {
    let mut evaluation = evaluator.evaluate(averaged, raw, goes_on)?;
    if spec.evaluate.difficulty.is_measured_at(step, spec.train.steps) {
        evaluation.measures.extend(evaluator.difficulty(spec, averaged, raw, goes_on)?);
    }
    Ok(evaluation)
}

fn not_measured(error: EvaluateError) -> HostError {
    match error {
        EvaluateError::Stopped => HostError::Stopped,
        EvaluateError::NotFinite { .. } => HostError::NotFinite(error.to_string()),
        EvaluateError::Panicked { .. } => HostError::Crashed(error.to_string()),
        _ => failed(error),
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> HostError {
    HostError::Failed(Box::new(error))
}
