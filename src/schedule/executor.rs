//! The trait that carries out the queue's decisions.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::Start;
use crate::event::{RunEvent, RunOutcome};
use crate::spec::RunId;

/// Starts runs and says what becomes of them. It also owns the clock, so that a fake one needs no time.
pub trait RunExecutor {
    /// Starts a run. From then on [`Self::next`] yields what it says and, last, exactly one [`Report::Ended`].
    fn start(&mut self, start: &Start) -> Result<(), StartError>;

    /// What a run says next; waits for it at most about as long as `patience`.
    fn next(&mut self, patience: Duration) -> Option<Report>;

    /// Tells every running run to write a checkpoint and stop.
    fn stop(&mut self);

    /// Ends every running run at once.
    fn kill(&mut self);

    /// Since the executor was made.
    fn now(&self) -> Duration;

    /// Whether there is room on the disk for what runs record.
    fn has_room(&mut self) -> bool;
}

/// What an executor has to say about a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    Event { run_id: RunId, event: RunEvent },
    Ended { run_id: RunId, outcome: RunOutcome },
    LogLost { run_id: RunId, reason: String },
}

/// Why a run could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("could not start `{}`: {source}", program.display())]
    Program { program: PathBuf, source: io::Error },
    #[error("could not open the log {}: {source}", path.display())]
    Log { path: PathBuf, source: io::Error },
    #[error("could not make a thread that listens to the run: {source}")]
    Thread { source: io::Error },
}

impl StartError {
    /// The run ended before it began.
    pub fn into_outcome(self) -> RunOutcome {
        let reason = self.to_string();
        match self {
            Self::Log { source, .. } if is_no_room(&source) => RunOutcome::DiskFull { reason },
            _ => RunOutcome::Crashed { reason },
        }
    }
}

/// Whether writing failed for lack of room: on the disk, or within what this user or this file may take of it.
pub fn is_no_room(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
