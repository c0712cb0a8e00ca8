//! One run by a trainer of the user's own, from start to finish.

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use serde_json::json;

use super::asked::Asked;
use super::before::Before;
use super::conversation::{Act, Conversation};
use super::pipe::EventPipe;
use super::process::{TrainerProcess, note};
use super::said::{Said, said};
use crate::checksum::{InputError, changed_inputs};
use crate::data::{self, DataFolder};
use crate::device::DeviceName;
use crate::evaluate::{EvaluateError, Evaluation, Evaluator, FrechetError, GeneratedError, read_generated};
use crate::event::{Phase, RunEvent, RunOutcome, Stamp};
use crate::record::{Journal, RecordError, RunFolder};
use crate::run::{self, RunError, SignsOfLife, Taken};
use crate::spec::{PlannedRun, RunSpec, Trainer};
use crate::twin;

/// Between two looks at the process and at whoever may ask to stop.
const LOOK: Duration = Duration::from_millis(50);
/// How long a trainer may take to exit after it said how it ended.
const EXIT_GRACE: Duration = Duration::from_secs(30);
/// Without a line, after its pipe was asked to end behind what is in it.
const PIPE_GRACE: Duration = Duration::from_secs(10);
/// Lines that may wait; a trainer that says more is held up.
const BACKLOG: usize = 1024;
/// Lines that are no events are shown so often.
const MOST_SHOWN: usize = 10;
const SHOWN_CHARACTERS: usize = 200;

/// Where an attempt is made.
pub struct ExternalAttempt<'a> {
    pub device: DeviceName,
    /// The device as the record names it.
    pub label: &'a str,
    /// The first digits of this program's SHA-256.
    pub build: &'a str,
    pub threads: usize,
    /// The parts in which a batch should be computed, where the trainer can: more where one did not fit into memory.
    pub micro_batches: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("cannot {doing}: {source}")]
    Io { doing: &'static str, source: io::Error },
}

impl From<RecordError> for ExternalError {
    fn from(error: RecordError) -> Self {
        Self::Run(error.into())
    }
}

/// Does the run whose folder was prepared, or what is left of it, by its trainer, and tells its parent every event.
///
/// `Ended` is told last, when everything is on disk and nothing of the trainer is left running.
pub fn execute(
    folder: &RunFolder,
    attempt: &ExternalAttempt,
    data_folder: &DataFolder,
    stop_asked: &dyn Fn() -> bool,
    tell_parent: &dyn Fn(&RunEvent),
) -> Result<RunOutcome, ExternalError> {
    let (planned, _lock) = match run::take_over(folder, stop_asked, tell_parent)? {
        Taken::Now(planned, lock) => (planned, lock),
        Taken::HasEnded(outcome) => return Ok(outcome),
    };
    let trainer = planned.spec.trainer.as_ref().expect("the caller has seen the trainer");
    let before = Before::of(folder, attempt, trainer)?;
    let mut journal = Journal::open(&folder.journal())?;
    let mut session = Session {
        conversation: Conversation::new(&planned, before),
        spec: &planned.spec,
        folder,
        data_folder,
        journal: &mut journal,
        stop_asked,
        tell_parent,
        evaluator: None,
        no_events: 0,
        life: SignsOfLife::new(tell_parent),
    };
    let outcome = match unfit_inputs(trainer) {
        Some(reason) => RunOutcome::Crashed { reason },
        None => session.converse(&planned, trainer, attempt)?,
    };
    let stamp = session.conversation.stamp();
    let ended = RunEvent::Ended { stamp, outcome: outcome.clone() };
    run::conclude(folder, &planned, &mut journal, &ended).map_err(RunError::from)?;
    tell_parent(&ended);
    Ok(outcome)
}

/// The trainer that comes with the program, unpacked into a folder that the run removes, as a command.
fn with_twin(trainer: &Trainer, folder: &Path) -> io::Result<Trainer> {
    let main = twin::unpack(&folder.join(twin::NAME))?;
    Ok(Trainer { command: vec![twin::python(), main.to_string_lossy().into_owned()], ..trainer.clone() })
}

/// Why the trainer's inputs are not those of the plan.
fn unfit_inputs(trainer: &Trainer) -> Option<String> {
    if trainer.is_torch() {
        let is_known = trainer.digests.get(twin::NAME).is_some_and(|digest| *digest == twin::digest());
        let reason = "the trainer in PyTorch that comes with this speedlab is another than the one that the sweep was planned with";
        return (!is_known).then(|| format!("{reason}\nhint: plan the sweep again: the runs then have other ids"));
    }
    match changed_inputs(&trainer.digests) {
        Ok(changed) if changed.is_empty() => None,
        Ok(changed) => Some(format!(
            "changed since the sweep was planned: {}\nhint: put back the earlier contents, or plan the sweep again: the runs then have other ids",
            changed.join(", ")
        )),
        Err(InputError::Io { path, source }) => {
            Some(format!("the trainer's input {} cannot be read: {source}", path.display()))
        }
        Err(error) => Some(error.to_string()),
    }
}

