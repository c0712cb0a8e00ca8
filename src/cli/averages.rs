//! `speedlab averages`: averages of other lengths, made of those that a run kept, and their quality.

use std::path::PathBuf;

use burn::tensor::{Device, Tensor, TensorData};
use clap::Args;
use serde::Serialize;

use super::evaluate::{EvaluateCommandError, KeptAverages, Known, MadeAverage, measured};
use super::table::new_table;
use super::{DataArgs, Exit};
use crate::data;
use crate::evaluate::Evaluator;
use crate::event::Measure;
use crate::model;
use crate::record::RunFolder;
use crate::spec::{EvaluatedWeights, PlannedRun, PostHocAverage, PowerEma};

/// The version of `averages --json`.
const AVERAGES_JSON_VERSION: u32 = 1;
/// The lengths that are tried where none are named.
const DEFAULT_SIGMA_RELS: [f64; 7] = [0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2];

#[derive(Debug, Args)]
#[command(
    after_help = "A run keeps two averages of its weights at intervals where its sweep says so: `train: { post_hoc: { every: 100 } }`. Averages by a
power function of any other length are sums of these (Karras et al. 2024, arXiv 2312.02696, section 3): no run is trained
again. Each is measured as the run's sweep measures by `evaluate.fid`, on the CPU, of any run and step, and only shown:
`speedlab evaluate RUN --set train.ema.sigma_rel=0.05,0.1` adds those of a finished run's last step to its record, on any device. Averages that are much shorter than the shortest kept one, or
than the time between two kept ones, are made least well: the column `missed` says how far off they are.

Examples:
  speedlab averages results/study/runs/0123456789ab
  speedlab averages results/study/runs/0123456789ab --sigma-rel 0.03,0.06,0.12 --step 4000
  speedlab averages results/study/runs/0123456789ab --json | jq '.averages[] | {sigma_rel, fid: .measures[0].value}'"
)]
pub struct AveragesArgs {
    /// The folder of the run: `results/<sweep>/runs/<run-id>`
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The lengths of the averages: the standard deviation of the averaged times as a share of the time trained
    #[arg(long, value_name = "X,..", value_delimiter = ',', default_values_t = DEFAULT_SIGMA_RELS, value_parser = sigma_rel, allow_hyphen_values = true)]
    sigma_rel: Vec<f64>,
    /// The step that the averages end at, one of those that keep averages [default: the last of them]
    #[arg(long, value_name = "N")]
    step: Option<u64>,
    /// Print the values as one JSON value
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataArgs,
}

fn sigma_rel(text: &str) -> Result<f64, String> {
    let known = text.parse().ok().filter(|sigma_rel| PowerEma::SIGMA_RELS.contains(sigma_rel));
    let (least, most) = PowerEma::SIGMA_RELS.into_inner();
    known.ok_or_else(|| format!("it must be from {least} to {most}"))
}

#[derive(Serialize)]
struct Averages {
    version: u32,
    run_id: String,
    /// The step that the averages end at.
    step: u64,
    /// The steps of the kept averages.
    kept: Vec<u64>,
    averages: Vec<Average>,
}

#[derive(Serialize)]
struct Average {
    sigma_rel: f64,
    /// How far what it is made of is from it, as functions of time: the norm of the difference over that of the average.
    missed: f64,
    /// The factor of each kept average: of sigma_rel 0.05 and 0.1 of each step in turn.
    factors: Vec<f64>,
    /// What `evaluate` of the sweep measures. Their protocol says `post-hoc`.
    measures: Vec<Measure>,
}

pub fn averages(args: &AveragesArgs) -> anyhow::Result<Exit> {
    let folder = RunFolder { path: args.run.clone() };
    let no_run = |reason| EvaluateCommandError::NoRun { path: args.run.clone(), reason };
    let PlannedRun { mut spec, run_id, .. } = folder.read_spec().map_err(no_run)?;
    let kept = KeptAverages::in_files(&folder, &spec, args.step)?;
    let step = kept.last_step();

    let data_folder = args.data.folder()?;
    let dataset = data::load_for(&spec, &data_folder, &mut |_| {})?;
    spec.evaluate.weights = EvaluatedWeights::Averaged;
    spec.evaluate.also.clear();
    let mut evaluator = Evaluator::new(&spec, &dataset, &data_folder, &mut || {})?;
    let device = Device::flex();
    let mut network = model::build_for(&spec, &device);
    let mut found = Vec::new();
    for &sigma_rel in &args.sigma_rel {
        eprintln!("the average of sigma_rel {sigma_rel} at step {step}");
        let made = kept.average(sigma_rel);
        if let Some(percent) = made.average.much_missed() {
            eprintln!(
                "note: what was kept makes the average of sigma_rel {sigma_rel} badly: {percent} % of it are missed"
            );
        }
        let weights = kept.weights(&made)?;
        let count = weights.len();
        network.set_weights(Tensor::from_data(TensorData::new(weights, [count]), &device));
        evaluator.name_average(&made.average.name());
        let measures = measured(&evaluator, 0, [&network, &network], &Known::new(), &mut |_| true)?;
        let MadeAverage { average: PostHocAverage { missed, .. }, factors } = made;
        found.push(Average { sigma_rel, missed, factors, measures });
    }
    let kept = kept.steps().to_vec();
    let averages = Averages { version: AVERAGES_JSON_VERSION, run_id: run_id.to_string(), step, kept, averages: found };
    match args.json {
        true => out!("{}", serde_json::to_string(&averages)?),
        false => out!("{}", as_table(&averages)),
    }
    Ok(Exit::AllDone)
}

/// A row for each average; losses of single bins of t are left to --json.
fn as_table(averages: &Averages) -> String {
    let mut table = new_table(["sigma_rel", "missed", "metric", "value"]);
    for average in &averages.averages {
        for measure in average.measures.iter().filter(|measure| !measure.metric.contains('/')) {
            let missed = format!("{:.1} %", 100.0 * average.missed);
            table.add_row([
                average.sigma_rel.to_string(),
                missed,
                measure.metric.to_string(),
                format!("{:.6}", measure.value),
            ]);
        }
    }
    let kept = averages.kept.len();
    format!("run {}, step {}, from averages kept at {kept} steps\n{table}", averages.run_id, averages.step)
}
