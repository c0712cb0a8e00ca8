//! The state of the queue, for observers.

use std::time::Duration;

use super::{Queue, QueuedRun};
use crate::event::RunOutcome;
use crate::schedule::start_order::{Entry, State};
use crate::schedule::{Counts, Device, Standing, Summary, Wait};
use crate::spec::RunId;

impl Queue {
    /// Where every run stands, in the order they start.
    pub fn standings(&self, now: Duration) -> impl Iterator<Item = (&RunId, Standing)> {
        let mut ahead = 0;
        self.entries.iter().map(move |entry| {
            let standing = self.standing(entry, ahead, now);
            ahead += usize::from(matches!(entry.state, State::Ready));
            (&entry.run.run_id, standing)
        })
    }

    fn standing(&self, entry: &Entry, ahead: usize, now: Duration) -> Standing {
        match (&entry.state, &self.stopping, &self.paused) {
            (State::Running { slot, since }, ..) => Standing::Running {
                device: self.devices[slot.device].name.clone(),
                slot: *slot,
                since: *since,
                start: entry.starts,
            },
            (State::Ended { outcome, .. }, ..) => Standing::Ended(outcome.clone()),
            (_, Some(reason), _) => Standing::Waiting(Wait::Stopping(reason.clone())),
            (_, None, Some(_)) => Standing::Waiting(Wait::Room),
            (State::Pausing { until }, None, None) if entry.crashes > 0 && *until > now => {
                Standing::Waiting(Wait::Retry {
                    retry: entry.crashes,
                    limit: self.policy.retries,
                    left: until.saturating_sub(now),
                })
            }
            (State::Ready | State::Pausing { .. }, None, None) => match self.awaited(entry) {
                Some(shared) => Standing::Waiting(Wait::SharedSteps(shared.clone())),
                None => Standing::Waiting(Wait::Slot { ahead }),
            },
        }
    }

    /// Runs that have yet to start, in the order they will, those that pause before a retry last.
    pub fn waiting(&self) -> impl Iterator<Item = &QueuedRun> {
        let pausing = self.pausing.iter().map(|(_, position)| position);
        self.ready.iter().chain(pausing).map(|&position| &self.entries[position].run)
    }

    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for entry in &self.entries {
            match &entry.state {
                State::Ready | State::Pausing { .. } => counts.waiting += 1,
                State::Running { .. } => counts.running += 1,
                State::Ended { outcome, .. } => counts.add(outcome),
            }
        }
        counts
    }

    /// How the session went, at its end.
    pub fn summary(&self, elapsed: Duration) -> Summary {
        let ended = |entry: &Entry| match &entry.state {
            State::Ended { outcome, before } => Some((outcome.clone(), *before)),
            _ => None,
        };
        let done_before = self.entries.iter().filter(|&entry| matches!(ended(entry), Some((_, true)))).count();
        let mut troubles: Vec<_> = (self.entries.iter())
            .filter_map(|entry| match ended(entry)? {
                (RunOutcome::Completed | RunOutcome::ReachedTarget | RunOutcome::Interrupted { .. }, _) => None,
                (_, true) => None,
                (outcome, false) => Some((entry.plan_position, entry.run.run_id.clone(), outcome)),
            })
            .collect();
        troubles.sort_by_key(|&(plan_position, ..)| plan_position);
        Summary {
            counts: self.counts(),
            done_before,
            retries: self.entries.iter().map(|entry| entry.starts.saturating_sub(1) as usize).sum(),
            troubles: troubles.into_iter().map(|(_, run_id, outcome)| (run_id, outcome)).collect(),
            stopped: self.stopping.clone(),
            elapsed,
            places: self.devices.iter().map(|device| device.slots).sum(),
            busy: Duration::ZERO,
            starts: self.entries.iter().map(|entry| entry.starts as usize).sum(),
        }
    }
}
