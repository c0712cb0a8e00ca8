//! How many runs are where.

use std::time::Duration;

use super::StopReason;
use crate::event::RunOutcome;
use crate::spec::RunId;

/// How many runs of a sweep are where. Runs that ended in an earlier session count as they ended then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub waiting: usize,
    pub running: usize,
    pub completed: usize,
    pub reached_target: usize,
    pub diverged: usize,
    pub out_of_memory: usize,
    pub interrupted: usize,
    pub crashed: usize,
}

impl Counts {
    pub fn total(&self) -> usize {
        self.waiting + self.running + self.done() + self.failed() + self.interrupted
    }

    /// Nothing left to do for them; a diverged run is a result.
    pub fn done(&self) -> usize {
        self.completed + self.reached_target + self.diverged
    }

    /// Ended without a result.
    pub fn failed(&self) -> usize {
        self.out_of_memory + self.crashed
    }

    pub(super) fn add(&mut self, outcome: &RunOutcome) {
        *match outcome {
            RunOutcome::Completed => &mut self.completed,
            RunOutcome::ReachedTarget => &mut self.reached_target,
            RunOutcome::Diverged { .. } => &mut self.diverged,
            RunOutcome::OutOfMemory { .. } => &mut self.out_of_memory,
            RunOutcome::Interrupted { .. } => &mut self.interrupted,
            RunOutcome::Crashed { .. } => &mut self.crashed,
        } += 1;
    }
}

/// How a session on a sweep ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// At the end; nothing is running.
    pub counts: Counts,
    /// Runs that had ended before this session.
    pub done_before: usize,
    /// Starts after a crash.
    pub retries: usize,
    /// Runs that crashed, ran out of memory or diverged in this session, in the plan's order.
    pub troubles: Vec<(RunId, RunOutcome)>,
    /// Why the session ended before the queue was empty.
    pub stopped: Option<StopReason>,
    /// How long the session took.
    pub elapsed: Duration,
}

impl Summary {
    /// Whether every run of the sweep has ended for good.
    pub fn all_done(&self) -> bool {
        self.counts.done() == self.counts.total()
    }
}
