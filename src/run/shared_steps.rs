//! A run that takes over the first steps of another one in the place of training them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use super::{Attempt, PROGRAM, RunError, recorded_sums};
use crate::data::DataSums;
use crate::event::{RunEvent, SharedSteps, Started};
use crate::model;
use crate::record::{RecordError, RunFolder, effective_events, read_journal, write_beside};
use crate::spec::RunSpec;
use crate::train::{self, Checkpoint};

/// The first steps of a run, as another one that shares them records them.
pub(super) struct TakenOver {
    pub shared: SharedSteps,
    /// What the run has recorded of them; last, that its checkpoint is about to be written.
    pub events: Vec<RunEvent>,
    pub checkpoint: Checkpoint,
    /// Files beside the journal, by (where they are, their place in the own folder).
    files: Vec<(PathBuf, PathBuf)>,
}

/// What is wrong with another run's first steps, as a sentence's end, or that a record cannot be read.
enum NotTaken {
    Since(String),
    Failed(RecordError),
}

impl From<RecordError> for NotTaken {
    fn from(error: RecordError) -> Self {
        match error {
            // Whatever is wrong with the other run's record is its own matter.
            RecordError::Io { .. } => Self::Failed(error),
            other => Self::Since(other.to_string()),
        }
    }
}

fn since<T>(reason: impl Into<String>) -> Result<T, NotTaken> {
    Err(NotTaken::Since(reason.into()))
}

/// The first steps of `shared`, if they are there and whole and are what this attempt would train and record; else a line in the run's
/// log says why it trains them itself.
pub(super) fn take_over(
    folder: &RunFolder,
    spec: &RunSpec,
    shared: &SharedSteps,
    attempt: &Attempt,
    sums: &DataSums,
) -> Result<Option<TakenOver>, RunError> {
    match taken_over(folder, spec, shared, attempt, sums) {
        Ok(taken) => Ok(Some(taken)),
        Err(NotTaken::Since(reason)) => {
            let SharedSteps { run_id, step } = shared;
            // Goes to the run's log.
            eprintln!(
                "note: the first {step} steps, which run {run_id} trains too, are trained here as well: {reason}"
            );
            Ok(None)
        }
        Err(NotTaken::Failed(error)) => Err(error.into()),
    }
}

fn taken_over(
    folder: &RunFolder,
    spec: &RunSpec,
    shared: &SharedSteps,
    attempt: &Attempt,
    sums: &DataSums,
) -> Result<TakenOver, NotTaken> {
    let step = shared.step;
    let Some(sweep) = folder.sweep() else { return since("its folder is in no sweep's") };
    let other = sweep.run(&shared.run_id);
    let path = other.kept_state(step);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return since("it has kept no state of that step"),
        Err(error) => return Err(NotTaken::Failed(RecordError::io("read", &path)(error))),
    };
    let mut checkpoint = match Checkpoint::from_bytes(&bytes, model::parameter_count_for(spec)) {
        Ok(read) if read.is_verified && read.checkpoint.progress.stamp.step == step => read.checkpoint,
        Ok(_) => return since(format!("{} is no checkpoint of that step", path.display())),
        Err(error) => return since(format!("{}: {error}", path.display())),
    };
    if train::shared_steps(&other.read_spec()?.spec, spec) < step {
        return since("its settings are others");
    }
    let journal = read_journal(&other.journal())?;
    if let Some(damage) = journal.damage.first() {
        return since(format!("its record is damaged: {damage}"));
    }
    let mut events = effective_events(journal.events);
    let of_checkpoint = |(_, event): &(u32, RunEvent)| match event {
        RunEvent::Checkpointed { stamp, checkpoint: number, .. } => {
            (*stamp, *number) == (checkpoint.progress.stamp, checkpoint.progress.checkpoint)
        }
        _ => false,
    };
    let Some(end) = events.iter().position(of_checkpoint) else {
        return since("its record does not know the state that it has kept");
    };
    events.truncate(end + 1);
    same_attempts(&events, attempt, sums)?;
    let last = events.pop().map(|(_, event)| event);
    let is_earlier_checkpoint = |event: &RunEvent| matches!(event, RunEvent::Checkpointed { .. });
    let before = events.into_iter().map(|(_, event)| event);
    let mut events: Vec<RunEvent> =
        before.filter(|event| is_shared(event) && !is_earlier_checkpoint(event)).chain(last).collect();
    if let Some(densities) = train::densities_until(spec, step) {
        checkpoint.progress.densities = densities.len() as u64;
        events = with_densities(events, densities);
    }
    let files = files(&other, folder, spec, &events)?;
    Ok(TakenOver { shared: shared.clone(), events, checkpoint, files })
}

