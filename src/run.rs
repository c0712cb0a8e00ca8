//! One run from start to finish: train, evaluate, record.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use burn::tensor::Device;
use sha2::{Digest as _, Sha256};

use crate::data::{self, DataError, DataFolder};
use crate::evaluate::{EvaluateError, Evaluator, level};
use crate::event::{EVENT_VERSION, Measure, Phase, RunEvent, RunOutcome, Stamp, Started};
use crate::model::{self, Network};
use crate::record::{
    ConsistencyImages, Journal, Lock, RecordError, Rows, RunFolder, effective_events, host_name, read_journal,
    write_beside, write_curves,
};
use crate::spec::{Consistency, PlannedRun, RunId, RunSpec};
use crate::train::{self, AverageSnapshot, Checkpoint, CheckpointError, Host, HostError, Stopwatch};

/// The program as it names itself in records.
pub const PROGRAM: &str = concat!("speedlab ", env!("CARGO_PKG_VERSION"));

/// The first twelve digits of the SHA-256 of the file that this program was started from: what tells two builds of one version
/// apart. On Linux also right after the file was replaced.
pub fn build_of_this_program() -> io::Result<String> {
    let running = Path::new("/proc/self/exe");
    let path = if running.exists() { running.to_owned() } else { std::env::current_exe()? };
    // It is mapped by the system already; reading it whole costs its size in memory for a moment.
    Ok(Sha256::digest(fs::read(path)?).iter().take(6).map(|byte| format!("{byte:02x}")).collect())
}

/// A run waits this often, this long, for its folder: two and a half minutes, more than a run without a parent lives on.
const LOCK_PAUSES: u32 = 3000;
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// Pauses between two attempts to wake the process that holds the folder.
const WAKE_PAUSES: u32 = 20;

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

/// Where and by what an attempt is made.
pub struct Attempt<'a> {
    pub device: &'a Device,
    /// The device as the record names it.
    pub label: &'a str,
    /// The first digits of the program file's SHA-256.
    pub build: &'a str,
    /// The parts in which each batch is computed: see [`train::Trainer::new`].
    pub micro_batches: usize,
}

/// Does the run whose folder was prepared, or what is left of it, and tells its parent every event.
///
/// Images are in `data_folder`. When `stop_asked` says so, the run writes a checkpoint and ends as `Interrupted`. `Ended` is told
/// last, when everything is on disk.
pub fn execute(
    folder: &RunFolder,
    attempt: &Attempt,
    data_folder: &DataFolder,
    stop_asked: &dyn Fn() -> bool,
    tell_parent: &dyn Fn(&RunEvent),
) -> Result<RunOutcome, RunError> {
    let (planned, _lock) = match take_over(folder, stop_asked, tell_parent)? {
        Taken::Now(planned, lock) => (planned, lock),
        Taken::HasEnded(outcome) => return Ok(outcome),
    };
    let preparing = Stopwatch::continuing(&Stamp::default());
    let spec = &planned.spec;
    let mut life = SignsOfLife::new(tell_parent);
    let dataset = data::load_for(spec, data_folder, &mut |_| life.sign(Stamp::default(), Phase::Preparing))?;
    let checkpoint = read_checkpoint(folder, model::parameter_count(&spec.model, spec.data.shape()))?;
    let mut prepared = || life.sign(Stamp::default(), Phase::Preparing);
    let evaluator = Evaluator::on_device(spec, &dataset, data_folder, attempt.device, &mut prepared)?;

    let (_, attempts) = recorded(folder)?;
    let journal = Journal::open(&folder.journal())?;
    let last_stamp = Stamp::default();
    let mut host = RecordingHost { folder, spec, journal, evaluator, stop_asked, life, last_stamp };
    host.event(started(&planned.run_id, attempts + 1, checkpoint.as_ref(), attempt))?;
    let Attempt { device, micro_batches, .. } = *attempt;
    let (outcome, stamp) = train::train(spec, &dataset, device, checkpoint, micro_batches, preparing, &mut host)?;

    let ended = RunEvent::Ended { stamp, outcome: outcome.clone() };
    conclude(folder, &planned, &mut host.journal, &ended)?;
    tell_parent(&ended);
    Ok(outcome)
}

