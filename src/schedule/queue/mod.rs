//! Which run starts next and where. Pure: time and outcomes are passed in.

mod retry;
mod view;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

pub use retry::Policy;

use super::start_order::{Entry, State, in_start_order};
use super::{Decision, Device, GpuKernels, Slot, StopReason};
use crate::event::{RunOutcome, SharedSteps};
use crate::spec::RunId;

/// A run as the queue sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct QueuedRun {
    pub run_id: RunId,
    pub seed: u64,
    /// What the whole run is expected to take, in any unit that is the same for all. `None`: unknown.
    pub cost: Option<f64>,
    /// How it ended in an earlier session. Only a final outcome keeps it from running, or that it is kept out.
    pub outcome: Option<RunOutcome>,
    /// Whether it must not run with that outcome: its record is damaged, say.
    pub is_kept_out: bool,
    /// Images in a batch: it can be taken in as many pieces, no more.
    pub most_micro_batches: usize,
    /// The pieces that its batches were taken in when it last ran; 1 at first.
    pub micro_batches: usize,
    /// The first steps of another run, of which this one is to have the state when it starts.
    pub waits_for: Option<SharedSteps>,
}

impl QueuedRun {
    /// A run that never ran.
    pub fn new(run_id: RunId, seed: u64, cost: Option<f64>, most_micro_batches: usize) -> Self {
        Self {
            run_id,
            seed,
            cost,
            outcome: None,
            is_kept_out: false,
            most_micro_batches,
            micro_batches: 1,
            waits_for: None,
        }
    }
}

/// The decision to start a run on a slot.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    pub run_id: RunId,
    /// Starts of this run in this session, counting from 1.
    pub number: u32,
    /// The device's name.
    pub device: String,
    pub slot: Slot,
    pub threads: usize,
    /// Those that a GPU is to use.
    pub gpu_kernels: GpuKernels,
    /// The pieces that each batch is taken in, one after the other.
    pub micro_batches: usize,
}

/// All runs of a sweep, in the order they start in.
///
/// That order is the plan's, seeds outermost, so that every arm of one seed has ended before the next seed begins and
/// comparisons become readable early. Within a seed the longest expected run goes first, so that no long run is left
/// to the end alone; where the cost of one of them is unknown, or all are equal, the plan's order stays. Runs whose first
/// steps others wait for go before all of them. A run that waits for another's first steps is passed over until that one has got
/// beyond them or has ended: begun at once and from its own start, it would not end any sooner.
#[derive(Clone, Debug)]
pub struct Queue {
    /// In start order.
    entries: Vec<Entry>,
    position: HashMap<RunId, usize>,
    /// Positions of runs that could start now.
    ready: BTreeSet<usize>,
    /// (when, position) of runs that pause before a retry.
    pausing: BTreeSet<(Duration, usize)>,
    devices: Vec<Device>,
    /// For each device, which slots are taken.
    taken: Vec<Vec<bool>>,
    /// For each device, whether nothing starts on it any more.
    out: Vec<bool>,
    policy: Policy,
    /// Runs that failed for good in this session.
    failures: u32,
    /// Why nothing starts for now.
    paused: Option<String>,
    stopping: Option<StopReason>,
    /// Not yet told.
    decisions: Vec<Decision>,
}

impl Queue {
    /// `runs` in the plan's order. A run that is named twice runs once. Panics if the devices have no slot at all:
    /// nothing would ever start.
    pub fn new(runs: Vec<QueuedRun>, devices: Vec<Device>, policy: Policy) -> Self {
        assert!(devices.iter().any(|device| device.slots > 0), "a queue needs a device with a slot");
        let entries = in_start_order(runs);
        let position = entries.iter().enumerate().map(|(i, entry)| (entry.run.run_id.clone(), i)).collect();
        let is_ready = |entry: &Entry| matches!(entry.state, State::Ready);
        let ready = entries.iter().enumerate().filter(|(_, entry)| is_ready(entry)).map(|(i, _)| i).collect();
        let taken = devices.iter().map(|device| vec![false; device.slots]).collect();
        let out = vec![false; devices.len()];
        Self {
            entries,
            position,
            ready,
            pausing: BTreeSet::new(),
            devices,
            taken,
            out,
            policy,
            failures: 0,
            paused: None,
            stopping: None,
            decisions: Vec::new(),
        }
    }

