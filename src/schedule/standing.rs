//! Where a run stands in the queue, and why it waits.

use std::fmt;
use std::time::Duration;

use super::Slot;
use crate::event::{RunOutcome, SharedSteps};
use crate::spec::RunId;

/// Where a run stands. Displayed as a phrase, such as `waits: 3 runs go before it`.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    Waiting(Wait),
    Running {
        /// The device's name.
        device: String,
        slot: Slot,
        /// When it started, on the executor's clock.
        since: Duration,
        /// Starts of this run in this session, counting from 1.
        start: u32,
    },
    Ended(RunOutcome),
}

/// Why a run waits.
#[derive(Clone, Debug, PartialEq)]
pub enum Wait {
    /// Every slot is taken or claimed by the runs before it.
    Slot { ahead: usize },
    /// Another run trains its first steps.
    SharedSteps(SharedSteps),
    /// It crashed and is started again after a pause.
    Retry { retry: u32, limit: u32, left: Duration },
    /// The disk is full.
    Room,
    /// Nothing starts any more in this session.
    Stopping(StopReason),
}

/// Why nothing starts any more.
#[derive(Clone, Debug, PartialEq)]
pub enum StopReason {
    /// Somebody asked: Ctrl-C or SIGTERM.
    Asked,
    /// This run failed, and the sweep is to stop at so many failures.
    Failed(RunId),
    /// The last device was lost or is not to be trusted.
    NoDevice { reason: String },
}

impl fmt::Display for Standing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting(Wait::Slot { ahead: 0 }) => write!(formatter, "waits for a free slot: next"),
            Self::Waiting(Wait::Slot { ahead: 1 }) => write!(formatter, "waits for a free slot: 1 run goes before it"),
            Self::Waiting(Wait::Slot { ahead }) => {
                write!(formatter, "waits for a free slot: {ahead} runs go before it")
            }
            Self::Waiting(Wait::SharedSteps(SharedSteps { run_id, step })) => {
                write!(formatter, "waits for the first {step} steps of run {run_id}, which it shares")
            }
            Self::Waiting(Wait::Retry { retry, limit, left }) => {
                write!(formatter, "crashed: retry {retry} of {limit} in {:.1} s", left.as_secs_f64())
            }
            Self::Waiting(Wait::Room) => write!(formatter, "waits for room on the disk"),
            Self::Waiting(Wait::Stopping(reason)) => write!(formatter, "not started: {reason}"),
            Self::Running { device, slot, start: 1, .. } => {
                write!(formatter, "running on {device}, slot {}", slot.index)
            }
            Self::Running { device, slot, start, .. } => {
                write!(formatter, "running on {device}, slot {} (start {start})", slot.index)
            }
            Self::Ended(outcome) => formatter.write_str(outcome.word()),
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => write!(formatter, "the sweep was asked to stop"),
            Self::Failed(run_id) => write!(formatter, "run {run_id} failed, and the sweep stops at so many failures"),
            Self::NoDevice { reason } => {
                write!(formatter, "no device is left: {}", reason.lines().next().unwrap_or_default())
            }
        }
    }
}
