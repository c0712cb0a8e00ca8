//! `speedlab averages`: averages of other lengths, made of those that a run kept, and their quality.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use burn::tensor::{Device, Tensor, TensorData};
use clap::Args;
use serde::Serialize;

use super::table::new_table;
use super::{DataArgs, Exit};
use crate::data;
use crate::evaluate::Evaluator;
use crate::event::Measure;
use crate::model;
use crate::optim::{POST_HOC_SIGMA_RELS, Profile, post_hoc_factors, post_hoc_missed, weighted_sum};
use crate::record::{RecordError, RunFolder};
use crate::spec::{Ema, EvaluatedWeights, PlannedRun, PowerEma, RunSpec};
use crate::train::AverageSnapshot;

/// The version of `averages --json`.
const AVERAGES_JSON_VERSION: u32 = 1;
/// The lengths that are tried where none are named.
const DEFAULT_SIGMA_RELS: [f64; 7] = [0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2];
/// From here on an average is not what it is called.
const MUCH_MISSED: f64 = 0.2;

#[derive(Debug, Args)]
#[command(
    after_help = "A run keeps two averages of its weights at intervals where its sweep says so: `train: { post_hoc: { every: 100 } }`. Averages by a
power function of any other length are sums of these (Karras et al. 2024, arXiv 2312.02696, section 3): no run is trained
again. Each is measured as the run's sweep measures by `evaluate.fid`, on the CPU. Averages that are much shorter than the shortest kept one, or
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

/// What was asked for is not there.
#[derive(Debug, thiserror::Error)]
pub enum AveragesError {
    #[error("{} is no run's folder: {reason}\nhint: name results/<sweep>/runs/<run-id>", path.display())]
    NoRun { path: PathBuf, reason: RecordError },
    #[error("no averages were kept at step {step}\nhint: they were kept at {known}")]
    OtherStep { step: u64, known: String },
    #[error(
        "the run in {} has kept no averages\nhint: runs keep them with `train: {{ post_hoc: {{ every: 100 }} }}` in the sweep",
        path.display()
    )]
    NoneKept { path: PathBuf },
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
    let PlannedRun { spec, run_id, .. } =
        folder.read_spec().map_err(|reason| AveragesError::NoRun { path: args.run.clone(), reason })?;
    let kept = read_kept(&folder, &spec)?;
    let steps: Vec<u64> = kept.iter().map(|snapshot| snapshot.step).collect();
    let step = args.step.unwrap_or(*steps.last().expect("some are kept"));
    if !steps.contains(&step) {
        let known: Vec<String> = steps.iter().map(u64::to_string).collect();
        return Err(AveragesError::OtherStep { step, known: known.join(", ") }.into());
    }
    // What came later is no part of an average that ends there.
    let kept: Vec<AverageSnapshot> = kept.into_iter().filter(|snapshot| snapshot.step <= step).collect();
    let profiles: Vec<Profile> = kept
        .iter()
        .flat_map(|snapshot| POST_HOC_SIGMA_RELS.map(|sigma_rel| Profile { step: snapshot.step, sigma_rel }))
        .collect();
    let weights: Vec<&[f32]> =
        kept.iter().flat_map(|snapshot| snapshot.averages.each_ref()).map(Vec::as_slice).collect();

    let data_folder = args.data.folder()?;
    let dataset = data::load_for(&spec, &data_folder, &mut |_| {})?;
    let mut found = Vec::new();
    for &sigma_rel in &args.sigma_rel {
        eprintln!("the average of sigma_rel {sigma_rel} at step {step}");
        let wanted = Profile { step, sigma_rel };
        let factors = post_hoc_factors(&profiles, wanted);
        let missed = post_hoc_missed(&profiles, wanted, &factors);
        if missed > MUCH_MISSED {
            eprintln!(
                "note: what was kept makes the average of sigma_rel {sigma_rel} badly: {:.0} % of it are missed",
                100.0 * missed
            );
        }
        let average = weighted_sum(&weights, &factors);
        let mut spec = spec.clone();
        spec.train.ema = Ema::Power(PowerEma { sigma_rel });
        spec.evaluate.weights = EvaluatedWeights::Averaged;
        spec.evaluate.also.clear();
        let device = Device::flex();
        let mut network = model::build_for(&spec, &device);
        let count = average.len();
        network.set_weights(Tensor::from_data(TensorData::new(average, [count]), &device));
        let evaluator = Evaluator::new(&spec, &dataset, &data_folder, &mut || {})?;
        let mut measures = evaluator.evaluate(&network, &network, &mut |_| true)?.measures;
        for measure in &mut measures {
            measure.protocol = measure.protocol.replace("ema=power(", "ema=post-hoc-power(").into();
        }
        found.push(Average { sigma_rel, missed, factors, measures });
    }
    let kept = kept.iter().map(|snapshot| snapshot.step).collect();
    let averages = Averages { version: AVERAGES_JSON_VERSION, run_id: run_id.to_string(), step, kept, averages: found };
    match args.json {
        true => out!("{}", serde_json::to_string(&averages)?),
        false => out!("{}", as_table(&averages)),
    }
    Ok(Exit::AllDone)
}

/// The averages that the run kept, by step; at least one.
fn read_kept(folder: &RunFolder, spec: &RunSpec) -> anyhow::Result<Vec<AverageSnapshot>> {
    let parameter_count = model::parameter_count_for(spec);
    let read = |path: &Path| -> anyhow::Result<AverageSnapshot> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let read = AverageSnapshot::from_bytes(&bytes, parameter_count)
            .with_context(|| format!("cannot read {}\nhint: without this file the others are used", path.display()))?;
        if *path != folder.averages(read.step) || read.step > spec.train.steps {
            bail!("{} holds averages of step {}: it is not this run's, or was renamed", path.display(), read.step);
        }
        Ok(read)
    };
    let mut kept = folder.kept_averages()?.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<_>>>()?;
    kept.sort_by_key(|snapshot| snapshot.step);
    if kept.is_empty() {
        return Err(AveragesError::NoneKept { path: folder.path.clone() }.into());
    }
    Ok(kept)
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
