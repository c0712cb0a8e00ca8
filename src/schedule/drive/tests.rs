use super::super::fake::FakeExecutor;
use super::super::{Decision, Device, GpuKernels, Policy, QueuedRun, Start, StopReason};
use super::*;

fn run_id(number: usize) -> RunId {
    RunId::parse(&format!("{number:012x}")).unwrap()
}

/// `seeds` x `arms` runs; the arm's number is its cost.
fn queue(seeds: u64, arms: usize, slots: usize, policy: Policy) -> Queue {
    let runs = (0..seeds).flat_map(|seed| (0..arms).map(move |arm| (seed, arm))).enumerate();
    let run = |(number, (seed, arm)): (usize, (u64, usize))| QueuedRun::new(run_id(number), seed, Some(arm as f64), 4);
    Queue::new(runs.map(run).collect(), vec![Device::new("cpu", slots, 1)], policy)
}

fn crash() -> RunOutcome {
    RunOutcome::Crashed { reason: "exited with status 3".into() }
}

fn drive(queue: Queue, script: impl FnMut(&Start) -> (Duration, RunOutcome)) -> (Summary, Vec<(Duration, Start)>) {
    let mut executor = FakeExecutor::new(script);
    let summary = execute(queue, &mut executor, &mut |_| {}, &Stop::default());
    (summary, executor.started)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn all_slots_are_used_and_every_run_ends_once() {
    let (summary, started) = drive(queue(3, 5, 2, Policy::default()), |_| (SECOND, RunOutcome::Completed));
    assert!(summary.all_done());
    assert_eq!((summary.counts.completed, summary.retries, summary.troubles.len()), (15, 0, 0));
    assert_eq!(started.len(), 15);
    assert_eq!(summary.elapsed, 8 * SECOND, "15 runs of 1 s on 2 slots");
    assert_eq!((summary.places, summary.busy), (2, 15 * SECOND), "the last has the devices for itself");
    assert_eq!(started[0].1.run_id, run_id(4), "the longest of the first seed");
}

#[test]
fn a_crash_is_retried_up_to_the_limit_and_the_sweep_goes_on() {
    let script = |start: &Start| match (start.run_id == run_id(1), start.run_id == run_id(2)) {
        (true, _) => (SECOND, crash()),
        (_, true) if start.number == 1 => (SECOND, crash()),
        _ => (SECOND, RunOutcome::Completed),
    };
    let (summary, started) = drive(queue(1, 4, 2, Policy::default()), script);
    let starts = |number| started.iter().filter(|(_, start)| start.run_id == run_id(number)).count();
    assert_eq!((starts(0), starts(1), starts(2), starts(3)), (1, 3, 2, 1));
    assert_eq!(summary.troubles, [(run_id(1), crash())]);
    assert_eq!((summary.counts.completed, summary.counts.crashed, summary.retries), (3, 1, 3));
    assert!(!summary.all_done());
    assert_eq!(summary.stopped, None);
}

#[test]
fn silence_is_retried_like_a_crash() {
    let silent = RunOutcome::TimedOut { reason: "said nothing for 1800 s".into() };
    let (summary, started) = drive(queue(1, 1, 1, Policy::default()), |_| (SECOND, silent.clone()));
    assert_eq!((started.len(), summary.counts.timed_out, summary.counts.failed()), (3, 1, 1));
}

#[test]
fn a_run_without_memory_takes_its_batch_in_smaller_pieces_until_it_fits() {
    let script = |start: &Start| match start.micro_batches {
        4.. => (SECOND, RunOutcome::Completed),
        _ => (SECOND, RunOutcome::OutOfMemory { reason: "5 GB".into() }),
    };
    let (summary, started) = drive(queue(1, 1, 1, Policy { retries: 0, ..Policy::default() }), script);
    assert!(summary.all_done());
    assert_eq!(started.iter().map(|(_, start)| start.micro_batches).collect::<Vec<_>>(), [1, 2, 4]);
}

#[test]
fn a_run_that_does_not_fit_in_its_smallest_pieces_is_reported() {
    let out = RunOutcome::OutOfMemory { reason: "5 GB".into() };
    let (summary, started) = drive(queue(1, 1, 1, Policy::default()), |_| (SECOND, out.clone()));
    // A batch of four images has no more than four pieces.
    assert_eq!(started.iter().map(|(_, start)| start.micro_batches).collect::<Vec<_>>(), [1, 2, 4]);
    assert_eq!(summary.troubles, [(run_id(0), out)]);
}

#[test]
fn a_run_whose_batch_stays_whole_is_not_tried_in_pieces() {
    let out = RunOutcome::OutOfMemory { reason: "5 GB".into() };
    let devices = vec![Device::new("cpu", 1, 1)];
    let queue = Queue::new(vec![QueuedRun::new(run_id(0), 0, None, 1)], devices, Policy::default());
    let (summary, started) = drive(queue, |_| (SECOND, out.clone()));
    assert_eq!(started.iter().map(|(_, start)| start.micro_batches).collect::<Vec<_>>(), [1]);
    assert_eq!(summary.troubles, [(run_id(0), out)]);
}

/// `runs` runs on devices of one slot each.
fn on_devices(runs: usize, devices: &[&str]) -> Queue {
    let run = |number| QueuedRun::new(run_id(number), 0, None, 4);
    let devices = devices.iter().map(|name| Device::new(name, 1, 1)).collect();
    Queue::new((0..runs).map(run).collect(), devices, Policy { retries: 0, ..Policy::default() })
}

#[test]
fn a_lost_device_is_out_and_its_runs_go_on_elsewhere() {
    let script = |start: &Start| match start.device.as_str() {
        "cuda:0" => (SECOND, RunOutcome::DeviceLost { reason: "fell off the bus".into() }),
        _ => (SECOND, RunOutcome::Completed),
    };
    let (summary, started) = drive(on_devices(4, &["cuda:0", "cuda:1"]), script);
    assert!(summary.all_done());
    assert_eq!(started.iter().filter(|(_, start)| start.device == "cuda:0").count(), 1);
    assert_eq!(started.len(), 5);
}

#[test]
fn without_any_device_left_the_sweep_stops_and_can_go_on_another_day() {
    let lost = RunOutcome::DeviceLost { reason: "fell off the bus".into() };
    let (summary, started) = drive(on_devices(3, &["cuda:0"]), |_| (SECOND, lost.clone()));
    assert_eq!((started.len(), summary.counts.put_off, summary.counts.waiting), (1, 1, 2));
    assert_eq!(summary.stopped, Some(StopReason::NoDevice { reason: "fell off the bus".into() }));
    assert!(!summary.all_done());
}

#[test]
fn a_device_that_disagrees_is_tried_with_other_kernels_and_then_given_up() {
    use GpuKernels::{Burns, Fused, Unfused};
    let disagrees = || RunOutcome::DeviceDisagrees { reason: "loss 0.6, not 1.3".into() };
    for (right, expected) in
        [(Unfused, &[Fused, Unfused, Unfused, Unfused][..]), (Burns, &[Fused, Unfused, Burns, Burns, Burns])]
    {
        let (summary, started) = drive(on_devices(3, &["wgpu:0"]), |start| match start.gpu_kernels < right {
            true => (SECOND, disagrees()),
            false => (SECOND, RunOutcome::Completed),
        });
        assert!(summary.all_done());
        assert_eq!(started.iter().map(|(_, start)| start.gpu_kernels).collect::<Vec<_>>(), expected);
    }
    let (summary, started) = drive(on_devices(3, &["wgpu:0"]), |_| (SECOND, disagrees()));
    assert_eq!(started.len(), 3);
    assert_eq!(summary.stopped, Some(StopReason::NoDevice { reason: "loss 0.6, not 1.3".into() }));
}

#[test]
fn a_run_that_crashes_twice_before_its_first_step_takes_burns_kernels_and_others_do_not() {
    use GpuKernels::{Burns, Fused};
    let crash = || RunOutcome::Crashed { reason: "unable to load the PTX".into() };
    for (device, expected) in [("cuda:0", [Fused, Fused, Burns]), ("cpu", [Fused, Fused, Fused])] {
        let waiting = on_devices(2, &[device]).waiting().cloned().collect();
        let queue = Queue::new(waiting, vec![Device::new(device, 1, 1)], Policy::default());
        let first = queue.waiting().next().expect("a run").run_id.clone();
        let (_, started) = drive(queue, |start| match start.run_id == first && start.number < 3 {
            true => (SECOND, crash()),
            false => (SECOND, RunOutcome::Completed),
        });
        let kernels = |run: bool| -> Vec<GpuKernels> {
            let of = started.iter().filter(|(_, start)| (start.run_id == first) == run);
            of.map(|(_, start)| start.gpu_kernels).collect()
        };
        assert_eq!((kernels(true), kernels(false)), (expected.to_vec(), vec![Fused]), "{device}");
    }
}

#[test]
fn each_gpu_is_tried_with_all_its_kernels_before_it_is_given_up() {
    use GpuKernels::{Burns, Fused, Unfused};
    let waiting = on_devices(1, &["cuda:0"]).waiting().cloned().collect();
    let devices = ["cuda:0", "cuda:1"].map(|name| Device::new(name, 1, 1)).to_vec();
    let queue = Queue::new(waiting, devices, Policy::default());
    let disagrees = RunOutcome::DeviceDisagrees { reason: "loss".into() };
    let (summary, started) = drive(queue, |_| (SECOND, disagrees.clone()));
    let on = |name: &str| -> Vec<GpuKernels> {
        started.iter().filter(|(_, start)| start.device == name).map(|(_, start)| start.gpu_kernels).collect()
    };
    assert_eq!((on("cuda:0"), on("cuda:1")), (vec![Fused, Unfused, Burns], vec![Fused, Unfused, Burns]));
    assert_eq!(summary.stopped, Some(StopReason::NoDevice { reason: "loss".into() }));
}

#[test]
fn two_runs_that_disagree_at_once_change_the_kernels_once() {
    let mut queue = on_devices(2, &["wgpu:0"]);
    queue = Queue::new(
        queue.waiting().cloned().collect(),
        vec![Device::new("wgpu:0", 2, 1)],
        Policy { retries: 0, ..Policy::default() },
    );
    let script = |start: &Start| match start.gpu_kernels {
        GpuKernels::Fused => (SECOND, RunOutcome::DeviceDisagrees { reason: "loss".into() }),
        _ => (SECOND, RunOutcome::Completed),
    };
    let (summary, started) = drive(queue, script);
    assert!(summary.all_done());
    assert_eq!(started.len(), 4);
}

#[test]
fn a_full_disk_pauses_the_sweep_until_there_is_room() {
    let script = |start: &Start| match start.number {
        1 => (SECOND, RunOutcome::DiskFull { reason: "no space left on device".into() }),
        _ => (SECOND, RunOutcome::Completed),
    };
    let mut executor = FakeExecutor::new(script);
    executor.room_from = 60 * SECOND;
    let mut decisions = Vec::new();
    let mut observer = |update: Update| {
        if let News::Decided(decision) = update.news {
            decisions.push(decision.clone());
        }
    };
    let summary = execute(queue(1, 3, 2, Policy::default()), &mut executor, &mut observer, &Stop::default());
    assert!(summary.all_done());
    assert_eq!(executor.started.iter().filter(|(at, _)| *at < 60 * SECOND).count(), 2);
    // The third run meets the full disk of this script as well.
    let paused = |decision: &Decision| matches!(decision, Decision::Paused { .. });
    assert!(decisions.iter().filter(|decision| paused(decision)).count() >= 1);
    assert_eq!(decisions.last(), Some(&Decision::Resumed));
}

#[test]
fn a_paused_sweep_can_be_stopped() {
    let stop = Stop::default();
    let mut executor =
        FakeExecutor::new(|_: &Start| (SECOND, RunOutcome::DiskFull { reason: "no space left on device".into() }));
    executor.room_from = Duration::MAX;
    let mut observer = |update: Update| {
        if update.at > 30 * SECOND && stop.requests() == 0 {
            stop.request();
        }
    };
    let summary = execute(queue(1, 3, 2, Policy::default()), &mut executor, &mut observer, &stop);
    assert_eq!((summary.stopped.clone(), summary.counts.waiting), (Some(StopReason::Asked), 3));
}

#[test]
fn the_sweep_stops_at_so_many_failures() {
    let policy = Policy { max_failures: Some(2), retries: 0, ..Policy::default() };
    let (summary, started) = drive(queue(1, 5, 1, policy), |_| (SECOND, crash()));
    assert_eq!((started.len(), summary.counts.crashed, summary.counts.waiting), (2, 2, 3));
}

#[test]
fn what_would_end_the_same_way_is_not_retried() {
    for outcome in
        [RunOutcome::Diverged { reason: "loss is NaN".into() }, RunOutcome::Interrupted { reason: "SIGTERM".into() }]
    {
        let (summary, started) = drive(queue(1, 1, 1, Policy::default()), |_| (SECOND, outcome.clone()));
        assert_eq!(started.len(), 1, "{outcome:?}");
        assert_eq!(summary.all_done(), outcome.is_final(), "{outcome:?}");
    }
}

#[test]
fn fail_fast_stops_the_others_and_keeps_what_waits() {
    let policy = Policy { max_failures: Some(1), retries: 0, ..Policy::default() };
    let script = |start: &Start| match start.run_id == run_id(3) {
        true => (SECOND, crash()),
        false => (60 * SECOND, RunOutcome::Completed),
    };
    let (summary, _) = drive(queue(1, 4, 2, policy), script);
    assert_eq!(summary.stopped, Some(StopReason::Failed(run_id(3))));
    assert_eq!((summary.counts.crashed, summary.counts.interrupted, summary.counts.waiting), (1, 1, 2));
}

#[test]
fn a_diverged_run_does_not_stop_a_fail_fast_sweep() {
    let policy = Policy { max_failures: Some(1), ..Policy::default() };
    let diverged = RunOutcome::Diverged { reason: "loss is NaN".into() };
    let (summary, _) = drive(queue(1, 4, 2, policy), |_| (SECOND, diverged.clone()));
    assert_eq!((summary.counts.diverged, summary.stopped.clone()), (4, None));
    assert!(summary.all_done());
}

#[test]
fn a_request_to_stop_checkpoints_and_a_second_kills() {
    for requests in [1, 2] {
        let stop = Stop::default();
        let mut executor = FakeExecutor::new(|_: &Start| (10 * SECOND, RunOutcome::Completed));
        let mut observer = |update: Update| {
            if update.at >= SECOND && stop.requests() < requests {
                stop.request();
            }
        };
        let summary = execute(queue(1, 4, 2, Policy::default()), &mut executor, &mut observer, &stop);
        assert_eq!((executor.stopped, executor.killed), (true, requests == 2));
        assert_eq!(summary.stopped, Some(StopReason::Asked));
        assert_eq!((summary.counts.interrupted, summary.counts.waiting, summary.counts.running), (2, 2, 0));
        assert!(summary.elapsed < 2 * SECOND, "it does not wait for the runs' planned ends");
    }
}

#[test]
fn the_observer_hears_each_start_and_end_in_order() {
    let mut running = BTreeMap::new();
    let mut finished = 0;
    let mut observer = |update: Update| match update.news {
        News::Started(start) => assert_eq!(running.insert(start.run_id.clone(), ()), None),
        News::Ended { run_id, .. } => assert!(running.remove(run_id).is_some()),
        News::Finished(summary) => {
            assert_eq!(summary.counts, update.queue.counts());
            finished += 1;
        }
        _ => assert_eq!(finished, 0),
    };
    let script = |start: &Start| match start.number {
        1 => (SECOND, crash()),
        _ => (SECOND, RunOutcome::Completed),
    };
    let mut executor = FakeExecutor::new(script);
    execute(queue(2, 3, 2, Policy::default()), &mut executor, &mut observer, &Stop::default());
    assert_eq!((running.len(), finished), (0, 1));
}

#[test]
fn ten_thousand_runs_on_eight_slots_all_end_and_crashes_are_retried() {
    let script = |start: &Start| match start.number == 1 && start.run_id.as_str().ends_with('7') {
        true => (SECOND / 50, crash()),
        false => (SECOND / 20, RunOutcome::Completed),
    };
    let (summary, started) = drive(queue(100, 100, 8, Policy::default()), script);
    assert!(summary.all_done());
    assert_eq!((summary.counts.completed, started.len()), (10_000, 10_000 + summary.retries));
    assert!(summary.retries > 500, "{}", summary.retries);
}
