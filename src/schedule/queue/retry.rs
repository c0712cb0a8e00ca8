//! Decides about a run that ended without a result, and about its device.

use std::time::Duration;

use super::{Queue, Slot};
use crate::event::RunOutcome;
use crate::schedule::{Decision, Device, GpuKernels, StopReason};

/// What to do about failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Stop the sweep when so many runs have failed for good. Default `None`: keep going whatever fails.
    pub max_failures: Option<u32>,
    /// How often a run that crashed or fell silent is started again from its checkpoint. Default 2.
    pub retries: u32,
    /// The pause before the first retry; each further one is twice as long, up to a minute. Default 1 s.
    pub retry_pause: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { max_failures: None, retries: 2, retry_pause: Duration::from_secs(1) }
    }
}

/// Before a retry, however many there were.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The most pieces that a batch is taken in. A run that does not fit in an eighth of its batch is too large for its device.
const MOST_MICRO_BATCHES: usize = 8;

/// How often a run may meet a full disk without a checkpoint in between: where there is room for the records, what is full is
/// another disk, which nobody here watches.
const MOST_FULL_DISKS: u32 = 5;

/// Crashes before any step after which a run takes other kernels: the first may have been anything.
const CRASHES_OF_KERNELS: u32 = 2;

/// The kernels of a run that has crashed so often before any step.
pub(super) fn kernels_after(early_crashes: u32) -> GpuKernels {
    if early_crashes < CRASHES_OF_KERNELS { GpuKernels::Fused } else { GpuKernels::Burns }
}

impl Queue {
    /// When a run may start again after such an end; `None`: not in this session.
    pub(super) fn retry_time(&mut self, position: usize, outcome: &RunOutcome, now: Duration) -> Option<Duration> {
        let entry = &mut self.entries[position];
        match outcome {
            RunOutcome::Crashed { .. } | RunOutcome::TimedOut { .. } if entry.crashes < self.policy.retries => {
                let pause =
                    self.policy.retry_pause.saturating_mul(2u32.saturating_pow(entry.crashes)).min(LONGEST_PAUSE);
                entry.crashes += 1;
                Some(now.saturating_add(pause))
            }
            RunOutcome::OutOfMemory { .. } => {
                let micro_batches = entry.micro_batches * 2;
                if micro_batches > MOST_MICRO_BATCHES.min(entry.run.most_micro_batches) {
                    return None;
                }
                entry.micro_batches = micro_batches;
                self.decisions.push(Decision::MicroBatches { run_id: entry.run.run_id.clone(), micro_batches });
                Some(now)
            }
            RunOutcome::DiskFull { .. } => {
                entry.full_disks += 1;
                (entry.full_disks < MOST_FULL_DISKS).then_some(now)
            }
            RunOutcome::DeviceLost { .. } | RunOutcome::DeviceDisagrees { .. } => Some(now),
            _ => None,
        }
    }

    /// Nothing starts on a device any more; without any device left, nothing at all.
    pub(super) fn give_up_device(&mut self, device: usize, reason: &str) {
        if std::mem::replace(&mut self.out[device], true) {
            return;
        }
        let name = self.devices[device].name.clone();
        self.decisions.push(Decision::DeviceOut { device: name, reason: reason.to_owned() });
        if self.devices.iter().zip(&self.out).all(|(device, out)| *out || device.slots == 0) {
            self.stopping.get_or_insert_with(|| StopReason::NoDevice { reason: reason.to_owned() });
        }
    }

    /// Once more with other kernels; a device that computed something else with burn's alone is not used.
    pub(super) fn distrust_device(&mut self, slot: Slot, position: usize, reason: &str) {
        let Device { name, gpu_kernels, .. } = &mut self.devices[slot.device];
        // Another run may have been faster to find it.
        if self.entries[position].gpu_kernels < *gpu_kernels {
            return;
        }
        let Some(next) = gpu_kernels.next() else { return self.give_up_device(slot.device, reason) };
        *gpu_kernels = next;
        let (device, reason) = (name.clone(), reason.to_owned());
        self.decisions.push(Decision::OtherKernels { device, gpu_kernels: next, reason });
    }

    /// A second crash before any step may be a kernel's that a driver does not take: the run, if it is tried again, takes burn's alone.
    pub(super) fn distrust_kernels(&mut self, slot: Slot, position: usize) {
        let entry = &mut self.entries[position];
        if entry.reached > 0 || self.devices[slot.device].is_cpu() {
            return;
        }
        entry.early_crashes += 1;
        if entry.early_crashes == CRASHES_OF_KERNELS && entry.crashes < self.policy.retries {
            self.decisions.push(Decision::BurnsKernels { run_id: entry.run.run_id.clone() });
        }
    }

    pub(super) fn pause(&mut self, reason: &str) {
        if self.paused.is_none() {
            self.paused = Some(reason.to_owned());
            self.decisions.push(Decision::Paused { reason: reason.to_owned() });
        }
    }
}

/// Whether a run that ended so is counted by `max_failures`: it has no result, and nothing more is tried.
pub(super) fn is_failure(outcome: &RunOutcome) -> bool {
    matches!(outcome, RunOutcome::Crashed { .. } | RunOutcome::OutOfMemory { .. } | RunOutcome::TimedOut { .. })
}
