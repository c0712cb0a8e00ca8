//! What the drive loop tells its observer.

use std::time::Duration;

use super::{Decision, Queue, Start, StopReason, Summary};
use crate::event::{RunEvent, RunOutcome};
use crate::spec::RunId;

/// Something happened, or a moment has passed.
#[derive(Clone, Copy, Debug)]
pub struct Update<'a> {
    /// On the executor's clock: since the session began.
    pub at: Duration,
    /// As it is after the news.
    pub queue: &'a Queue,
    pub news: News<'a>,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    Started(&'a Start),
    /// A run said something; `RunEvent::Ended` is followed by `Ended` when its process is gone.
    Said {
        run_id: &'a RunId,
        event: &'a RunEvent,
    },
    /// A run's process is gone. With `retry_at` it will be started again, else this is how it stays in this session.
    Ended {
        run_id: &'a RunId,
        outcome: &'a RunOutcome,
        retry_at: Option<Duration>,
    },
    /// A run goes on, but what it writes to standard error can no longer be kept.
    LogLost {
        run_id: &'a RunId,
        reason: &'a str,
    },
    /// What the queue decided.
    Decided(&'a Decision),
    /// Nothing starts any more, and running runs were told to write a checkpoint and stop.
    Stopping(&'a StopReason),
    /// Running runs were killed.
    Killing,
    /// Nothing happened for a moment.
    Tick,
    /// The last update.
    Finished(&'a Summary),
}
