//! Turns the lines of a trainer into the events of a run. Pure: time is passed in.

use super::before::{Announced, Before};
use super::said::{Moment, Outcome, Said};
use crate::event::{EVENT_VERSION, Measure, Name, RunEvent, RunOutcome, Stamp, Started};
use crate::spec::{MEASURED_BY_TRAINER, PlannedRun};

/// What a trainer's word comes to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Act {
    /// An event to record.
    Record(RunEvent),
    /// It trains, which the parent is told now and then.
    Progress { stamp: Stamp, loss: Option<f64> },
    /// Generated images to measure.
    Measure { stamp: Stamp, path: String, as_asked: bool },
    /// It has said how it ended.
    End(RunOutcome),
}

/// One attempt, as far as it has been heard.
pub(super) struct Conversation<'r> {
    run: &'r PlannedRun,
    before: Before,
    /// Where this attempt began; `None` until it says so.
    begun: Option<Begun>,
    stamp: Stamp,
    /// Of the steps since the last recorded mean.
    losses: Vec<f64>,
    recorded_step: u64,
    /// Seconds in which Speedlab measured for it.
    measuring_seconds: f64,
}

struct Begun {
    /// Seconds since the process was started.
    at: f64,
    from: Stamp,
}

impl<'r> Conversation<'r> {
    pub fn new(run: &'r PlannedRun, before: Before) -> Self {
        Self {
            run,
            begun: None,
            stamp: before.last,
            before,
            losses: Vec::new(),
            recorded_step: 0,
            measuring_seconds: 0.0,
        }
    }

    /// Where it is, as it last said.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The checkpoints that it may go on from.
    pub fn announced(&self) -> impl Iterator<Item = &Stamp> {
        self.before.announced.iter().map(|announced| &announced.stamp)
    }

    /// Leaves time out of the clocks.
    pub fn measured_for(&mut self, seconds: f64) {
        self.measuring_seconds += seconds;
    }

    /// `now`: seconds since the process was started. What is to be done is added to `acts`, also where the run ends, as the error says.
    pub fn hear(&mut self, said: Said, now: f64, acts: &mut Vec<Act>) -> Result<(), RunOutcome> {
        match said {
            Said::Started { from_step, seed, device } => {
                if self.begun.is_some() {
                    return Err(broken("it said `started` twice"));
                }
                let own = self.run.spec.seed;
                if let Some(seed) = seed.filter(|seed| *seed != own) {
                    return Err(broken(format!("it started with seed {seed}, and the run's seed is {own}")));
                }
                self.begin(from_step, device.as_deref(), now, acts)?;
            }
            Said::Progress { at, loss, gradient_norm, learning_rate, beta1 } => {
                let stamp = self.move_to(&at, now, acts)?;
                if let Some(loss) = loss {
                    if !loss.is_finite() {
                        let reason = format!("the loss at step {} is {loss}", at.step);
                        return Err(RunOutcome::Diverged { reason });
                    }
                    self.losses.push(loss);
                    if at.step / self.run.spec.train.log_every > self.recorded_step / self.run.spec.train.log_every {
                        let losses = std::mem::take(&mut self.losses);
                        let loss = losses.iter().sum::<f64>() / losses.len() as f64;
                        self.recorded_step = at.step;
                        let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
                        acts.push(Act::Record(RunEvent::Trained {
                            stamp,
                            loss,
                            gradient_norm: finite(gradient_norm),
                            learning_rate: finite(learning_rate),
                            beta1: finite(beta1),
                            wait_seconds: None,
                            device_utilization: None,
                        }));
                    }
                }
                acts.push(Act::Progress { stamp, loss });
            }
            Said::Measured { at, protocol, measures } => {
                let stamp = self.move_to(&at, now, acts)?;
                if let Some((name, value)) = measures.iter().find(|(_, value)| !value.is_finite()) {
                    return Err(RunOutcome::Diverged { reason: format!("{name} at step {} is {value}", at.step) });
                }
                let protocol = Name::from(own_protocol(&protocol));
                let measure = |(metric, value): (String, f64)| Measure {
                    metric: metric.into(),
                    protocol: protocol.clone(),
                    value,
                };
                let measures = measures.into_iter().map(measure).collect();
                acts.push(Act::Record(RunEvent::Evaluated { stamp, measures, samples: String::new() }));
            }
            Said::Samples { at, path, as_asked } => {
                let stamp = self.move_to(&at, now, acts)?;
                acts.push(Act::Measure { stamp, path, as_asked });
            }
            Said::Checkpointed { at } => {
                let stamp = self.move_to(&at, now, acts)?;
                let checkpoint = self.before.next_checkpoint;
                self.before.next_checkpoint += 1;
                acts.push(Act::Record(RunEvent::Checkpointed { stamp, checkpoint, losses: self.losses.clone() }));
            }
            Said::Ended { outcome, reason } => {
                acts.push(Act::End(self.end(outcome, reason)?));
            }
        }
        Ok(())
    }

    fn end(&self, outcome: Outcome, reason: String) -> Result<RunOutcome, RunOutcome> {
        let (step, steps) = (self.stamp.step, self.run.spec.train.steps);
        // A terminal would obey control characters in it.
        let reason: String = reason.lines().map(one_line).collect::<Vec<_>>().join("\n");
        let reason = |otherwise: &str| if reason.trim().is_empty() { otherwise.to_owned() } else { reason.clone() };
        Ok(match outcome {
            Outcome::Completed if step < steps => {
                return Err(broken(format!(
                    "it said `completed` at step {step} of the {steps} planned in `train.steps`"
                )));
            }
            Outcome::Completed => RunOutcome::Completed,
            Outcome::Diverged => RunOutcome::Diverged { reason: reason("its trainer says so") },
            Outcome::Interrupted => RunOutcome::Interrupted { reason: reason("stopped") },
            Outcome::OutOfMemory => RunOutcome::OutOfMemory { reason: reason("its trainer says so") },
        })
    }