    /// The next run to start, and where. It counts as running from now on; call again until `None`.
    pub fn next(&mut self, now: Duration) -> Option<Start> {
        if self.stopping.is_some() || self.paused.is_some() {
            return None;
        }
        while let Some((_, position)) = self.pausing.first().copied().filter(|&(until, _)| until <= now) {
            self.pausing.pop_first();
            self.entries[position].state = State::Ready;
            self.ready.insert(position);
        }
        let slot = self.free_slot()?;
        let position = self.ready.iter().copied().find(|&position| self.awaited(&self.entries[position]).is_none())?;
        self.ready.remove(&position);
        self.taken[slot.device][slot.index] = true;
        let entry = &mut self.entries[position];
        let device = &self.devices[slot.device];
        entry.starts += 1;
        entry.gpu_kernels = retry::kernels_after(entry.early_crashes).max(device.gpu_kernels);
        entry.state = State::Running { slot, since: now };
        Some(Start {
            run_id: entry.run.run_id.clone(),
            number: entry.starts,
            device: device.name.clone(),
            slot,
            threads: device.threads,
            gpu_kernels: entry.gpu_kernels,
            micro_batches: entry.micro_batches,
        })
    }

    /// Takes note that a running run has ended; `Some` is the time from which it may start again.
    ///
    /// What is tried again, and how: a crash or a silence from the checkpoint, a few times, after growing pauses, and by burn's kernels alone where it came
    /// twice on a GPU before the run told of a step; a run without
    /// memory in smaller pieces of its batch; one whose device is gone on another device; one whose device disagrees with the
    /// CPU without fused kernels, then without our own, then elsewhere; one without room on the disk when there is room, a few times without progress.
    /// A diverged run would do the same again, and an interrupted one was meant to stop.
    pub fn ended(&mut self, run_id: &RunId, outcome: RunOutcome, now: Duration) -> Option<Duration> {
        let position = self.position[run_id];
        let State::Running { slot, .. } = self.entries[position].state else {
            panic!("run {run_id} ended without running: {:?}", self.entries[position].state);
        };
        self.taken[slot.device][slot.index] = false;
        match &outcome {
            RunOutcome::DeviceLost { reason } => self.give_up_device(slot.device, reason),
            RunOutcome::DeviceDisagrees { reason } => self.distrust_device(slot, position, reason),
            RunOutcome::DiskFull { reason } => self.pause(reason),
            RunOutcome::Crashed { .. } => self.distrust_kernels(slot, position),
            _ => {}
        }
        if self.stopping.is_none()
            && let Some(until) = self.retry_time(position, &outcome, now)
        {
            self.entries[position].state = State::Pausing { until };
            self.pausing.insert((until, position));
            return Some(until);
        }
        if retry::is_failure(&outcome) {
            self.failures += 1;
            if self.policy.max_failures.is_some_and(|most| self.failures >= most) {
                self.stopping.get_or_insert_with(|| StopReason::Failed(run_id.clone()));
            }
        }
        self.entries[position].state = State::Ended { outcome, before: false };
        None
    }

    /// Takes note that a run has made a checkpoint: where it next fails is further on.
    pub fn progressed(&mut self, run_id: &RunId) {
        self.entries[self.position[run_id]].full_disks = 0;
    }

    /// Takes note that a run has got to a step.
    pub fn reached(&mut self, run_id: &RunId, step: u64) {
        let entry = &mut self.entries[self.position[run_id]];
        entry.reached = entry.reached.max(step);
    }