/// Whether the event is of the run, and not of an attempt at it.
fn is_shared(event: &RunEvent) -> bool {
    matches!(
        event,
        RunEvent::Trained { .. }
            | RunEvent::Evaluated { .. }
            | RunEvent::TimestepDensity { .. }
            | RunEvent::Checkpointed { .. }
    )
}

/// That every attempt which recorded some of the events was made as this one is, with the same program, device and data.
fn same_attempts(events: &[(u32, RunEvent)], attempt: &Attempt, sums: &DataSums) -> Result<(), NotTaken> {
    let counted: BTreeSet<u32> =
        events.iter().filter(|(_, event)| is_shared(event)).map(|(attempt, _)| *attempt).collect();
    let started = |event: &RunEvent| match event {
        RunEvent::Started(started) if counted.contains(&started.attempt) => Some(started.clone()),
        _ => None,
    };
    for theirs in events.iter().filter_map(|(_, event)| started(event)) {
        let Started { device, build, program, micro_batches, .. } = &theirs;
        if (device.as_str(), *micro_batches) != (attempt.label, attempt.micro_batches) {
            return since(format!("it was trained on another device, or in another way: {device}"));
        }
        if (program.as_str(), build.as_str()) != (PROGRAM, attempt.build) {
            return since("it was trained by another build of this program");
        }
        if recorded_sums(&theirs) != *sums {
            return since("its images were others");
        }
    }
    Ok(())
}

/// The events with these densities in the place of theirs: each where the run itself would have recorded it, after the step's loss and
/// before its evaluation.
fn with_densities(events: Vec<RunEvent>, densities: Vec<(u64, Vec<f64>)>) -> Vec<RunEvent> {
    let mut densities = densities.into_iter().peekable();
    let mut merged = Vec::with_capacity(events.len());
    for event in events {
        let Some(stamp) = event.stamp() else { continue };
        let is_after =
            |step: u64| step < stamp.step || step == stamp.step && !matches!(event, RunEvent::Trained { .. });
        while let Some((step, density)) = densities.next_if(|(step, _)| is_after(*step)) {
            merged.push(RunEvent::TimestepDensity { step, density });
        }
        merged.push(event);
    }
    merged
}

/// What the events name, and what is kept beside them.
fn files(
    other: &RunFolder,
    own: &RunFolder,
    spec: &RunSpec,
    events: &[RunEvent],
) -> Result<Vec<(PathBuf, PathBuf)>, NotTaken> {
    let mut files = Vec::new();
    for event in events {
        let RunEvent::Evaluated { stamp, samples, .. } = event else { continue };
        files.push((other.path.join(samples), own.path.join(samples)));
        if spec.evaluate.consistency.is_kept_at(stamp.step, spec.train.steps) {
            files.push((other.consistency(stamp.step), own.consistency(stamp.step)));
        }
    }
    let last = events.last().and_then(RunEvent::stamp).map_or(0, |stamp| stamp.step);
    let kept = (1..=last).filter(|&step| spec.train.post_hoc.is_kept_at(step, spec.train.steps));
    files.extend(kept.map(|step| (other.averages(step), own.averages(step))));
    match files.iter().find(|(from, _)| !from.is_file()) {
        Some((missing, _)) => since(format!("{} is not there", missing.display())),
        None => Ok(files),
    }
}

impl TakenOver {
    /// Copies the files that the events name: before the events, so that no record names a file that is not there.
    pub fn copy_files(&self) -> Result<(), RecordError> {
        for (from, to) in &self.files {
            write_beside(to, &fs::read(from).map_err(RecordError::io("read", from))?)?;
        }
        Ok(())
    }
}
