//! `speedlab run`: plan, train what is missing, report.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use rayon::prelude::*;

use super::cost::Estimator;
use super::device_args::{Chosen, DeviceArgs};
use super::live::LiveWriter;
use super::progress::{Progress, RunLabel};
use super::report::write_report;
use super::{Color, DataArgs, Exit, SweepArgs, data_needed};
use crate::data::DataFolder;
use crate::device::WITHOUT_FUSION;
use crate::event::RunOutcome;
use crate::plan;
use crate::record::{PlanFile, RecordError, RunRecord, RunState, Session, SweepFolder, host_name, record_silent_end};
use crate::run::{PROGRAM, build_of_this_program};
use crate::schedule::{
    self, Device, News, Policy, ProcessExecutor, Queue, QueuedRun, Room, RunCommand, Start, Stop, Summary, Update,
    is_no_room,
};
use crate::spec::Plan;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab run sweeps/quickstart.yaml
  speedlab run sweeps/quickstart.yaml --set train.steps=100 --set seeds=1 --set name=try   a quick try, kept apart
  speedlab run sweeps/quickstart.yaml --jobs 1                                           one run at a time, on all cores
  speedlab run sweeps/cifar10.yaml --device cuda:0,1                                     on two GPUs, one run on each

Ctrl-C once writes checkpoints and stops; the same command goes on from there. Ctrl-C twice stops at once and still
loses nothing that was recorded.")]
pub struct RunArgs {
    #[command(flatten)]
    sweep: SweepArgs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    devices: DeviceArgs,
    /// Stop the sweep when a run has failed for good, instead of going on with the others
    #[arg(long, conflicts_with = "max_failures")]
    fail_fast: bool,
    /// Stop the sweep when so many runs have failed for good
    #[arg(long, value_name = "N")]
    max_failures: Option<NonZeroU32>,
    /// How often a run that crashed or fell silent is started again from its checkpoint
    #[arg(long, value_name = "N", default_value_t = 2)]
    retries: u32,
    /// Seconds that a run may say nothing before it is killed as stuck and started again; also what a run whose parent died has for
    /// its last checkpoint, up to 120
    #[arg(long, value_name = "SECONDS", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(1..))]
    patience: u64,
    /// Show what would run and change nothing, as `speedlab plan` does
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// No progress on stderr
    #[arg(long, short)]
    quiet: bool,
    /// Print the table of speedups (with -n the plan) as one JSON value
    #[arg(long)]
    json: bool,
}

pub fn run(args: &RunArgs, color: Color) -> anyhow::Result<Exit> {
    let plan = plan::load_sweep(&args.sweep.sweep, &args.sweep.overrides)?;
    let folder = SweepFolder::new(&args.sweep.results, &plan.name);
    if args.dry_run {
        return super::plan::show(&plan, &folder, &args.devices, &args.data, args.json);
    }
    let chosen = args.devices.choose(&plan)?;
    if !args.quiet {
        eprintln!("{:>10}  {}", "device", chosen.words);
    }
    if let Some(note) = &chosen.note {
        eprintln!("note: {note}");
    }
    let data_folder = args.data.folder()?;
    for note in data_needed::check(&plan, &folder, &data_folder)? {
        eprintln!("note: {note}");
    }
    // Before anything is frozen or started; a signal ends it as usual.
    data_needed::prepare(&plan, &folder, &data_folder, args.quiet)?;
    let _lock = folder.lock()?;
    let now = jiff::Timestamp::now().to_string();
    let mut frozen = PlanFile::freeze(&folder, &plan, PROGRAM, &now, &args.sweep.as_written())?;
    let session = Session {
        started_at: now,
        program: PROGRAM.to_owned(),
        build: build_of_this_program().context("cannot read this program's own file")?,
        host: host_name(),
        devices: chosen.devices.iter().map(|device| device.name.clone()).collect(),
    };

    let stop = Stop::on_signals().context("cannot listen to signals")?;
    let queued = Queued::prepare(&plan, &folder, &chosen)?;
    if queued.runs.iter().any(|run| run.outcome.is_none()) {
        frozen.begin_session(&folder, session.clone())?;
    }
    let sweep = Sweep { args, plan: &plan, folder: &folder, data_folder: &data_folder, build: &session.build };
    let summary = sweep.train(queued, chosen, color, &stop)?;
    let exit = exit_of(&summary, &stop);
    // From here on a signal ends the program as usual.
    drop(stop);
    write_report(&folder, args.json)?;
    if summary.stopped.is_some() && !args.quiet {
        eprintln!("stopped; to go on: speedlab run {}", args.sweep.as_written());
    }
    Ok(exit)
}

/// Seconds that a run has for a last checkpoint when this program has died; less where `--patience` is less.
const MOST_GRACE: u64 = 120;

/// The plan's runs, their folders made.
struct Queued {
    runs: Vec<QueuedRun>,
    labels: Vec<RunLabel>,
    /// What must fit on the disk for a run to go on: two checkpoints of the largest network, and what else a run leaves.
    room_bytes: u64,
}

