//! `speedlab submit` and `speedlab cancel`: a sweep's missing runs on a cluster.

use std::num::NonZeroUsize;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::progress::words::roughly;
use super::seed_args::SeedArgs;
use super::{DataArgs, Exit, SweepArgs};
use crate::data;
use crate::plan::load_cluster;
use crate::record::{Engine, JobKind};
use crate::study::{ChosenDevices, Handed, Handover, Observer, RunLabel, Study, Survey, Tracker, WantedDevices};

#[derive(Debug, Args)]
#[command(
    after_help = "A run is missing if it is planned, has not ended, and is in no task that waits or runs. Given twice, the command hands in nothing
the second time, if the engine can be asked (Slurm, and Kubernetes where there is a kubectl). Tasks write checkpoints before
their time is over and go on by themselves. `status`, `logs`, `report` and `cancel` work from any login node. Options of the
cluster are keys of the sweep (`speedlab keys cluster`) or `--set`. Everything after `--` is passed to sbatch verbatim.

Examples:
  speedlab submit sweeps/quickstart.yaml --set cluster.cpus=4 --set cluster.minutes=60
  speedlab submit sweeps/paper/cifar10-speedup.yaml --set cluster.gpus=1 --device cuda --until-decided -- --qos=low
  speedlab submit sweeps/quickstart.yaml --persist          a last job hands in again the runs that were cancelled or ran out of time
  speedlab submit sweeps/quickstart.yaml -n                 what would be handed in; changes nothing
  speedlab submit sweeps/quickstart.yaml --engine command   prints a line for GNU parallel, HyperQueue, PBS, LSF or SkyPilot"
)]
pub struct SubmitArgs {
    #[command(flatten)]
    sweep: SweepArgs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    seeds: SeedArgs,
    /// The engine that the runs are handed to
    #[arg(long, value_enum, default_value_t = EngineName::Slurm)]
    engine: EngineName,
    /// The devices of each task: `auto`, `cpu`, or GPUs such as `cuda` and `cuda:0,1`, as the node names them
    #[arg(long, value_name = "DEVICE", default_value_t = WantedDevices::Auto)]
    device: WantedDevices,
    /// The number of runs at once on each device of a task [default: one run a core, one run a GPU]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Queue a last job behind all others. It hands in again what is then missing, as long as something was done
    #[arg(long)]
    persist: bool,
    /// Also hand in runs whose last attempts reached no checkpoint
    #[arg(long)]
    again: bool,
    /// Show what would be handed in and change nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Print one JSON value
    #[arg(long)]
    json: bool,
    /// Options for sbatch
    #[arg(last = true, value_name = "SBATCH OPTIONS")]
    flags: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum EngineName {
    /// Job arrays by `sbatch`
    Slurm,
    /// An Indexed Job, applied where there is a `kubectl`
    Kubernetes,
    /// Nothing is started: the command of a task is printed
    Command,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  speedlab cancel sweeps/quickstart.yaml")]
pub struct CancelArgs {
    #[command(flatten)]
    sweep: SweepArgs,
}

/// The version of `submit --json`.
const SUBMIT_JSON_VERSION: u32 = 1;

pub fn submit(args: &SubmitArgs) -> anyhow::Result<Exit> {
    let (plan, folder) = args.seeds.plan(&args.sweep)?;
    let engine = match args.engine {
        EngineName::Slurm => Engine::Slurm,
        EngineName::Kubernetes => Engine::Kubernetes,
        EngineName::Command => Engine::Command,
    };
    if engine != Engine::Slurm && (args.persist || !args.flags.is_empty()) {
        eprintln!(
            "error: `--persist` and options after `--` are Slurm's\nhint: other engines have no job that comes last: give `speedlab submit` again"
        );
        return Ok(Exit::Invalid);
    }
    let handover = Handover {
        engine,
        sweep_arguments: args.sweep.as_written(),
        cluster: load_cluster(&args.sweep.sweep, &args.sweep.overrides)?,
        flags: args.flags.clone(),
        device: args.device.to_string(),
        runs_at_once: args.jobs.map(NonZeroUsize::get),
        persist: args.persist,
        again: args.again,
    };
    if args.dry_run {
        let survey = handover.survey(&plan, &folder)?;
        let tasks = handover.tasks(&survey);
        if args.json {
            out!(
                "{}",
                json!({ "version": SUBMIT_JSON_VERSION, "missing": survey.missing.len(), "ended": survey.ended,
                "live": survey.live, "stuck": survey.stuck.len(), "tasks": tasks })
            );
            return Ok(Exit::AllDone);
        }
        out!("{}", survey_words(&survey));
        out!("{} tasks would be handed in; nothing was", tasks.len());
        return Ok(Exit::AllDone);
    }
    let study = Study {
        only: None,
        shares: false,
        plan,
        results: std::path::absolute(&args.sweep.results)?,
        data_folder: args.data.folder()?,
        devices: ChosenDevices::of_a_cluster(engine, &handover.device),
        sweep_arguments: args.seeds.as_written(&args.sweep),
    };
    let handed = study.hand_over(&handover, &mut Notes)?;
    if args.json {
        let submission = handed.submission.as_ref();
        out!(
            "{}",
            json!({ "version": SUBMIT_JSON_VERSION, "submission": submission.map(|submission| submission.number),
            "missing": handed.survey.missing.len(), "ended": handed.survey.ended, "live": handed.survey.live,
            "stuck": handed.survey.stuck.len(), "left_over": handed.left_over, "command": handed.command,
            "tasks": submission.map(|submission| &submission.tasks), "jobs": submission.map(|submission| &submission.jobs) })
        );
        return Ok(exit_of(&handed));
    }
    print_handed(&handed)
}

/// What was handed in, for people.
pub(super) fn print_handed(handed: &Handed) -> anyhow::Result<Exit> {
    out!("{}", survey_words(&handed.survey));
    let Some(submission) = &handed.submission else {
        out!("nothing to hand in");
        return Ok(exit_of(handed));
    };
    for job in &submission.jobs {
        let what = match job.kind {
            JobKind::Prepare => "images and reference features".to_owned(),
            JobKind::Tasks => format!("{} tasks from {}", job.count, job.first),
            JobKind::Finish => "the report, after them".to_owned(),
        };
        let id = job.id.as_ref().map_or_else(String::new, |id| format!("job {id}: "));
        out!("  {id}{what} ({})", job.name);
    }
    if let Some(command) = &handed.command {
        match submission.engine {
            Engine::Command => out!(
                "start for each INDEX from 0 to {}, and again where it exits with 3:\n  {command}\nthen: speedlab report {}",
                submission.tasks.len() - 1,
                submission.sweep_arguments
            ),
            _ => out!("  {command}; where there is no kubectl here: kubectl apply -f {command}"),
        }
    }
    if submission.engine == Engine::Slurm && !handed.has_last_job {
        out!(
            "warning: the queue had no room for the job that comes last: `speedlab report` writes the report, and `speedlab submit` goes on"
        );
    }
    if handed.left_over > 0 {
        out!("the queue had no room for {} tasks: hand in again when there is", handed.left_over);
    }
    out!("submission {}; to see how it goes: speedlab status {}", submission.number, submission.sweep_arguments);
    Ok(exit_of(handed))
}

fn exit_of(handed: &Handed) -> Exit {
    if handed.left_over > 0 { Exit::Incomplete } else { Exit::AllDone }
}

pub(super) fn survey_words(survey: &Survey) -> String {
    let known = survey.missing.iter().map(|(_, seconds)| seconds).filter(|seconds| seconds.is_finite());
    let unknown = survey.missing.len() - known.clone().count();
    let unknown = if unknown > 0 { format!(", and {unknown} runs whose time nobody knows") } else { String::new() };
    let mut words = format!(
        "{} runs are missing (about {} of one device{unknown}); {} have ended, {} wait or run on the cluster",
        survey.missing.len(),
        roughly(known.sum()),
        survey.ended,
        survey.live
    );
    for (run, attempts) in &survey.stuck {
        words.push_str(&format!(
            "\nwarning: {} seed {} is left out: {attempts} attempts reached no checkpoint beyond the one that they began at\nhint: see `speedlab logs {}`; give tasks more time (`cluster.minutes`) or notice (`cluster.notice_seconds`), then --again",
            run.trial, run.seed, run.run_id
        ));
    }
    for run in &survey.damaged {
        words.push_str(&format!(
            "\nwarning: {} seed {} is left out, because its record is damaged",
            run.trial, run.seed
        ));
    }
    words
}

pub fn cancel(args: &CancelArgs) -> anyhow::Result<Exit> {
    let (_, folder) = args.sweep.begun()?;
    let tasks = crate::study::cancel(&folder)?;
    out!("{tasks} tasks were told to end; `speedlab submit` hands in again what is missing");
    Ok(Exit::AllDone)
}

/// Notes go to stderr; nothing else happens while runs are handed in.
struct Notes;

impl Observer for Notes {
    fn note(&mut self, text: &str) {
        eprintln!("note: {text}");
    }

    fn preparing(&mut self, _: &data::Progress) {}

    fn begins(&mut self, _: &[RunLabel]) {}

    fn update(&mut self, _: &crate::schedule::Update, _: &Tracker) {}

    fn warn(&mut self, _: std::time::Duration, text: &str) {
        eprintln!("warning: {text}");
    }
}
