//! `speedlab run`: plan, train what is missing, report.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::data_progress::DataProgress;
use super::device_args::DeviceArgs;
use super::progress::Progress;
use super::report::write_and_print;
use super::seed_args::SeedArgs;
use super::serve::RunServeArgs;
use super::{Color, DataArgs, Exit, SweepArgs};
use crate::data;
use crate::record::SweepFolder;
use crate::report::Drawn;
use crate::report::number::duration;
use crate::schedule::{Policy, RunExecutor as _, Stop, Summary, Update};
use crate::spec::{Plan, RunId};
use crate::study::{
    ChosenDevices, EvaluateOnDevice, NoRound, Observer, RunLabel, Study, StudyError, Tracker, live_tasks,
};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  speedlab run sweeps/quickstart.yaml
  speedlab run sweeps/quickstart.yaml --jobs 1          one run at a time, on all cores
  speedlab run sweeps/small/cifar10.yaml --device cuda:0,1
  speedlab run sweeps/small/cifar10.yaml --device cuda:0 --evaluate-on cuda:1
  speedlab run sweeps/quickstart.yaml --set seeds=1 --set name=try
  speedlab run sweeps/quickstart.yaml --set name=decided --until-decided --budget 1h
  speedlab run sweeps/quickstart.yaml --only 0123        the run whose id begins with 0123, and no other
  speedlab run sweeps/quickstart.yaml --serve           and a page in the browser that lives while the sweep runs

