//! One run from start to finish: train, evaluate, record.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use burn::tensor::Device;

use crate::data::{self, DataError, DataFolder};
use crate::evaluate::{EvaluateError, Evaluator, level};
use crate::event::{EVENT_VERSION, Measure, RunEvent, RunOutcome, Stamp, Started};
use crate::model::{self, Network};
use crate::record::{
    ConsistencyImages, Journal, Lock, RecordError, RunFolder, curve_rows, effective_events, read_journal, write_beside,
    write_curves,
};
use crate::spec::{Consistency, RunId, RunSpec};
use crate::train::{self, Checkpoint, CheckpointError, Host, HostError};

/// The program as it names itself in records.
pub const PROGRAM: &str = concat!("speedlab ", env!("CARGO_PKG_VERSION"));

/// A run waits this often, this long, for its folder.
const LOCK_PAUSES: u32 = 600;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error("cannot go on from {}: {source}\nhint: remove that file to train this run from the start", path.display())]
    Checkpoint { path: PathBuf, source: CheckpointError },
    #[error("cannot evaluate: {0}")]
    Evaluate(#[from] EvaluateError),
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Does the run whose folder was prepared, or what is left of it, and tells its parent every event.
///
/// `device_name` is how the record names `device`; images are in `data_folder`. When `stop_asked` says so, the run writes a checkpoint and ends as
/// `Interrupted`. `Ended` is told last, when everything is on disk.
pub fn execute(
    folder: &RunFolder,
    device: &Device,
    device_name: &str,
    data_folder: &DataFolder,
    stop_asked: &dyn Fn() -> bool,
    tell_parent: &dyn Fn(&RunEvent),
) -> Result<RunOutcome, RunError> {
    let planned = folder.read_spec()?;
    let _lock = take(folder, stop_asked)?;
    if let Some(outcome) = folder.read_done()? {
        tell_parent(&RunEvent::Ended { stamp: Stamp::default(), outcome: outcome.clone() });
        return Ok(outcome);
    }
    let spec = &planned.spec;
    let dataset = data::load_for(spec, data_folder, &mut |_| {})?;
    let checkpoint = read_checkpoint(folder, model::parameter_count(&spec.model, spec.data.shape()))?;
    let evaluator = Evaluator::new(spec, &dataset, data_folder)?;

    let earlier = read_journal(&folder.journal())?;
    let attempts = earlier.events.iter().filter(|event| matches!(event, RunEvent::Started(_))).count();
    let journal = Journal::open(&folder.journal())?;
    let mut host = RecordingHost { folder, spec, journal, evaluator, stop_asked, tell_parent };
    host.event(started(&planned.run_id, attempts as u32 + 1, checkpoint.as_ref(), device_name))?;
    let (outcome, stamp) = train::train(spec, &dataset, device, checkpoint, &mut host)?;

    let ended = RunEvent::Ended { stamp, outcome: outcome.clone() };
    host.journal.append(&ended)?;
    host.journal.sync()?;
    if outcome.is_final() {
        let events = effective_events(read_journal(&folder.journal())?.events);
        write_curves(&folder.curves(), &curve_rows(&planned, &events))?;
        folder.write_done(&outcome)?;
    }
    tell_parent(&ended);
    Ok(outcome)
}

/// Takes the run. A child whose parent was just killed may still hold it while it writes its last checkpoint.
fn take(folder: &RunFolder, stop_asked: &dyn Fn() -> bool) -> Result<Lock, RecordError> {
    let mut pauses = 0;
    loop {
        match folder.lock() {
            Err(RecordError::Held { .. }) if pauses < LOCK_PAUSES && !stop_asked() => {
                thread::sleep(LOCK_PAUSE);
                pauses += 1;
            }
            taken_or_failed => return taken_or_failed,
        }
    }
}

fn started(run_id: &RunId, attempt: u32, checkpoint: Option<&Checkpoint>, device_name: &str) -> RunEvent {
    RunEvent::Started(Started {
        version: EVENT_VERSION,
        run_id: run_id.clone(),
        attempt,
        from_checkpoint: checkpoint.map_or(0, |checkpoint| checkpoint.progress.checkpoint),
        from_step: checkpoint.map_or(0, |checkpoint| checkpoint.progress.stamp.step),
        program: PROGRAM.to_owned(),
        device: device_name.to_owned(),
        started_at: jiff::Timestamp::now().to_string(),
    })
}

fn read_checkpoint(folder: &RunFolder, parameter_count: usize) -> Result<Option<Checkpoint>, RunError> {
    let path = folder.checkpoint();
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(RecordError::Io { action: "read", path, source }.into()),
    };
    match Checkpoint::from_bytes(&bytes, parameter_count) {
        Ok(checkpoint) => Ok(Some(checkpoint)),
        Err(source) => Err(RunError::Checkpoint { path, source }),
    }
}

/// Records what a run says, and passes it on to the parent process.
struct RecordingHost<'a> {
    folder: &'a RunFolder,
    spec: &'a RunSpec,
    journal: Journal,
    evaluator: Evaluator,
    stop_asked: &'a dyn Fn() -> bool,
    tell_parent: &'a dyn Fn(&RunEvent),
}

impl Host for RecordingHost<'_> {
    fn event(&mut self, event: RunEvent) -> Result<(), HostError> {
        if !matches!(event, RunEvent::Progress { .. }) {
            self.journal.append(&event).map_err(failed)?;
        }
        (self.tell_parent)(&event);
        Ok(())
    }

    fn evaluate(&mut self, averaged: &Network, raw: &Network, step: u64) -> Result<(Vec<Measure>, String), HostError> {
        let evaluation = self.evaluator.evaluate(averaged, raw, &mut |_| !(self.stop_asked)());
        let mut evaluation = match evaluation {
            Ok(evaluation) => evaluation,
            Err(EvaluateError::Stopped) => return Err(HostError::Stopped),
            Err(error @ EvaluateError::NotFinite { .. }) => return Err(HostError::NotFinite(error.to_string())),
            Err(error) => return Err(failed(error)),
        };
        let samples = RunFolder::sample_grid(step);
        self.folder.write_samples(&samples, &evaluation.grid_png).map_err(failed)?;
        if self.spec.evaluate.difficulty.is_measured_at(step, self.spec.train.steps) {
            match self.evaluator.difficulty(self.spec, averaged, raw) {
                Ok(measures) => evaluation.measures.extend(measures),
                Err(error @ EvaluateError::NotFinite { .. }) => return Err(HostError::NotFinite(error.to_string())),
                Err(error) => return Err(failed(error)),
            }
        }
        let consistency = &self.spec.evaluate.consistency;
        if consistency.is_kept_at(step, self.spec.train.steps) {
            let (channels, side) = self.spec.data.image_shape();
            let kept = &evaluation.first_images[..consistency.images * channels * side * side];
            let images = ConsistencyImages {
                step,
                protocol: Consistency::protocol(self.spec),
                channels,
                side,
                pixels: kept.iter().copied().map(level).collect(),
                features: self.evaluator.features(kept),
            };
            write_beside(&self.folder.consistency(step), &images.to_bytes()).map_err(failed)?;
        }
        Ok((evaluation.measures, samples))
    }

    fn save(&mut self, checkpoint: &Checkpoint) -> Result<(), HostError> {
        self.journal.sync().map_err(failed)?;
        write_beside(&self.folder.checkpoint(), &checkpoint.to_bytes()).map_err(failed)
    }

    fn stop_asked(&self) -> bool {
        (self.stop_asked)()
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> HostError {
    HostError::Failed(Box::new(error))
}
