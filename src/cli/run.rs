//! `speedlab run`: plan, train what is missing, report.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::Context as _;
use clap::Args;

use super::cost::Estimator;
use super::progress::{Progress, RunLabel};
use super::report::write_report;
use super::{Color, DataArgs, Exit, SweepArgs, data_needed};
use crate::data::DataFolder;
use crate::plan;
use crate::record::{PlanFile, RunFolder, SweepFolder, record_silent_end};
use crate::run::PROGRAM;
use crate::schedule::{
    self, CpuThreads, News, Policy, ProcessExecutor, Queue, QueuedRun, RunCommand, Start, Stop, Summary, Update,
};
use crate::spec::Plan;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab run sweeps/quickstart.yaml
  speedlab run sweeps/quickstart.yaml --set train.steps=100 --set seeds=1 --set name=try   a quick try, kept apart
  speedlab run sweeps/quickstart.yaml --jobs 1                                           one run at a time, on all cores

Ctrl-C once writes checkpoints and stops; the same command goes on from there. Ctrl-C twice stops at once and still
loses nothing that was recorded.")]
pub struct RunArgs {
    #[command(flatten)]
    sweep: SweepArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Runs at once; each gets its share of the cores [default: one run a core]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Stop the sweep when a run fails, instead of going on with the others
    #[arg(long)]
    fail_fast: bool,
    /// How often a crashed run is started again from its checkpoint
    #[arg(long, value_name = "N", default_value_t = 2)]
    retries: u32,
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
        super::plan::show(&plan, &folder, args.jobs, args.json)?;
        data_needed::check(&plan, &folder, &args.data.folder()?)?;
        return Ok(Exit::AllDone);
    }
    let data_folder = args.data.folder()?;
    data_needed::check(&plan, &folder, &data_folder)?;
    // Before anything is frozen or started; a signal ends it as usual.
    data_needed::prepare(&plan, &folder, &data_folder, args.quiet)?;
    let _lock = folder.lock()?;
    let now = jiff::Timestamp::now().to_string();
    PlanFile::freeze(&folder, &plan, PROGRAM, &now, &args.sweep.as_written())?;

    let stop = Stop::on_signals().context("cannot listen to signals")?;
    let summary = train_missing(args, &plan, &folder, &data_folder, color, &stop)?;
    let exit = exit_of(&summary, &stop);
    // From here on a signal ends the program as usual.
    drop(stop);
    write_report(&folder, args.json)?;
    if summary.stopped.is_some() && !args.quiet {
        eprintln!("stopped; to go on: speedlab run {}", args.sweep.as_written());
    }
    Ok(exit)
}

fn train_missing(
    args: &RunArgs,
    plan: &Plan,
    folder: &SweepFolder,
    data_folder: &DataFolder,
    color: Color,
    stop: &Stop,
) -> anyhow::Result<Summary> {
    let device = CpuThreads::of_this_machine(args.jobs, plan.runs.len()).device();
    let estimator = Estimator::new(None, device.threads);
    let (mut queued, mut labels) = (Vec::new(), Vec::new());
    for run in &plan.runs {
        let run_folder = folder.run(&run.run_id);
        let outcome = run_folder.read_done()?;
        if outcome.is_none() {
            run_folder.prepare(run)?;
        }
        let cost = estimator.cost(&run.spec);
        let cost = Some(cost.train_seconds + cost.eval_seconds);
        labels.push(RunLabel::new(run, cost, run_folder.log()));
        queued.push(QueuedRun { run_id: run.run_id.clone(), seed: run.seed, cost, outcome });
    }
    let runs_at_once = device.slots;
    let policy = Policy { fail_fast: args.fail_fast, retries: args.retries, ..Policy::default() };
    let queue = Queue::new(queued, vec![device], policy);

    // Relative paths would follow a change of folder; the child is told where things are whatever happens.
    let results = std::path::absolute(&args.sweep.results)?;
    let mut executor = ProcessExecutor::new(|start: &Start| {
        let run_folder = folder.run(&start.run_id);
        command(&results, &plan.name, start, runs_at_once, data_folder, &run_folder)
            .expect("the running program has a path")
    });
    let mut progress = Progress::new(&plan.name, labels, args.quiet, color.on_stderr());
    let mut failure = None;
    let mut observer = |update: Update| {
        if let News::Ended { run_id, outcome, .. } = update.news
            && let Err(error) = record_silent_end(&folder.run(run_id).journal(), outcome)
        {
            failure.get_or_insert(error);
        }
        progress.show(&update);
    };
    let summary = schedule::execute(queue, &mut executor, &mut observer, stop);
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(summary),
    }
}

fn command(
    results: &Path,
    sweep: &str,
    start: &Start,
    runs_at_once: usize,
    data_folder: &DataFolder,
    run_folder: &RunFolder,
) -> std::io::Result<RunCommand> {
    let args: Vec<OsString> = vec![
        "exec".into(),
        results.into(),
        sweep.into(),
        start.run_id.as_str().into(),
        runs_at_once.to_string().into(),
        "--data-dir".into(),
        data_folder.path().into(),
    ];
    RunCommand::this_program(args, run_folder.log())
}

fn exit_of(summary: &Summary, stop: &Stop) -> Exit {
    match stop.exit_code() {
        Some(code) if !summary.all_done() => Exit::Code(code),
        _ if summary.counts.failed() + summary.counts.diverged > 0 => Exit::SomeFailed,
        _ if summary.all_done() => Exit::AllDone,
        _ => Exit::Incomplete,
    }
}
