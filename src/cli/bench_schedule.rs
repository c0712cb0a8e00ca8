//! `speedlab bench-schedule`: what scheduling costs.

use std::collections::VecDeque;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::Exit;
use crate::event::{RunEvent, RunOutcome, Stamp};
use crate::schedule::{
    Device, Policy, ProcessExecutor, Queue, QueuedRun, Report, RunCommand, RunExecutor, Start, StartError, Stop,
    execute,
};
use crate::spec::RunId;
use crate::train::Stopwatch;

#[derive(Debug, Args)]
pub struct BenchScheduleArgs {
    /// The number of runs that are scheduled and end at once
    #[arg(long, default_value_t = 10_000)]
    runs: usize,
    #[arg(long, default_value_t = 8)]
    devices: usize,
    /// The number of processes that are started and end at once
    #[arg(long, default_value_t = 200)]
    processes: usize,
}

/// Ends every run as soon as it starts, a tenth of them in a crash at first.
struct AtOnce {
    running: VecDeque<Start>,
    now: Duration,
}

impl RunExecutor for AtOnce {
    fn start(&mut self, start: &Start) -> Result<(), StartError> {
        self.running.push_back(start.clone());
        Ok(())
    }

    fn next(&mut self, patience: Duration) -> Option<Report> {
        let Some(Start { run_id, number, .. }) = self.running.pop_front() else {
            self.now += patience;
            return None;
        };
        self.now += Duration::from_millis(1);
        let outcome = match number == 1 && run_id.as_str().ends_with('7') {
            true => RunOutcome::Crashed { reason: "at first".to_owned() },
            false => RunOutcome::Completed,
        };
        Some(Report::Ended { run_id, outcome })
    }

    fn stop(&mut self) {}

    fn kill(&mut self) {}

    fn now(&self) -> Duration {
        self.now
    }

    fn has_room(&mut self) -> bool {
        true
    }
}

pub fn bench_schedule(args: &BenchScheduleArgs) -> anyhow::Result<Exit> {
    let mut stopwatch = Stopwatch::continuing(&Stamp::default());
    let decided = stopwatch.training(|| {
        let mut executor = AtOnce { running: VecDeque::new(), now: Duration::ZERO };
        execute(queue(args.runs, args.devices, 1), &mut executor, &mut |_| {}, &Stop::default())
    });
    let decide_seconds = stopwatch.train_seconds();

    let log = std::env::temp_dir().join(format!("speedlab-bench-schedule-{}.txt", std::process::id()));
    let command = |_: &Start| {
        RunCommand::this_program(vec!["no-run".into()], log.clone()).expect("the running program has a path")
    };
    let mut executor = ProcessExecutor::new(command);
    let started = execute(queue(args.processes, 1, 1), &mut executor, &mut |_| {}, &Stop::default());
    std::fs::remove_file(&log)?;
    anyhow::ensure!(decided.all_done() && started.all_done(), "not all runs ended: {decided:?} {started:?}");
    out!(
        "{}",
        json!({
            "version": 1,
            "runs": args.runs,
            "devices": args.devices,
            "starts": args.runs + decided.retries,
            "decide_seconds": decide_seconds,
            "processes": args.processes,
            "seconds_per_process": started.elapsed.as_secs_f64() / args.processes.max(1) as f64,
        })
    );
    Ok(Exit::AllDone)
}

/// A run that is done as soon as it starts.
pub fn no_run() -> anyhow::Result<Exit> {
    let ended = RunEvent::Ended { stamp: Stamp::default(), outcome: RunOutcome::Completed };
    out!("{}", serde_json::to_string(&ended)?);
    Ok(Exit::AllDone)
}

fn queue(runs: usize, devices: usize, slots: usize) -> Queue {
    let run = |number: usize| {
        let run_id = RunId::parse(&format!("{number:012x}")).expect("twelve hexadecimal digits");
        QueuedRun::new(run_id, number as u64 / 100, Some((number % 100) as f64), 64)
    };
    let devices = (0..devices).map(|index| Device::new(&format!("cuda:{index}"), slots, 1)).collect();
    Queue::new((0..runs).map(run).collect(), devices, Policy::default())
}
