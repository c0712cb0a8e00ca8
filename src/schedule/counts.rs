//! The number of runs in each state.

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
    pub timed_out: usize,
    /// Ended for something that is not the run's: a lost device, a full disk. Goes on in another session.
    pub put_off: usize,
}

impl Counts {
    pub fn total(&self) -> usize {
        self.waiting + self.running + self.done() + self.failed() + self.interrupted + self.put_off
    }

    /// Nothing left to do for them; a diverged run is a result.
    pub fn done(&self) -> usize {
        self.completed + self.reached_target + self.diverged
    }

    /// Ended without a result.
    pub fn failed(&self) -> usize {
        self.out_of_memory + self.crashed + self.timed_out
    }

    pub(super) fn add(&mut self, outcome: &RunOutcome) {
        *match outcome {
            RunOutcome::Completed => &mut self.completed,
            RunOutcome::ReachedTarget => &mut self.reached_target,
            RunOutcome::Diverged { .. } => &mut self.diverged,
            RunOutcome::OutOfMemory { .. } => &mut self.out_of_memory,
            RunOutcome::Interrupted { .. } => &mut self.interrupted,
            RunOutcome::Crashed { .. } => &mut self.crashed,
            RunOutcome::TimedOut { .. } => &mut self.timed_out,
            RunOutcome::DeviceLost { .. } | RunOutcome::DeviceDisagrees { .. } | RunOutcome::DiskFull { .. } => {
                &mut self.put_off
            }
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
    /// Starts beyond the first of each run.
    pub retries: usize,
    /// Runs that ended in this session without a result, in the plan's order; a diverged run too.
    pub troubles: Vec<(RunId, RunOutcome)>,
    /// Why the session ended before the queue was empty.
    pub stopped: Option<StopReason>,
    /// How long the session took.
    pub elapsed: Duration,
    /// Places for runs, on all devices together, and how long they had the process of one.
    pub places: usize,
    pub busy: Duration,
    /// How often such a process was started.
    pub starts: usize,
}

impl Summary {
    /// Whether every run of the sweep has ended for good.
    pub fn all_done(&self) -> bool {
        self.counts.done() == self.counts.total()
    }
}
