//! `speedlab run`: plan, train what is missing, report.

use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::data_progress::DataProgress;
use super::device_args::DeviceArgs;
use super::progress::Progress;
use super::report::write_and_print;
use super::{Color, DataArgs, Exit, SweepArgs};
use crate::data;
use crate::plan;
use crate::record::SweepFolder;
use crate::schedule::{Policy, Stop, Summary, Update};
use crate::study::{Observer, RunLabel, Study, Tracker};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab run sweeps/quickstart.yaml
  speedlab run sweeps/quickstart.yaml --jobs 1          one run at a time, on all cores
  speedlab run sweeps/small/cifar10.yaml --device cuda:0,1
  speedlab run sweeps/quickstart.yaml --set seeds=1 --set name=try

Ctrl-C once: running runs write a checkpoint and stop; the same command goes on.
Ctrl-C twice: they stop at once; nothing that was recorded is lost.")]
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
    /// Stop the sweep when N runs have failed for good
    #[arg(long, value_name = "N")]
    max_failures: Option<NonZeroU32>,
    /// Start a run that crashed or fell silent again from its checkpoint, up to N times
    #[arg(long, value_name = "N", default_value_t = 2)]
    retries: u32,
    /// Kill a run that says nothing for so long, and start it again. A run whose parent died has as long for its last checkpoint,
    /// up to 120 seconds
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
    let mut shown =
        Shown { images: DataProgress::new(args.quiet), runs: Progress::new(&plan.name, args.quiet, color.on_stderr()) };
    if let Some(note) = &chosen.note {
        shown.note(note);
    }
    let study = Study {
        plan,
        results: args.sweep.results.clone(),
        data_folder: args.data.folder()?,
        devices: chosen,
        sweep_arguments: args.sweep.as_written(),
    };
    // Before anything is frozen or started a signal ends the program as usual.
    let mut study = study.open(&mut shown)?;
    let stop = Stop::on_signals().context("cannot listen to signals")?;
    let queue = study.begin()?;
    let max_failures = if args.fail_fast { Some(1) } else { args.max_failures.map(NonZeroU32::get) };
    let policy = Policy { max_failures, retries: args.retries, ..Policy::default() };
    let mut executor = study.executor(&queue, Duration::from_secs(args.patience))?;
    let summary = study.train(queue, policy, &mut executor, &mut shown, &stop)?;
    drop(executor);
    let exit = exit_of(&summary, &stop);
    // From here on a signal ends the program as usual again.
    drop(stop);
    write_and_print(study.folder(), args.json)?;
    if summary.stopped.is_some() && !args.quiet {
        eprintln!("stopped; to go on: speedlab run {}", args.sweep.as_written());
    }
    Ok(exit)
}

/// What a person sees of it on stderr.
struct Shown {
    images: DataProgress,
    runs: Progress,
}

impl Observer for Shown {
    fn note(&mut self, text: &str) {
        eprintln!("note: {text}");
    }

    fn preparing(&mut self, progress: &data::Progress) {
        self.images.show(progress);
    }

    fn begins(&mut self, _: &[RunLabel]) {
        self.images.clear();
    }

    fn update(&mut self, update: &Update, tracker: &Tracker) {
        self.runs.show(update, tracker);
    }

    fn warn(&mut self, at: Duration, text: &str) {
        self.runs.warn(at, text);
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