struct Session<'s> {
    conversation: Conversation<'s>,
    spec: &'s RunSpec,
    folder: &'s RunFolder,
    data_folder: &'s DataFolder,
    journal: &'s mut Journal,
    stop_asked: &'s dyn Fn() -> bool,
    tell_parent: &'s dyn Fn(&RunEvent),
    /// Made when images are first to be measured.
    evaluator: Option<Evaluator>,
    /// Lines that were none.
    no_events: usize,
    life: SignsOfLife<'s>,
}

/// How a run ends.
enum Verdict {
    /// The trainer says so, and is about to exit.
    Stated(RunOutcome),
    /// Whatever its trainer still does.
    Ours(RunOutcome),
}

impl Session<'_> {
    fn converse(
        &mut self,
        planned: &PlannedRun,
        trainer: &Trainer,
        attempt: &ExternalAttempt,
    ) -> Result<RunOutcome, ExternalError> {
        let io = |doing| move |source| ExternalError::Io { doing, source };
        let (sender, lines) = sync_channel(BACKLOG);
        // Sending fails only when this conversation is over.
        let hear = move |line: &str| drop(sender.send(line.to_owned()));
        let pipe = EventPipe::open(planned.run_id.as_str(), hear).map_err(io("make the pipe of events"))?;
        let asked = Asked { folder: self.folder, data_folder: self.data_folder, attempt, events: pipe.path() };
        let environment = asked.write(planned, &self.conversation)?;
        self.life.sign(self.conversation.stamp(), Phase::Preparing);
        let began = Instant::now();
        let unpacked = if trainer.is_torch() {
            Some(with_twin(trainer, pipe.folder()).map_err(io("unpack the trainer"))?)
        } else {
            None
        };
        let trainer = unpacked.as_ref().unwrap_or(trainer);
        let mut process = match TrainerProcess::start(trainer, &environment) {
            Ok(process) => process,
            Err(error) => {
                let reason = format!("its trainer `{}` cannot be started: {error}", trainer.in_words());
                return Ok(RunOutcome::Crashed { reason });
            }
        };
        let heard = self.listen(&mut process, &lines, &pipe, trainer, began);
        let status = process.end().map_err(io("wait for the trainer"));
        drop(lines);
        if self.no_events > 0 {
            note(&format!("{} lines of the trainer were no events", self.no_events));
        }
        let (outcome, was_asked) = heard?;
        let status = status?;
        Ok(match (outcome, was_asked) {
            // Gone on from its last checkpoint, it would do the same again, for ever.
            (Some(RunOutcome::Interrupted { .. }), false) if !(self.stop_asked)() => {
                let step = self.conversation.stamp().step;
                let reason = format!("its trainer said `interrupted` at step {step}, and nobody had asked it to stop");
                RunOutcome::Crashed { reason }
            }
            (Some(outcome), _) => outcome,
            (None, true) => {
                let reason = format!("its trainer was asked to stop and ended without a word ({status})");
                RunOutcome::Interrupted { reason }
            }
            (None, false) => process.death(status),
        })
    }

    /// Hears the trainer until it has ended or has to be ended. How it ends, where that is known; whether it was asked to.
    fn listen(
        &mut self,
        process: &mut TrainerProcess,
        lines: &Receiver<String>,
        pipe: &EventPipe,
        trainer: &Trainer,
        began: Instant,
    ) -> Result<(Option<RunOutcome>, bool), ExternalError> {
        let io = |doing| move |source| ExternalError::Io { doing, source };
        let mut asked_at: Option<Instant> = None;
        let mut stated: Option<(RunOutcome, Instant)> = None;
        // The process is gone, and the pipe was asked to end behind what is in it.
        let mut last_look: Option<Instant> = None;
        loop {
            let said = lines.recv_timeout(LOOK);
            if said.is_ok() && last_look.is_some() {
                last_look = Some(Instant::now());
            }
            match said {
                // Nothing follows what it said last.
                Ok(_) if stated.is_some() => {}
                Ok(line) => match self.hear(&line, process, began)? {
                    Some(Verdict::Stated(outcome)) => stated = Some((outcome, Instant::now())),
                    Some(Verdict::Ours(outcome)) => return Ok((Some(outcome), asked_at.is_some())),
                    None => {}
                },
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if process.has_printed() {
                self.life.sign(self.conversation.stamp(), Phase::Training);
            }
            if asked_at.is_none() && stated.is_none() && last_look.is_none() && (self.stop_asked)() {
                process.ask_to_stop();
                asked_at = Some(Instant::now());
            }
            if let Some(at) = asked_at
                && stated.is_none()
                && at.elapsed().as_secs_f64() > trainer.stop_grace
            {
                let reason = format!(
                    "its trainer did not stop within {} s of SIGTERM and was killed; it goes on from the last checkpoint it announced",
                    trainer.stop_grace
                );
                return Ok((Some(RunOutcome::Interrupted { reason }), true));
            }
            if let Some((outcome, at)) = &stated
                && at.elapsed() > EXIT_GRACE
            {
                return Ok((Some(outcome.clone()), asked_at.is_some()));
            }
            match last_look {
                None if process.exit().map_err(io("look at the trainer"))?.is_some() => {
                    // What it started may write on; nothing of it counts.
                    process.end().map_err(io("wait for the trainer"))?;
                    pipe.end().map_err(io("end the pipe of events"))?;
                    last_look = Some(Instant::now());
                }
                Some(at) if at.elapsed() > PIPE_GRACE => break,
                _ => {}
            }
        }
        Ok((stated.map(|(outcome, _)| outcome), asked_at.is_some()))
    }

    /// Takes a line; how the run ends, if it says so or must.
    fn hear(
        &mut self,
        line: &str,
        process: &mut TrainerProcess,
        began: Instant,
    ) -> Result<Option<Verdict>, ExternalError> {
        let said: Said = match said(line) {
            Ok(said) => said,
            Err(reason) => {
                self.no_events += 1;
                if self.no_events <= MOST_SHOWN {
                    let shown: String = line.chars().take(SHOWN_CHARACTERS).flat_map(char::escape_debug).collect();
                    note(&format!("a line of the trainer is no event, {reason}: {shown}"));
                }
                return Ok(None);
            }
        };
        let mut acts = Vec::new();
        let heard = self.conversation.hear(said, began.elapsed().as_secs_f64(), &mut acts);
        for act in acts {
            match act {
                Act::Record(event) => {
                    self.journal.append(&event).map_err(RunError::from)?;
                    if matches!(event, RunEvent::Checkpointed { .. }) {
                        self.journal.sync().map_err(RunError::from)?;
                    }
                    (self.tell_parent)(&event);
                }
                Act::Progress { stamp, loss } => self.life.progress(stamp, loss, Phase::Training),
                Act::Measure { stamp, path, as_asked } => {
                    if let Some(outcome) = self.measure(stamp, Path::new(&path), as_asked, process)? {
                        return Ok(Some(Verdict::Ours(outcome)));
                    }
                }
                Act::End(outcome) => return Ok(Some(Verdict::Stated(outcome))),
            }
        }
        Ok(heard.err().map(Verdict::Ours))
    }

    /// Measures images by the sweep's protocol, and tells the trainer what was found.
    fn measure(
        &mut self,
        stamp: Stamp,
        path: &Path,
        as_asked: bool,
        process: &mut TrainerProcess,
    ) -> Result<Option<RunOutcome>, ExternalError> {
        let began = Instant::now();
        let found = self.evaluation(path, as_asked);
        self.conversation.measured_for(began.elapsed().as_secs_f64());
        let Evaluation { measures, grid_png, .. } = match found {
            Ok(evaluation) => evaluation,
            Err(MeasureError::Evaluate(EvaluateError::Frechet { error: FrechetError::NotFinite { .. }, .. })) => {
                let reason = format!("features of the images of step {} are not finite", stamp.step);
                return Ok(Some(RunOutcome::Diverged { reason }));
            }
            Err(error) => {
                let reason = format!("the images of step {} cannot be measured: {error}", stamp.step);
                return Ok(Some(RunOutcome::Crashed { reason }));
            }
        };
        let values: serde_json::Map<_, _> =
            measures.iter().map(|measure| (measure.metric.to_string(), json!(measure.value))).collect();
        if let Some(measure) = measures.iter().find(|measure| !measure.value.is_finite()) {
            let reason = format!("{} at step {} is {}", measure.metric, stamp.step, measure.value);
            return Ok(Some(RunOutcome::Diverged { reason }));
        }
        let samples = RunFolder::sample_grid(stamp.step);
        self.folder.write_samples(&samples, &grid_png)?;
        let event = RunEvent::Evaluated { stamp, measures, samples };
        self.journal.append(&event).map_err(RunError::from)?;
        (self.tell_parent)(&event);
        process.tell(&json!({ "event": "measured", "step": stamp.step, "measures": values }).to_string());
        Ok(None)
    }

    fn evaluation(&mut self, path: &Path, as_asked: bool) -> Result<Evaluation, MeasureError> {
        let stamp = self.conversation.stamp();
        let life = &mut self.life;
        let mut works = || life.sign(stamp, Phase::Evaluating);
        let evaluator = match &self.evaluator {
            Some(evaluator) => evaluator,
            None => {
                let dataset = data::load_for(self.spec, self.data_folder, &mut |_| works())?;
                let made = Evaluator::new(self.spec, &dataset, self.data_folder, &mut works)?;
                self.evaluator.insert(made)
            }
        };
        if self.spec.data.latents().is_some_and(|latents| latents.decoder.is_empty()) {
            return Err(EvaluateError::NoDecoder.into());
        }
        let images = read_generated(path, self.spec.evaluate.fid.samples, self.spec.data.picture_shape())?;
        // A wish to stop waits until it is measured: the trainer goes on from behind this evaluation.
        Ok(evaluator.measure_images(&images, as_asked, &mut || {
            works();
            true
        })?)
    }
}

/// Why images were not measured.
#[derive(Debug, thiserror::Error)]
enum MeasureError {
    #[error(transparent)]
    Images(#[from] GeneratedError),
    #[error(transparent)]
    Data(#[from] data::DataError),
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
}