    /// The event of an attempt that goes on from `from_step`.
    fn begin(&mut self, from_step: u64, device: Option<&str>, now: f64, acts: &mut Vec<Act>) -> Result<(), RunOutcome> {
        let (announced, last) = (&self.before.announced, self.before.last);
        let known = announced.iter().rev().find(|announced| announced.stamp.step == from_step);
        let (from_checkpoint, from) = match known {
            _ if from_step == 0 => (0, Stamp::default()),
            Some(Announced { number, stamp, losses, recorded_step }) => {
                // Means go on where they were: a mean is over the same steps whether a run was stopped or not.
                self.losses = losses.clone();
                self.recorded_step = *recorded_step;
                (*number, *stamp)
            }
            // It was killed between writing a checkpoint and saying so, and nothing was heard after it.
            None if from_step >= last.step && from_step <= self.run.spec.train.steps && self.before.attempt > 1 => {
                let number = self.before.next_checkpoint;
                self.before.next_checkpoint += 1;
                let stamp = Stamp { step: from_step, ..last };
                self.recorded_step = from_step;
                acts.push(Act::Record(RunEvent::Checkpointed { stamp, checkpoint: number, losses: Vec::new() }));
                (number, stamp)
            }
            None => {
                let steps: Vec<String> = announced.iter().map(|announced| announced.stamp.step.to_string()).collect();
                let steps = if steps.is_empty() { "none".to_owned() } else { steps.join(", ") };
                return Err(broken(format!(
                    "it goes on from step {from_step}, and the checkpoints it announced are of steps: {steps}\nhint: say `checkpointed` \
                     right after each checkpoint is written; or remove its checkpoints to train this run from the start"
                )));
            }
        };
        // The label stays that of the device which Speedlab gave it, so that times of equal devices compare.
        let program = device.map_or_else(
            || self.before.program.clone(),
            |device| format!("{}, on {}", self.before.program, one_line(device)),
        );
        acts.push(Act::Record(RunEvent::Started(Started {
            version: EVENT_VERSION,
            run_id: self.run.run_id.clone(),
            attempt: self.before.attempt,
            from_checkpoint,
            from_step,
            shared_from: None,
            program,
            device: self.before.label.clone(),
            started_at: jiff::Timestamp::now().to_string(),
            build: self.before.build.clone(),
            micro_batches: self.before.micro_batches,
            // What a trainer of the user's reads is not known.
            data_sha256: String::new(),
            decoder_sha256: String::new(),
        })));
        self.stamp = Stamp { setup_seconds: from.setup_seconds + now, wall_seconds: from.wall_seconds + now, ..from };
        self.begun = Some(Begun { at: now, from });
        Ok(())
    }

    /// The stamp of what was said at a moment, which may not lie before what was said already.
    fn move_to(&mut self, at: &Moment, now: f64, acts: &mut Vec<Act>) -> Result<Stamp, RunOutcome> {
        if self.begun.is_none() {
            // Taken for a start from nothing, it would make void all that was recorded.
            if self.before.last.step > 0 {
                return Err(broken("it goes on without having said `started` and from which step"));
            }
            self.begin(0, None, now, acts)?;
        }
        let begun = self.begun.as_ref().expect("begun above");
        let (last, train) = (self.stamp, &self.run.spec.train);
        if at.step < last.step {
            return Err(broken(format!("it reported step {} after step {}", at.step, last.step)));
        }
        if at.step > train.steps {
            return Err(broken(format!(
                "it reported step {} of the {} planned in `train.steps`",
                at.step, train.steps
            )));
        }
        let images_seen = at.images_seen.unwrap_or(train.images_after(at.step));
        if images_seen < last.images_seen {
            return Err(broken(format!("it reported {images_seen} images seen after {}", last.images_seen)));
        }
        let of_its_clock = (now - begun.at - self.measuring_seconds).max(0.0);
        let train_seconds = at.train_seconds.unwrap_or(begun.from.train_seconds + of_its_clock);
        self.stamp = Stamp {
            step: at.step,
            images_seen,
            // Two clocks may differ by the time that a line takes.
            train_seconds: train_seconds.max(last.train_seconds),
            eval_seconds: at
                .eval_seconds
                .unwrap_or(begun.from.eval_seconds + self.measuring_seconds)
                .max(last.eval_seconds),
            wall_seconds: begun.from.wall_seconds + now,
            ..last
        };
        Ok(self.stamp)
    }
}

/// The protocol of what a trainer measured itself: never that of a value that Speedlab measured.
fn own_protocol(said: &str) -> String {
    match one_line(said).trim() {
        "" => MEASURED_BY_TRAINER.to_owned(),
        said => format!("{MEASURED_BY_TRAINER}: {said}"),
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The end of a run whose trainer breaks a rule.
fn broken(rule: impl Into<String>) -> RunOutcome {
    RunOutcome::Crashed { reason: format!("its trainer breaks a rule: {}", rule.into()) }
}

#[cfg(test)]
mod tests;
