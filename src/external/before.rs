//! The records of a run's earlier attempts, as far as the next attempt needs them.

use super::ExternalAttempt;
use crate::event::{RunEvent, Stamp};
use crate::record::{RecordError, RunFolder, effective_events};
use crate::run::{self, PROGRAM};
use crate::spec::Trainer;

/// What is known of a run before this attempt, and of the attempt itself.
pub(super) struct Before {
    /// Counts from 1.
    pub attempt: u32,
    /// The checkpoints that count.
    pub announced: Vec<Announced>,
    /// Of the last event that counts.
    pub last: Stamp,
    /// More than that of any checkpoint announced, also of those that no longer count.
    pub next_checkpoint: u32,
    pub program: String,
    pub label: String,
    pub build: String,
    pub micro_batches: usize,
}

/// A checkpoint that a trainer has written.
#[derive(Clone, Debug)]
pub(super) struct Announced {
    pub number: u32,
    pub stamp: Stamp,
    /// Of the steps before it since the last recorded mean.
    pub losses: Vec<f64>,
    /// Of that mean.
    pub recorded_step: u64,
}

impl Before {
    /// From what is recorded.
    pub fn of(folder: &RunFolder, attempt: &ExternalAttempt, trainer: &Trainer) -> Result<Self, RecordError> {
        let (earlier, attempts) = run::recorded(folder)?;
        let announced = |event: &RunEvent| match event {
            RunEvent::Checkpointed { checkpoint, stamp, losses } => {
                Some(Announced { number: *checkpoint, stamp: *stamp, losses: losses.clone(), recorded_step: 0 })
            }
            _ => None,
        };
        let next_checkpoint =
            1 + earlier.iter().filter_map(announced).map(|announced| announced.number).max().unwrap_or(0);
        let events = effective_events(earlier);
        let (mut checkpoints, mut recorded_step) = (Vec::new(), 0);
        for (_, event) in &events {
            if let RunEvent::Trained { stamp, .. } = event {
                recorded_step = stamp.step;
            }
            checkpoints.extend(announced(event).map(|checkpoint| Announced { recorded_step, ..checkpoint }));
        }
        // The end of an attempt that never began says nothing of where the run is.
        let told = events.iter().rev().filter(|(_, event)| !matches!(event, RunEvent::Ended { .. }));
        let last = told.filter_map(|(_, event)| event.stamp()).next().unwrap_or_default();
        Ok(Self {
            attempt: attempts + 1,
            announced: checkpoints,
            last,
            next_checkpoint,
            program: format!("{PROGRAM}, trainer: {}", trainer.in_words()),
            label: attempt.label.to_owned(),
            build: attempt.build.to_owned(),
            micro_batches: attempt.micro_batches,
        })
    }
}
