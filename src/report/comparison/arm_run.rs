//! One run among those of its arm.

use std::collections::BTreeSet;

use crate::event::{RunOutcome, Started};
use crate::record::{RunRecord, RunState};
use crate::report::cost::Cost;
use crate::report::curve::{Evaluation, curve, protocols};
use crate::report::time_to_target::{TimeToTarget, time_to_target};

/// A run and its measurements of the compared metric by the point's protocol.
pub struct ArmRun<'a> {
    pub record: &'a RunRecord,
    pub curve: Vec<Evaluation>,
    /// Other protocols it measured the metric by where it did not by the point's. (Both kinds of weights are measured by a
    /// protocol each, of which one is compared.)
    pub other_protocols: Vec<&'a str>,
}

impl<'a> ArmRun<'a> {
    pub(super) fn of(record: &'a RunRecord, metric: &str, protocol: &str) -> Self {
        let other_protocols = other_protocols(record, metric, protocol);
        Self { record, curve: curve(record, metric, protocol), other_protocols }
    }

    pub fn completed(&self) -> bool {
        self.record.state == RunState::Ended(RunOutcome::Completed)
    }

    /// Whether it will measure nothing more.
    pub fn ended(&self) -> bool {
        matches!(&self.record.state, RunState::Ended(outcome) if outcome.is_final())
    }

    pub fn diverged(&self) -> bool {
        matches!(self.record.state, RunState::Ended(RunOutcome::Diverged { .. }))
    }

    /// The time to `target`; `None` where nothing is known. A run that diverged is known never to have reached it.
    pub fn time(&self, target: f64, cost: Cost) -> Option<TimeToTarget> {
        (!self.curve.is_empty() || self.diverged()).then(|| time_to_target(&self.curve, target, cost))
    }

    /// The device of every attempt whose time is on the run's clock, each once: of those that recorded something which counts, and
    /// of those whose steps the next attempt goes on from. Any other has timed nothing.
    pub fn devices(&self) -> Vec<&str> {
        let counted: BTreeSet<u32> = self.record.rows.attempts().collect();
        let attempts = &self.record.attempts;
        let is_timed = |(index, started): &(usize, &Started)| {
            let next = attempts.get(index + 1);
            counted.contains(&started.attempt) || next.is_some_and(|next| next.from_step > started.from_step)
        };
        let timed = attempts.iter().enumerate().filter(is_timed);
        let mut devices: Vec<&str> = timed.map(|(_, started)| started.device.as_str()).collect();
        devices.sort_unstable();
        devices.dedup();
        devices
    }

    /// Training seconds per 1,000 images, over the whole run so far.
    pub fn seconds_per_thousand_images(&self) -> Option<f64> {
        let last = self.record.rows.last().filter(|row| row.images_seen > 0 && row.train_seconds > 0.0)?;
        Some(1000.0 * last.train_seconds / last.images_seen as f64)
    }
}

/// The protocols of measurements at steps where there is none by `protocol`.
fn other_protocols<'a>(run: &'a RunRecord, metric: &str, protocol: &str) -> Vec<&'a str> {
    let steps = |protocol: &str| curve(run, metric, protocol).into_iter().map(|evaluation| evaluation.step);
    let known: BTreeSet<u64> = steps(protocol).collect();
    let others = protocols(run, metric).into_iter().filter(|other| *other != protocol);
    others.filter(|other| steps(other).any(|step| !known.contains(&step))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{RunEvent, Stamp};
    use crate::record::{Rows, effective_events};
    use crate::spec::{PlannedRun, RunSpec};

    fn started(attempt: u32, from_checkpoint: u32, device: &str) -> RunEvent {
        // One checkpoint in ten steps.
        let from_step = u64::from(from_checkpoint) * 10;
        RunEvent::Started(Started {
            from_step,
            device: device.to_owned(),
            ..Started::of_test(attempt, from_checkpoint)
        })
    }

    fn trained(step: u64) -> RunEvent {
        let stamp = Stamp { step, ..Stamp::default() };
        RunEvent::trained_of_test(stamp, None, None)
    }

    fn checkpointed(checkpoint: u32, step: u64) -> RunEvent {
        RunEvent::Checkpointed { checkpoint, stamp: Stamp { step, ..Stamp::default() }, losses: Vec::new() }
    }

    #[track_caller]
    fn check(journal: Vec<RunEvent>, devices: &[&str]) {
        let planned = PlannedRun::of_baseline(RunSpec::default());
        let effective = effective_events(journal);
        let mut record = RunRecord { rows: Rows::of(&effective), ..RunRecord::new(planned) };
        for (_, event) in effective {
            if let RunEvent::Started(started) = event {
                record.attempts.push(started);
            }
        }
        assert_eq!(ArmRun::of(&record, "fid", "").devices(), devices);
    }

    #[test]
    fn only_attempts_of_which_something_counts_have_a_device() {
        check(vec![], &[]);
        // Before a step the GPU disagreed with the CPU and was tried without fused kernels; in vain.
        let disagreed = [started(1, 0, "cuda:0"), started(2, 0, "cuda:0, without fused kernels")];
        check(disagreed.to_vec(), &[]);
        check([&disagreed[..], &[started(3, 0, "cpu"), trained(10)]].concat(), &["cpu"]);
        // The device was lost before there was a checkpoint: what it recorded is void.
        check(vec![started(1, 0, "cuda:0"), trained(10), started(2, 0, "cpu"), trained(10)], &["cpu"]);
        // With a checkpoint, the steps before it count.
        let half = [started(1, 0, "cuda:0"), trained(10), checkpointed(1, 10), trained(20)];
        check([&half[..], &[started(2, 1, "cpu"), trained(20)]].concat(), &["cpu", "cuda:0"]);
        check([&half[..], &[started(2, 1, "cpu")]].concat(), &["cuda:0"]);
        // A checkpoint before the first row: its seconds are on the clock.
        let early = [started(1, 0, "cuda:0"), checkpointed(1, 10), started(2, 1, "cpu"), trained(20)];
        check(early.to_vec(), &["cpu", "cuda:0"]);
    }
}