/// A run that this process is to do, and holds; or how it has ended already.
pub(crate) enum Taken {
    Now(Box<PlannedRun>, Lock),
    HasEnded(RunOutcome),
}

/// Takes the run whose folder was prepared. The parent is told of one that has ended.
pub(crate) fn take_over(
    folder: &RunFolder,
    stop_asked: &dyn Fn() -> bool,
    tell_parent: &dyn Fn(&RunEvent),
) -> Result<Taken, RecordError> {
    let planned = folder.read_spec()?;
    let lock = take(folder, stop_asked)?;
    folder.remove_half_written()?;
    Ok(match folder.read_done()? {
        None => Taken::Now(Box::new(planned), lock),
        Some(outcome) => {
            tell_parent(&RunEvent::Ended { stamp: Stamp::default(), outcome: outcome.clone() });
            Taken::HasEnded(outcome)
        }
    })
}

/// The events recorded of a run, whose record must be whole, and the number of attempts.
pub(crate) fn recorded(folder: &RunFolder) -> Result<(Vec<RunEvent>, u32), RecordError> {
    let earlier = read_journal(&folder.journal())?;
    if let Some(damage) = earlier.damage.first() {
        return Err(RecordError::Damaged { path: folder.journal(), reason: damage.clone() });
    }
    let attempts = earlier.events.iter().filter(|event| matches!(event, RunEvent::Started(_))).count();
    Ok((earlier.events, attempts as u32))
}

/// Records the end of an attempt, and of the run where that is final.
pub(crate) fn conclude(
    folder: &RunFolder,
    planned: &PlannedRun,
    journal: &mut Journal,
    ended: &RunEvent,
) -> Result<(), RecordError> {
    journal.append(ended)?;
    journal.sync()?;
    if let RunEvent::Ended { outcome, .. } = ended
        && outcome.is_final()
    {
        let events = effective_events(read_journal(&folder.journal())?.events);
        write_curves(&folder.curves(), [(planned, &Rows::of(&events))])?;
        folder.write_done(outcome)?;
    }
    Ok(())
}

/// Lets a process go on that was stopped: a child whose parent died while it was stopped holds its run until it can see that.
#[cfg(unix)]
fn wake(holder: &str) {
    use rustix::process::{Pid, Signal, kill_process};
    let words: Vec<&str> = holder.split_whitespace().collect();
    if let ["process", process, "on", host] = words[..]
        && host == host_name()
        && let Some(process) = process.parse().ok().and_then(Pid::from_raw)
    {
        // It fails for a process that is gone or another user's; then there is nothing to wake, or nothing to be done.
        let _ = kill_process(process, Signal::CONT);
    }
}

/// Processes are not stopped there.
#[cfg(not(unix))]
fn wake(_: &str) {}

/// Takes the run. A child whose parent was just killed may still hold it while it writes its last checkpoint.
fn take(folder: &RunFolder, stop_asked: &dyn Fn() -> bool) -> Result<Lock, RecordError> {
    let mut pauses = 0;
    loop {
        match folder.lock() {
            Err(RecordError::Held { holder, .. }) if pauses < LOCK_PAUSES && !stop_asked() => {
                if pauses % WAKE_PAUSES == 0 {
                    wake(&holder);
                }
                thread::sleep(LOCK_PAUSE);
                pauses += 1;
            }
            taken_or_failed => return taken_or_failed,
        }
    }
}

fn started(run_id: &RunId, number: u32, checkpoint: Option<&Checkpoint>, attempt: &Attempt) -> RunEvent {
    RunEvent::Started(Started {
        version: EVENT_VERSION,
        run_id: run_id.clone(),
        attempt: number,
        from_checkpoint: checkpoint.map_or(0, |checkpoint| checkpoint.progress.checkpoint),
        from_step: checkpoint.map_or(0, |checkpoint| checkpoint.progress.stamp.step),
        program: PROGRAM.to_owned(),
        device: attempt.label.to_owned(),
        started_at: jiff::Timestamp::now().to_string(),
        build: attempt.build.to_owned(),
        micro_batches: attempt.micro_batches,
    })
}

/// Said of a checkpoint without a checksum.
pub fn unverified(path: &Path) -> String {
    format!("{} was written by an older speedlab without a checksum; whether it is whole is not known", path.display())
}

