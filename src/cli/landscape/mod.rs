//! `speedlab landscape`: the loss around trained weights.

mod measure;
mod numbers;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use self::measure::{barrier, line, of_run};
use self::numbers::{Landscape, OfPair};
use self::words::words;
use super::run_network::read_run;
use super::{DataArgs, Exit};
use crate::data;
use crate::evaluate::landscape::LossSurface;
use crate::record::write_beside;
use crate::report::{BetweenRuns, RunLandscape, write_landscape};
use crate::spec::PlannedRun;

#[derive(Debug, Args)]
#[command(after_help = "Everything is computed on the CPU, also for runs that a GPU trained.

The loss is the validation loss of the first held-out images, each at one timestep of every bin of t, always the same timestep.
Lines and planes follow random directions. Each filter of a direction is as long as that filter of the weights (Li et al. 2018,
arXiv 1712.09913). Products with the Hessian are central differences of gradients in f32. The change with half the step is
printed beside the eigenvalues.

Examples:
  speedlab landscape results/quickstart/runs/0123456789ab
  speedlab landscape results/quickstart/runs/* --plane 0 --eigenvalues 0 --trace 0
  speedlab landscape RUN1 RUN2 --images 64 --lanczos 60 --out drawings
  speedlab landscape RUN --json | jq '.runs[0].hessian.eigenvalues[0]'")]
pub struct LandscapeArgs {
    /// Folders of runs: `results/<sweep>/runs/<run-id>`; the first is compared with each of the others
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// Which weights of the run's last checkpoint are measured
    #[arg(long, value_enum, default_value_t = Weights::Ema)]
    weights: Weights,
    /// The number of held-out images that the loss is computed on
    #[arg(long, value_name = "N", default_value_t = 16)]
    images: usize,
    /// The number of losses along each line; 0 draws no lines
    #[arg(long, value_name = "N", default_value_t = 25)]
    points: usize,
    /// The number of random lines through the weights
    #[arg(long, value_name = "N", default_value_t = 5)]
    directions: usize,
    /// The number of losses along each side of a random plane; 0 draws no plane
    #[arg(long, value_name = "N", default_value_t = 21)]
    plane: usize,
    /// How far lines and planes go, in lengths of the filters
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    extent: f64,
    /// The number of eigenvalues of the Hessian; 0 finds none
    #[arg(long, value_name = "K", default_value_t = 5)]
    eigenvalues: usize,
    /// The number of steps of Lanczos' method; each is a product with the Hessian
    #[arg(long, value_name = "N", default_value_t = 30)]
    lanczos: usize,
    /// The number of samples of the Hessian's trace; each is a product with the Hessian. 0 estimates no trace
    #[arg(long, value_name = "N", default_value_t = 20)]
    trace: usize,
    /// The step of the central differences, in lengths of the weight vector
    #[arg(long, value_name = "X", default_value_t = 3e-4)]
    step: f64,
    /// The seed of the random directions
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The folder that the figures are written to, with the numbers in landscape.json
    #[arg(long, value_name = "DIR", default_value = "landscape")]
    out: PathBuf,
    /// Print the numbers as one JSON value
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum Weights {
    /// The averaged weights, which evaluations measure by default
    Ema,
    /// The weights of the last step
    Raw,
}

/// The version of `landscape --json`.
const LANDSCAPE_VERSION: u32 = 1;
/// A run with its weights.
struct Trained {
    planned: PlannedRun,
    name: String,
    step: u64,
    weights: Vec<f32>,
}

pub fn landscape(args: &LandscapeArgs) -> anyhow::Result<Exit> {
    check(args)?;
    let trained = args.runs.iter().map(|run| read(run, args.weights)).collect::<anyhow::Result<Vec<Trained>>>()?;
    let out = std::path::absolute(&args.out)?;
    fs::create_dir_all(&out).with_context(|| format!("cannot make the folder {}", args.out.display()))?;
    let data_folder = args.data.folder()?;

    let (mut runs, mut drawn, mut between, mut drawn_between) = (vec![], vec![], vec![], vec![]);
    let mut loss = String::new();
    for (index, run) in trained.iter().enumerate() {
        let spec = &run.planned.spec;
        let dataset = data::load_for(spec, &data_folder, &mut |_| {})?;
        let mut surface = LossSurface::new(spec, &dataset, args.images)?;
        if index == 0 {
            loss = surface.protocol();
        }
        let initial = surface.weights();
        let name = |what: &str| format!("{}: {what}", run.name);
        if index > 0 && args.points > 0 {
            let first = &trained[0];
            compatible(first, run, &loss, &surface.protocol())?;
            eprintln!("{}", name("the line to the first run"));
            let points = line(&mut surface, &first.weights, &run.weights, args.points)?;
            let pair = format!("{} to {}", first.name, run.name);
            drawn_between.push(BetweenRuns { name: pair, points: points.clone() });
            let (first, second) = (first.planned.run_id.to_string(), run.planned.run_id.to_string());
            between.push(OfPair { first, second, barrier: barrier(&points), points });
        }
        let of_run = of_run(args, run, &mut surface, &initial)?;
        drawn.push(RunLandscape {
            name: run.name.clone(),
            from_initial: of_run.from_initial.clone(),
            slices: of_run.random_lines.clone(),
            plane: of_run.plane.clone(),
            eigenvalues: of_run.hessian.iter().flat_map(|found| &found.eigenvalues).map(|found| found.value).collect(),
        });
        runs.push(of_run);
    }
    let landscape =
        Landscape { version: LANDSCAPE_VERSION, weights: args.weights, loss, seed: args.seed, runs, between };
    let json = serde_json::to_string(&landscape)?;
    let mut paths = write_landscape(&drawn, &drawn_between, &out)?;
    let numbers = out.join("landscape.json");
    write_beside(&numbers, format!("{json}\n").as_bytes())?;
    paths.push(numbers);
    if args.json {
        out!("{json}");
        return Ok(Exit::AllDone);
    }
    out!("{}", words(&landscape));
    for path in paths {
        out!("{}", path.display());
    }
    Ok(Exit::AllDone)
}

fn check(args: &LandscapeArgs) -> anyhow::Result<()> {
    if args.images == 0 {
        bail!("--images must be at least 1");
    }
    for (name, value) in [("--points", args.points), ("--plane", args.plane)] {
        if value == 1 || value > 1000 {
            bail!("{name} must be 0, for none, or from 2 to 1000, not {value}");
        }
    }
    for (name, value, most) in [("--extent", args.extent, 1e6), ("--step", args.step, 1.0)] {
        if !(value > 0.0 && value <= most) {
            bail!("{name} must be above 0 and at most {most}, not {value}");
        }
    }
    if args.eigenvalues > args.lanczos {
        bail!(
            "--eigenvalues {} needs at least as many steps of --lanczos, not {}\nhint: three times as many find them well",
            args.eigenvalues,
            args.lanczos
        );
    }
    Ok(())
}

fn read(run: &Path, weights: Weights) -> anyhow::Result<Trained> {
    let (planned, checkpoint) = read_run(run)?;
    let name = format!("{}, seed {}", planned.trial, planned.seed);
    let step = checkpoint.progress.stamp.step;
    let weights = match weights {
        Weights::Ema => checkpoint.ema_weights,
        Weights::Raw => checkpoint.weights,
    };
    Ok(Trained { planned, name, step, weights })
}

/// Refuses a line between the weights of two runs unless model, images, noise schedule and loss are the same.
fn compatible(first: &Trained, second: &Trained, first_loss: &str, second_loss: &str) -> anyhow::Result<()> {
    let (one, other) = (&first.planned.spec, &second.planned.spec);
    let reason = if one.model != other.model {
        "their models differ".to_owned()
    } else if one.data != other.data || one.noise_schedule != other.noise_schedule {
        "their images or noise schedules differ".to_owned()
    } else if first_loss != second_loss {
        format!("their losses differ: {first_loss}; {second_loss}")
    } else {
        return Ok(());
    };
    bail!("there is no line from {} to {}: {reason}\nhint: look at them one at a time", first.name, second.name)
}
