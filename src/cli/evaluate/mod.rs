//! `speedlab evaluate`: the weights that finished runs have kept, measured in other ways.

mod finished;
mod kept_averages;
mod measure;
mod settings;
mod words;

use std::path::PathBuf;

use clap::Args;

pub(super) use self::kept_averages::{KeptAverages, MadeAverage};
pub(super) use self::measure::{Known, measured};
use self::measure::{Measuring, OfRun};
use self::settings::{AVERAGE_LENGTH, combinations};
use super::data_progress::DataProgress;
use super::{DataArgs, Exit};
use crate::device::{self, DeviceName};
use crate::record::{RecordError, RunFolder, quoted};

/// The version of `evaluate --json`.
const EVALUATE_JSON_VERSION: u32 = 1;

#[derive(Debug, Args)]
#[command(
    after_help = "The weights are those of the run's last checkpoint. Every value is measured from the same noise as the run's own
evaluations, and is added to the run's record with a protocol of its own: the report shows it among the last values, in a line for each
protocol. What the run recorded itself stays as it is, and arms are compared by that alone. What is recorded already is shown, and not
measured again, so that the same command goes on where it was stopped.

Several values behind a key are measured one after the other, with every value of the other keys. The lowest FID is marked among those of
the same images, features and number of samples.

Keys: evaluate.fid and what is below it, evaluate.measures, evaluate.validation, evaluate.weights, train.ema.sigma_rel.

Other lengths of the averaged weights cost no training where the sweep has `train: { post_hoc: { every: 100 } }`: train.ema.sigma_rel=0.05,0.1
measures, of any such run, what `train: { ema: { kind: power, sigma_rel: 0.05 } }` would have averaged, as a sum of the kept averages (Karras et
al. 2024, arXiv 2312.02696, section 3). The protocol names it, `ema=post-hoc-power(0.05)`. Averages that are much shorter than the shortest kept
one, or than the time between two kept ones, are made least well: where more than 20 % are missed the table and the protocol say so.

Examples:
  speedlab evaluate results/study/runs/0123456789ab --set evaluate.fid.ode.steps=50
  speedlab evaluate results/study/runs/* --set evaluate.fid.guidance=1,1.5,2,3
  speedlab evaluate RUN --set evaluate.fid.samples=50000 --set evaluate.measures=[kid,precision_recall] --device cuda:0
  speedlab evaluate RUN --set 'evaluate.fid.ode={ kind: heun, steps: 18 },{ kind: ddim, steps: 250 }'
  speedlab evaluate results/study/runs/* --set train.ema.sigma_rel=0.05,0.075,0.1,0.15
  speedlab evaluate RUN --set evaluate.fid.guidance=1,2 --json | jq '.runs[0].evaluations[] | {set, fid: .measures[0].value}'"
)]
pub struct EvaluateArgs {
    /// Folders of runs: `results/<sweep>/runs/<run-id>`
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// A key of the sweep and the value, or values, that it is to have (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE,..", required = true)]
    sets: Vec<String>,
    /// The device that generates images: `cpu`, or a GPU such as `cuda:0` or `wgpu:0`. Features are computed on the CPU
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceName::Cpu)]
    device: DeviceName,
    /// Print the values as one JSON value
    #[arg(long)]
    json: bool,
    /// No progress on stderr
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    data: DataArgs,
}

/// What was asked for cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateCommandError {
    #[error("--set {set}: {problem}\nhint: {hint}")]
    Setting { set: String, problem: String, hint: &'static str },
    #[error(
        "`{key}` cannot be another after training\nhint: keys of `evaluate.fid` and `evaluate.validation`, `evaluate.measures`, \
         `evaluate.weights` and, of averages that were kept, `train.ema.sigma_rel` can; `speedlab run` trains runs with other keys"
    )]
    OtherKey { key: String },
    #[error("{} is no run's folder: {reason}\nhint: name results/<sweep>/runs/<run-id>", path.display())]
    NoRun { path: PathBuf, reason: RecordError },
    #[error("the run in {} {state}\nhint: {hint}", path.display())]
    NotFinished { path: PathBuf, state: String, hint: &'static str },
    #[error(
        "the run in {} was trained by `{trainer}`, which keeps its weights in its own way\nhint: measure them with that program", path.display()
    )]
    OfTrainer { path: PathBuf, trainer: String },
    #[error(
        "the run in {} has kept no weights: there is no {}\nhint: copies have them where they were made with checkpoints, as by `speedlab \
         bundle --checkpoints`", path.display(), checkpoint.display()
    )]
    NoWeights { path: PathBuf, checkpoint: PathBuf },
    #[error("the run in {} has kept no averages\nhint: {hint}", path.display())]
    NoneKept { path: PathBuf, hint: &'static str },
    #[error("no averages were kept at step {step}\nhint: they were kept at {known}")]
    OtherStep { step: u64, known: String },
    #[error(
        "`evaluate.weights: {weights}` measures no average that `{AVERAGE_LENGTH}` is the length of\nhint: measure `averaged` or `both`, or set \
         one of the two keys alone"
    )]
    WeightsOfNoAverage { weights: &'static str },
    #[error("the record of the run in {} is damaged: {damage}", path.display())]
    Damaged { path: PathBuf, damage: String },
    #[error(
        "values of the run in {} that were measured later cannot be read: {unread}\nhint: remove the file and give the same command again, or \
         put back a copy of it", path.display()
    )]
    Unread { path: PathBuf, unread: String },
}

/// The folders without those that were named before, by the same path or by another.
fn distinct(paths: &[PathBuf]) -> Vec<PathBuf> {
    let place = |path: &PathBuf| std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let mut found: Vec<PathBuf> = Vec::new();
    for path in paths {
        if !found.iter().any(|other| place(other) == place(path)) {
            found.push(path.clone());
        }
    }
    found
}

pub fn evaluate(args: &EvaluateArgs) -> anyhow::Result<Exit> {
    let combinations = combinations(&args.sets)?;
    let paths = distinct(&args.runs);
    let runs = paths.iter().map(|path| finished::finished(path, &combinations)).collect::<Result<Vec<_>, _>>()?;
    let device = device::open(args.device)?;
    let data_folder = args.data.folder()?;
    let mut measuring = Measuring::new(&combinations, &device, args.device, &data_folder)?;
    let mut found: Vec<OfRun> = Vec::new();
    {
        let mut progress = DataProgress::new(args.quiet);
        for run in runs {
            found.push(measuring.of_run(&run, &mut |step| progress.show(step))?);
        }
    }
    match args.json {
        true => out!("{}", words::json(EVALUATE_JSON_VERSION, &combinations, &found)),
        false => out!("{}", words::table(&combinations, &found)),
    }
    if found.iter().any(|run| run.evaluations.iter().any(|evaluation| evaluation.is_new)) {
        let mut sweeps: Vec<PathBuf> = Vec::new();
        for (path, run) in paths.iter().zip(&found) {
            let sweep = RunFolder { path: path.clone() }.sweep().map_or_else(|| run.study.clone(), |sweep| sweep.path);
            if !sweeps.contains(&sweep) {
                sweeps.push(sweep);
            }
        }
        for sweep in sweeps {
            eprintln!("note: `speedlab report {}` shows the new values", quoted(&sweep.display().to_string()));
        }
    }
    let all_there = found.iter().all(|run| run.evaluations.iter().all(|evaluation| evaluation.failed.is_none()));
    Ok(if all_there { Exit::AllDone } else { Exit::SomeFailed })
}