impl Queued {
    fn prepare(plan: &Plan, folder: &SweepFolder, chosen: &Chosen) -> anyhow::Result<Self> {
        let threads = chosen.devices.first().map_or(1, |device| device.threads);
        let estimator = Estimator::new(None, threads);
        let (mut runs, mut labels, mut disk_bytes) = (Vec::new(), Vec::new(), 0f64);
        let records = plan.runs.par_iter().map(|run| RunRecord::read(folder, run));
        for record in records.collect::<Result<Vec<_>, _>>()? {
            let run = &record.planned;
            let run_folder = folder.run(&run.run_id);
            let outcome = match record.state {
                RunState::Ended(outcome) => Some(outcome),
                RunState::Damaged(damage) => {
                    Some(RunOutcome::Crashed { reason: format!("its record is damaged: {}", damage.join("; ")) })
                }
                RunState::Waiting | RunState::Unfinished => {
                    run_folder.prepare(run)?;
                    None
                }
            };
            let cost = estimator.cost(&run.spec);
            disk_bytes = disk_bytes.max(cost.disk_bytes);
            let cost = Some(cost.train_seconds + cost.eval_seconds);
            // As its last attempt took them: what did not fit in memory then would not fit now.
            let micro_batches =
                record.attempts.last().filter(|_| outcome.is_none()).map_or(1, |last| last.micro_batches);
            labels.push(RunLabel::new(run, cost, run_folder.log()));
            let queued = QueuedRun::new(run.run_id.clone(), run.seed, cost, run.spec.train.batch_size);
            let is_kept_out = outcome.as_ref().is_some_and(|outcome| !outcome.is_final());
            runs.push(QueuedRun { outcome, is_kept_out, micro_batches, ..queued });
        }
        Ok(Self { runs, labels, room_bytes: 2 * disk_bytes as u64 })
    }
}

/// What every run of a session is started with.
struct Sweep<'a> {
    args: &'a RunArgs,
    plan: &'a Plan,
    folder: &'a SweepFolder,
    data_folder: &'a DataFolder,
    build: &'a str,
}

impl Sweep<'_> {
    fn train(&self, queued: Queued, chosen: Chosen, color: Color, stop: &Stop) -> anyhow::Result<Summary> {
        let Queued { runs, labels, room_bytes } = queued;
        let args = self.args;
        let max_failures = if args.fail_fast { Some(1) } else { args.max_failures.map(NonZeroU32::get) };
        let policy = Policy { max_failures, retries: args.retries, ..Policy::default() };
        let runs_at_once: Vec<usize> = chosen.devices.iter().map(|device: &Device| device.slots).collect();
        let queue = Queue::new(runs, chosen.devices, policy);

        // Relative paths would follow a change of folder; the child is told where things are whatever happens.
        let results = std::path::absolute(&args.sweep.results)?;
        let mut executor = ProcessExecutor::new(|start: &Start| {
            self.command(&results, start, runs_at_once[start.slot.device]).expect("the running program has a path")
        });
        executor.patience = Duration::from_secs(args.patience);
        executor.room = Some(Room { folder: self.folder.path.clone(), bytes: room_bytes });
        let mut progress = Progress::new(&self.plan.name, labels, args.quiet, color.on_stderr());
        let mut live = LiveWriter::new(self.folder, self.plan);
        let mut failure = None;
        let mut observer = |update: Update| {
            if let News::Ended { run_id, outcome, .. } = update.news
                && let Err(error) = record_silent_end(&self.folder.run(run_id).journal(), outcome)
                // A full disk does not take the note that it is full either; the next attempt says where it goes on.
                && !matches!(&error, RecordError::Io { source, .. } if is_no_room(source))
            {
                failure.get_or_insert(error);
            }
            progress.show(&update);
            if let Err(error) = live.show(&update, progress.tracker()) {
                let text = format!("`speedlab status` of other processes cannot show how this goes on: {error}");
                progress.warn(update.at, &text);
            }
        };
        let summary = schedule::execute(queue, &mut executor, &mut observer, stop);
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(summary),
        }
    }

    fn command(&self, results: &Path, start: &Start, runs_at_once: usize) -> std::io::Result<RunCommand> {
        let mut args: Vec<OsString> = vec![
            "exec".into(),
            results.into(),
            self.plan.name.as_str().into(),
            start.run_id.as_str().into(),
            "--device".into(),
            start.device.as_str().into(),
            "--runs-at-once".into(),
            runs_at_once.to_string().into(),
            "--build".into(),
            self.build.into(),
            "--grace".into(),
            self.args.patience.min(MOST_GRACE).to_string().into(),
            "--micro-batches".into(),
            start.micro_batches.to_string().into(),
            "--data-dir".into(),
            self.data_folder.path().into(),
        ];
        let mut environment = Vec::new();
        if !start.fusion {
            let (name, value) = WITHOUT_FUSION;
            args.push("--without-fusion".into());
            environment.push((name.to_owned(), value.to_owned()));
        }
        let command = RunCommand::this_program(args, self.folder.run(&start.run_id).log())?;
        Ok(RunCommand { environment, ..command })
    }
}

fn exit_of(summary: &Summary, stop: &Stop) -> Exit {
    match stop.exit_code() {
        Some(code) if !summary.all_done() => Exit::Code(code),
        _ if summary.counts.failed() + summary.counts.diverged > 0 => Exit::SomeFailed,
        _ if summary.all_done() => Exit::AllDone,
        _ => Exit::Incomplete,
    }
}
