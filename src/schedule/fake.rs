//! An executor for tests that needs no time: a script states how long each start takes and how it ends.

use std::time::Duration;

use super::{Report, RunExecutor, Slot, Start, StartError};
use crate::event::RunOutcome;
use crate::spec::RunId;

pub struct FakeExecutor<F> {
    pub script: F,
    pub now: Duration,
    running: Vec<Running>,
    /// Every start, and when.
    pub started: Vec<(Duration, Start)>,
    pub stopped: bool,
    pub killed: bool,
    /// When there is room on the disk.
    pub room_from: Duration,
}

struct Running {
    end: Duration,
    run_id: RunId,
    slot: Slot,
    outcome: RunOutcome,
}

impl<F: FnMut(&Start) -> (Duration, RunOutcome)> FakeExecutor<F> {
    pub fn new(script: F) -> Self {
        Self {
            script,
            now: Duration::ZERO,
            running: vec![],
            started: vec![],
            stopped: false,
            killed: false,
            room_from: Duration::ZERO,
        }
    }
}

impl<F: FnMut(&Start) -> (Duration, RunOutcome)> RunExecutor for FakeExecutor<F> {
    fn start(&mut self, start: &Start) -> Result<(), StartError> {
        assert!(self.running.iter().all(|running| running.slot != start.slot), "slot {:?} is taken", start.slot);
        let (takes, outcome) = (self.script)(start);
        self.running.push(Running { end: self.now + takes, run_id: start.run_id.clone(), slot: start.slot, outcome });
        self.started.push((self.now, start.clone()));
        Ok(())
    }

    fn next(&mut self, patience: Duration) -> Option<Report> {
        let until = self.now + patience;
        let first = (0..self.running.len()).min_by_key(|&i| self.running[i].end);
        let Some(due) = first.filter(|&i| self.running[i].end <= until) else {
            self.now = until;
            return None;
        };
        let Running { end, run_id, outcome, .. } = self.running.remove(due);
        self.now = self.now.max(end);
        Some(Report::Ended { run_id, outcome })
    }

    /// Runs write a checkpoint in no time.
    fn stop(&mut self) {
        self.stopped = true;
        for running in &mut self.running {
            running.end = self.now;
            running.outcome = RunOutcome::Interrupted { reason: "asked to".to_owned() };
        }
    }

    fn kill(&mut self) {
        self.killed = true;
    }

    fn now(&self) -> Duration {
        self.now
    }

    /// A look takes a moment, as a real one does.
    fn has_room(&mut self) -> bool {
        self.now += Duration::from_millis(300);
        self.now >= self.room_from
    }
}