Ctrl-C once: running runs write a checkpoint and stop. The same command goes on with them.
Ctrl-C twice: they stop at once. Nothing that was recorded is lost.")]
pub struct RunArgs {
    #[command(flatten)]
    sweep: SweepArgs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    devices: DeviceArgs,
    /// Evaluate on this device: `same`, `cpu` or a GPU. `same` has the device that trains compute the features of large networks such
    /// as Inception, too, if they are the CPU's. Another device evaluates beside training, which goes on meanwhile; a run that is stopped then goes on from before that
    /// evaluation. By default the
    /// device that trains generates images, and the CPU computes their features
    #[arg(long, value_name = "DEVICE")]
    evaluate_on: Option<EvaluateOnDevice>,
    /// Capture the kernels of a training step, and of a pass that generates images, and launch them together, as a CUDA graph: for GPUs that wait for the host to launch
    /// the kernels of small networks. Before a run trains so, its first steps are compared with the same steps kernel by kernel.
    /// Runs whose steps need the host (optimizers other than Adam, tokens that are masked or aligned, batches of several sizes) train kernel by kernel, and their device is recorded without it
    #[arg(long)]
    capture_steps: bool,
    #[command(flatten)]
    seeds: SeedArgs,
    /// Train only the run whose id begins so (repeatable); the others of the plan stay as they are
    #[arg(long, value_name = "RUN", conflicts_with = "dry_run")]
    only: Vec<String>,
    /// Train every run from its first step. By default a run whose first steps are those of another of the sweep, bit for bit, begins from
    /// the other's state after them, where that is at least a tenth of its steps: arms that differ in the end of their learning rates alone, say. Its
    /// curves and clocks contain those steps as if it had trained them. Runs by a `trainer` of your own and tasks of a cluster never share
    #[arg(long)]
    no_sharing: bool,
    /// With --until-decided: add no seed whose runs would end later than this time after the start, such as 90m or 2h
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    budget: Option<Duration>,
    /// Stop the sweep when a run has failed for good, instead of going on with the others
    #[arg(long, conflicts_with = "max_failures")]
    fail_fast: bool,
    /// Stop the sweep when N runs have failed for good
    #[arg(long, value_name = "N")]
    max_failures: Option<NonZeroU32>,
    /// How often a run that crashed or fell silent is started again from its checkpoint
    #[arg(long, value_name = "N", default_value_t = 2)]
    retries: u32,
    /// Kill a run that says nothing for this long, and start it again. A run whose parent died has as long for its last
    /// checkpoint, up to 120 seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(1..))]
    patience: u64,
    #[command(flatten)]
    serve: RunServeArgs,
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

impl RunArgs {
    fn chosen(&self, plan: &Plan) -> Result<ChosenDevices, StudyError> {
        self.devices.choose(self.evaluate_on, plan)?.capturing_steps(self.capture_steps, plan)
    }
}

pub fn run(args: &RunArgs, color: Color) -> anyhow::Result<Exit> {
    let (plan, folder) = args.seeds.plan(&args.sweep)?;
    if args.budget.is_some() && plan.until_decided.is_none() {
        return Err(StudyError::BudgetOfFixedSeeds.into());
    }
    if args.dry_run {
        return super::plan::show(&plan, &folder, &args.chosen(&plan)?, &args.data, !args.no_sharing, args.json);
    }
    let taken = args.serve.take()?;
    note_tasks(&plan, &folder)?;
    let chosen = args.chosen(&plan)?;
    if !args.quiet {
        eprintln!("{:>10}  {}", "device", chosen.words);
    }
    let mut shown = Shown::new(&plan.name, args.quiet, color);
    if let Some(note) = &chosen.note {
        shown.note(note);
    }
    let slots = chosen.devices.iter().map(|device| device.slots).sum::<usize>() as f64;
    let only = chosen_runs(&plan, &args.only)?;
    let study = Study {
        plan,
        only,
        shares: !args.no_sharing,
        results: args.sweep.results.clone(),
        data_folder: args.data.folder()?,
        devices: chosen,
        sweep_arguments: args.seeds.as_written(&args.sweep),
    };
    // Before anything is frozen or started a signal ends the program as usual.
    let mut study = study.open(&mut shown)?;
    let live = taken.map(|taken| taken.begin(study.folder().clone(), None)).transpose()?;
    if let Some(live) = &live {
        eprintln!("{:>10}  {}", "live page", live.url());
    }
    let (mut spent, mut end) = (Duration::ZERO, Duration::ZERO);
    let stop = Stop::on_signals().context("cannot listen to signals")?;
    let max_failures = if args.fail_fast { Some(1) } else { args.max_failures.map(NonZeroU32::get) };
    let policy = Policy { max_failures, retries: args.retries, ..Policy::default() };
    let (summary, no_round) = loop {
        let queue = study.begin()?;
        let mut executor = study.executor(&queue, Duration::from_secs(args.patience))?;
        let summary = study.train(queue, policy, &mut executor, &mut shown, &stop)?;
        spent += executor.now();
        drop(executor);
        study.note_held(&summary)?;
        // Seeds are added to whole studies.
        if summary.stopped.is_some() || !args.only.is_empty() {
            break (summary, None);
        }
        let is_affordable = |runs: usize, seconds_each: f64| {
            end = spent + Duration::from_secs_f64(runs as f64 * seconds_each / slots);
            args.budget.is_none_or(|budget| end <= budget)
        };
        match study.next_round(&mut shown, is_affordable)? {
            Ok(()) => {}
            Err(no_round) => break (summary, Some(no_round)),
        }
    };
    let exit = exit_of(&summary, &stop);
    // From here on a signal ends the program as usual again.
    drop(stop);
    write_and_print(study.folder(), None, args.json, &Drawn::Few.into())?;
    if let Some(live) = live {
        live.end();
    }
    if summary.stopped.is_some() && !args.quiet {
        eprintln!("stopped; to go on: speedlab run {}", args.seeds.as_written(&args.sweep));
    }
    match no_round {
        Some(NoRound::TooLong { runs }) => {
            let time = duration(end.as_secs_f64());
            eprintln!(
                "the next seed is {runs} runs more and would end about {time} after the start, beyond --budget; to go on: speedlab run {}",
                args.seeds.as_written(&args.sweep)
            );
            Ok(if exit == Exit::AllDone { Exit::Incomplete } else { exit })
        }
        _ => Ok(exit),
    }
}

/// The runs whose ids begin as is asked for; `None` where nothing is.
fn chosen_runs(plan: &Plan, asked: &[String]) -> Result<Option<BTreeSet<RunId>>, StudyError> {
    let mut chosen = BTreeSet::new();
    for prefix in asked {
        let begins = plan.runs.iter().filter(|run| run.run_id.as_str().starts_with(&prefix.to_lowercase()));
        let mut ids: Vec<&RunId> = begins.map(|run| &run.run_id).collect();
        match (ids.len(), ids.pop()) {
            (1, Some(only)) => drop(chosen.insert(only.clone())),
            (count, _) => {
                return Err(StudyError::NoSuchRun { prefix: prefix.clone(), study: plan.name.clone(), count });
            }
        }
    }
    Ok((!asked.is_empty()).then_some(chosen))
}

/// Prints a note where a cluster has some of the runs.
fn note_tasks(plan: &Plan, folder: &SweepFolder) -> anyhow::Result<()> {
    let of_plan =
        |runs: Vec<RunId>| runs.into_iter().filter(|run_id| plan.runs.iter().any(|run| run.run_id == *run_id)).count();
    match live_tasks(folder, true) {
        Ok(tasks) => match tasks.into_iter().map(|(_, runs)| of_plan(runs)).sum::<usize>() {
            0 => {}
            runs => eprintln!(
                "note: {runs} runs are in tasks of a cluster that wait or run, and are trained here as well; `speedlab cancel` ends the tasks"
            ),
        },
        Err(StudyError::Cluster(error)) => {
            eprintln!("note: runs were handed to a cluster, which cannot be asked here: {error}")
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// `90m`, `2h`, `1h30m`, `45s`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration =
        text.parse().map_err(|_| "give a time such as 45s, 90m, 2h or 1h30m".to_owned())?;
    Duration::try_from(span).map_err(|_| "a time is positive".to_owned())
}

/// The display on stderr.
pub(super) struct Shown {
    images: DataProgress,
    runs: Progress,
}

impl Shown {
    pub(super) fn new(sweep: &str, quiet: bool, color: Color) -> Self {
        Self { images: DataProgress::new(quiet), runs: Progress::new(sweep, quiet, color.on_stderr()) }
    }
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

pub(super) fn exit_of(summary: &Summary, stop: &Stop) -> Exit {
    match stop.exit_code() {
        Some(code) if !summary.all_done() => Exit::Code(code),
        _ if summary.counts.failed() + summary.counts.diverged > 0 => Exit::SomeFailed,
        _ if summary.all_done() => Exit::AllDone,
        _ => Exit::Incomplete,
    }
}