fn read_checkpoint(folder: &RunFolder, parameter_count: usize) -> Result<Option<Checkpoint>, RunError> {
    let path = folder.checkpoint();
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(RecordError::Io { action: "read", path, source }.into()),
    };
    match Checkpoint::from_bytes(&bytes, parameter_count) {
        Ok(read) => {
            if !read.is_verified {
                // Goes to the run's log.
                eprintln!("note: {}", unverified(&path));
            }
            Ok(Some(read.checkpoint))
        }
        Err(source) => Err(RunError::Checkpoint { path, source }),
    }
}

/// Tells the parent now and then that a run works: who is silent for long is taken for stuck, and an evaluation may take long.
pub(crate) struct SignsOfLife<'a> {
    tell_parent: &'a dyn Fn(&RunEvent),
    clock: Stopwatch,
    /// When the last was told, on that clock.
    told_at: f64,
}

impl<'a> SignsOfLife<'a> {
    /// Seconds between two of them, at least.
    const PAUSE: f64 = 0.5;

    pub fn new(tell_parent: &'a dyn Fn(&RunEvent)) -> Self {
        Self { tell_parent, clock: Stopwatch::continuing(&Stamp::default()), told_at: f64::NEG_INFINITY }
    }

    /// Called wherever work goes on; tells it if it is time.
    pub fn sign(&mut self, stamp: Stamp, phase: Phase) {
        self.progress(stamp, None, phase);
    }

    /// The same with the last loss.
    pub fn progress(&mut self, stamp: Stamp, loss: Option<f64>, phase: Phase) {
        let now = self.clock.wall_seconds();
        if now - self.told_at >= Self::PAUSE {
            self.told_at = now;
            (self.tell_parent)(&RunEvent::Progress { stamp, loss, phase });
        }
    }
}

/// Records what a run says, and passes it on to the parent process.
struct RecordingHost<'a> {
    folder: &'a RunFolder,
    spec: &'a RunSpec,
    journal: Journal,
    evaluator: Evaluator,
    stop_asked: &'a dyn Fn() -> bool,
    life: SignsOfLife<'a>,
    /// The stamp of the last event that had one.
    last_stamp: Stamp,
}

impl Host for RecordingHost<'_> {
    fn event(&mut self, event: RunEvent) -> Result<(), HostError> {
        if !matches!(event, RunEvent::Progress { .. }) {
            self.journal.append(&event).map_err(failed)?;
        }
        self.last_stamp = event.stamp().unwrap_or(self.last_stamp);
        (self.life.tell_parent)(&event);
        Ok(())
    }

    fn evaluate(&mut self, averaged: &Network, raw: &Network, step: u64) -> Result<(Vec<Measure>, String), HostError> {
        let (life, stamp, stop_asked) = (&mut self.life, self.last_stamp, self.stop_asked);
        let mut goes_on = |_: f64| {
            life.sign(stamp, Phase::Evaluating);
            !stop_asked()
        };
        let mut evaluation = self.evaluator.evaluate(averaged, raw, &mut goes_on).map_err(not_measured)?;
        let samples = RunFolder::sample_grid(step);
        self.folder.write_samples(&samples, &evaluation.grid_png).map_err(failed)?;
        if self.spec.evaluate.difficulty.is_measured_at(step, self.spec.train.steps) {
            let difficulty = self.evaluator.difficulty(self.spec, averaged, raw, &mut goes_on);
            evaluation.measures.extend(difficulty.map_err(not_measured)?);
        }
        let consistency = &self.spec.evaluate.consistency;
        if consistency.is_kept_at(step, self.spec.train.steps) {
            let (channels, side) = self.spec.data.picture_shape();
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

    fn keep(&mut self, averages: &AverageSnapshot) -> Result<(), HostError> {
        write_beside(&self.folder.averages(averages.step), &averages.to_bytes()).map_err(failed)
    }

    fn stop_asked(&self) -> bool {
        (self.stop_asked)()
    }
}

fn not_measured(error: EvaluateError) -> HostError {
    match error {
        EvaluateError::Stopped => HostError::Stopped,
        EvaluateError::NotFinite { .. } => HostError::NotFinite(error.to_string()),
        _ => failed(error),
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> HostError {
    HostError::Failed(Box::new(error))
}