    /// The first steps that a run still waits for. Their state is on disk once the step after them is done.
    fn awaited<'e>(&self, entry: &'e Entry) -> Option<&'e SharedSteps> {
        entry.run.waits_for.as_ref().filter(|shared| {
            let other = self.position.get(&shared.run_id).map(|&position| &self.entries[position]);
            other.is_some_and(|other| !matches!(other.state, State::Ended { .. }) && other.reached <= shared.step)
        })
    }

    /// Why nothing starts for now: no room on the disk.
    pub fn paused(&self) -> Option<&str> {
        self.paused.as_deref()
    }

    /// There is room again.
    pub fn resume(&mut self) {
        if self.paused.take().is_some() {
            self.decisions.push(Decision::Resumed);
        }
    }

    /// What was decided since the last call.
    pub fn take_decisions(&mut self) -> Vec<Decision> {
        std::mem::take(&mut self.decisions)
    }

    /// Nothing starts from now on.
    pub fn stop(&mut self) {
        self.stopping.get_or_insert(StopReason::Asked);
    }

    pub fn stopping(&self) -> Option<&StopReason> {
        self.stopping.as_ref()
    }

    /// Whether no run is running and none will start.
    pub fn is_over(&self) -> bool {
        let nothing_to_start = self.stopping.is_some() || (self.ready.is_empty() && self.pausing.is_empty());
        nothing_to_start && self.taken.iter().flatten().all(|taken| !taken)
    }

    /// When the next pause before a retry is over.
    pub fn next_retry(&self) -> Option<Duration> {
        self.pausing.first().map(|&(until, _)| until)
    }

    /// On the device with the smallest share of its slots taken.
    fn free_slot(&self) -> Option<Slot> {
        (self.taken.iter().enumerate())
            .filter(|&(device, _)| !self.out[device])
            .filter_map(|(device, taken)| {
                let index = taken.iter().position(|&taken| !taken)?;
                let busy = taken.iter().filter(|&&taken| taken).count();
                Some((busy as f64 / taken.len() as f64, Slot { device, index }))
            })
            .min_by(|(a, _), (b, _)| a.total_cmp(b))
            .map(|(_, slot)| slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn run_id(number: usize) -> RunId {
        RunId::parse(&format!("{number:012x}")).unwrap()
    }

    fn run(number: usize) -> QueuedRun {
        QueuedRun::new(run_id(number), 0, None, 64)
    }

    fn queue(runs: usize, slots: usize, policy: Policy) -> Queue {
        Queue::new((0..runs).map(run).collect(), vec![Device::new("cpu", slots, 1)], policy)
    }

    fn crashed() -> RunOutcome {
        RunOutcome::Crashed { reason: "exited with status 3".into() }
    }

    fn says(queue: &Queue, number: usize) -> String {
        let (_, standing) = queue.standings(NOW).find(|(of, _)| **of == run_id(number)).unwrap();
        standing.to_string()
    }

    #[test]
    fn says_why_each_run_waits() {
        let mut queue = queue(4, 1, Policy::default());
        assert_eq!(queue.next(NOW).unwrap().run_id, run_id(0));
        assert_eq!(queue.next(NOW), None);
        assert_eq!(says(&queue, 0), "running on cpu, slot 0");
        assert_eq!(says(&queue, 1), "waits for a free slot: next");
        assert_eq!(says(&queue, 2), "waits for a free slot: 1 run goes before it");
        assert_eq!(says(&queue, 3), "waits for a free slot: 2 runs go before it");
        assert!(queue.ended(&run_id(0), crashed(), NOW).is_some());
        assert_eq!(says(&queue, 0), "crashed: retry 1 of 2 in 1.0 s");
        queue.stop();
        assert_eq!(says(&queue, 3), "not started: the sweep was asked to stop");
    }

    #[test]
    fn a_crashed_run_pauses_longer_each_time_and_goes_first_after_its_pause() {
        let mut queue = queue(3, 1, Policy::default());
        let second = Duration::from_secs(1);
        assert_eq!(queue.next(NOW).unwrap().run_id, run_id(0));
        assert_eq!(queue.ended(&run_id(0), crashed(), NOW), Some(second));
        assert_eq!(queue.next_retry(), Some(second));
        assert_eq!(queue.next(second / 2).unwrap().run_id, run_id(1), "others go on while it pauses");
        assert_eq!(queue.ended(&run_id(1), RunOutcome::Completed, second), None);
        let retry = queue.next(second).unwrap();
        assert_eq!((retry.run_id, retry.number), (run_id(0), 2));
        assert_eq!(queue.ended(&run_id(0), crashed(), second), Some(3 * second));
        assert_eq!(queue.next(3 * second).unwrap().number, 3);
        assert_eq!(queue.ended(&run_id(0), crashed(), 4 * second), None, "the third crash is the last");
        assert_eq!(says(&queue, 0), "crashed");
    }

    #[test]
    fn an_earlier_crash_or_interruption_runs_again_and_a_result_does_not() {
        let outcomes = [
            Some(RunOutcome::Completed),
            Some(RunOutcome::Diverged { reason: "loss is NaN".into() }),
            Some(crashed()),
            Some(RunOutcome::Interrupted { reason: "Ctrl-C".into() }),
            None,
        ];
        let runs = outcomes.into_iter().enumerate().map(|(number, outcome)| QueuedRun { outcome, ..run(number) });
        let mut queue = Queue::new(runs.collect(), vec![Device::new("cpu", 9, 1)], Policy::default());
        let started: Vec<RunId> = std::iter::from_fn(|| queue.next(NOW)).map(|start| start.run_id).collect();
        assert_eq!(started, [run_id(2), run_id(3), run_id(4)]);
        assert_eq!((queue.summary(NOW).done_before, queue.counts().total()), (2, 5));
        assert_eq!(queue.summary(NOW).troubles, [], "the diverged run is an earlier session's");
    }

    #[test]
    fn devices_fill_evenly() {
        let runs = (0..6).map(run).collect();
        let device = |name, slots| Device::new(name, slots, 1);
        let mut queue =
            Queue::new(runs, vec![device("cuda:0", 2), device("cuda:1", 1), device("cpu", 0)], Policy::default());
        let places: Vec<_> =
            std::iter::from_fn(|| queue.next(NOW)).map(|start| (start.device, start.slot.index)).collect();
        assert_eq!(places, [("cuda:0".into(), 0), ("cuda:1".into(), 0), ("cuda:0".into(), 1)]);
    }

    /// The second and the fourth share the first 600 steps of the first.
    fn sharing(slots: usize) -> Queue {
        let waits_for = Some(SharedSteps { run_id: run_id(0), step: 600 });
        let waiting = |number| QueuedRun { waits_for: waits_for.clone(), ..run(number) };
        let runs = vec![run(0), waiting(1), run(2), waiting(3)];
        Queue::new(runs, vec![Device::new("cpu", slots, 1)], Policy::default())
    }

    fn started(queue: &mut Queue) -> Vec<RunId> {
        std::iter::from_fn(|| queue.next(NOW)).map(|start| start.run_id).collect()
    }

    #[test]
    fn a_run_waits_for_the_first_steps_of_another_and_lets_others_go_before_it() {
        let mut queue = sharing(3);
        assert_eq!(started(&mut queue), [run_id(0), run_id(2)], "a place stays free");
        assert_eq!(says(&queue, 1), "waits for the first 600 steps of run 000000000000, which it shares");
        queue.reached(&run_id(0), 600);
        assert_eq!(started(&mut queue), [], "its state is not on disk yet");
        queue.reached(&run_id(0), 601);
        assert_eq!(started(&mut queue), [run_id(1)]);
        assert_eq!(says(&queue, 3), "waits for a free slot: next");
    }

    #[test]
    fn a_run_trains_steps_itself_that_another_did_not_get_to() {
        let mut queue = sharing(3);
        assert_eq!(started(&mut queue), [run_id(0), run_id(2)]);
        for _ in 0..2 {
            let until = queue.ended(&run_id(0), crashed(), NOW).unwrap();
            assert_eq!(started(&mut queue), [], "it is tried again");
            assert_eq!(queue.next(until).unwrap().run_id, run_id(0));
        }
        assert!(!queue.is_over());
        assert_eq!(queue.ended(&run_id(0), crashed(), NOW), None);
        assert_eq!(started(&mut queue), [run_id(1), run_id(3)]);
    }

    #[test]
    fn a_run_named_twice_runs_once() {
        let mut queue = Queue::new(vec![run(7), run(7)], vec![Device::new("cpu", 2, 1)], Policy::default());
        assert!(queue.next(NOW).is_some());
        assert_eq!(queue.next(NOW), None);
        assert_eq!(queue.counts().total(), 1);
    }

    #[test]
    fn a_disk_that_stays_full_is_given_up_and_one_that_fills_now_and_then_is_not() {
        let full = || RunOutcome::DiskFull { reason: "no space left on device".into() };
        for (progresses, ends) in [(true, 20), (false, 5)] {
            let mut queue = queue(1, 1, Policy::default());
            let mut starts = 0;
            while starts < 20 && queue.next(NOW).is_some() {
                starts += 1;
                if progresses {
                    queue.progressed(&run_id(0));
                }
                queue.ended(&run_id(0), full(), NOW);
                queue.resume();
            }
            assert_eq!(starts, ends, "with progress: {progresses}");
            assert_eq!(queue.counts().put_off, usize::from(!progresses));
        }
    }
}
