//! Measures the kept weights of a run by each combination of settings, and records what is new.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use burn::tensor::{Device, Tensor, TensorData};

use super::EvaluateCommandError as Error;
use super::finished::Finished;
use super::kept_averages::{KeptAverages, MadeAverage};
use super::settings::Combination;
use crate::cli::run_network::read_run;
use crate::data::{self, DataFolder, Dataset, OnProgress, Progress, Unit};
use crate::device::{self, DeviceName};
use crate::evaluate::{EvaluateError, Evaluator, SharedReferences};
use crate::event::{Measure, Stamp};
use crate::model::{self, Network};
use crate::plan::changed_run;
use crate::record::{LaterEvaluation, RunFolder, RunRecord, RunState, first_and_count};
use crate::run::{PROGRAM, build_of_this_program};
use crate::spec::{
    Consistency, Difficulty, Ema, EvaluatedWeights, Fid, PlannedRun, PostHocAverage, PowerEma, RunSpec, Weights,
};

/// What was found of one run.
pub struct OfRun {
    /// The folder of its sweep's results, by its absolute path.
    pub study: PathBuf,
    pub planned: PlannedRun,
    /// The step of the weights.
    pub step: u64,
    /// One for each combination.
    pub evaluations: Vec<Evaluated>,
}

/// The values by one combination.
pub struct Evaluated {
    /// How it was measured, resolved.
    pub spec: RunSpec,
    /// Whether something of it was not recorded before.
    pub is_new: bool,
    /// The values of each of the weights that are measured.
    pub of_weights: Vec<Vec<Measure>>,
    /// The average that the averaged weights are, where it was made of kept ones.
    pub average: Option<PostHocAverage>,
    /// Why there are no values.
    pub failed: Option<String>,
}

/// The values that are recorded at the step of the weights, by metric and protocol.
pub type Known = BTreeMap<(String, String), f64>;

/// What all runs are measured with.
pub struct Measuring<'m> {
    combinations: &'m [Combination],
    device: &'m Device,
    /// The device as records name it.
    label: String,
    build: String,
    data_folder: &'m DataFolder,
    shared: SharedReferences,
}

/// What a protocol of an evaluator measures of weights, averaged and raw, and is not known yet.
pub fn measured(
    evaluator: &Evaluator,
    protocol: usize,
    [averaged, raw]: [&Network; 2],
    known: &Known,
    progress: &mut dyn FnMut(f64) -> bool,
) -> Result<Vec<Measure>, EvaluateError> {
    let is_missing = |names: &[(String, String)]| names.iter().any(|name| !known.contains_key(name));
    let mut measured = Vec::new();
    if is_missing(&evaluator.values_by(protocol)) {
        measured = evaluator.evaluate_by(protocol, averaged, raw, progress)?;
    }
    if is_missing(&evaluator.values_of_validation()) {
        measured.extend(evaluator.validate(averaged, raw, &mut |_| true)?);
    }
    measured.retain(|measure| !known.contains_key(&name(measure)));
    Ok(measured)
}

fn name(measure: &Measure) -> (String, String) {
    (measure.metric.to_string(), measure.protocol.to_string())
}

impl<'m> Measuring<'m> {
    pub fn new(
        combinations: &'m [Combination],
        device: &'m Device,
        name: DeviceName,
        data_folder: &'m DataFolder,
    ) -> anyhow::Result<Self> {
        let label = device::label(name, device, rayon::current_num_threads(), 1, true);
        let build = build_of_this_program().context("cannot read the file of this program")?;
        Ok(Self { combinations, device, label, build, data_folder, shared: SharedReferences::default() })
    }

    /// Measures one run. Each combination is recorded before the next is measured.
    pub fn of_run(&mut self, run: &Finished, progress: OnProgress<'_>) -> anyhow::Result<OfRun> {
        let Finished { folder, planned } = run;
        let _lock = folder.lock()?;
        folder.remove_half_written()?;
        let record = RunRecord::read_in(folder, planned)?;
        if let RunState::Damaged(damage) = &record.state {
            return Err(Error::Damaged { path: folder.path.clone(), damage: first_and_count(damage) }.into());
        }
        // What such a file holds would be measured again, and it might be written over.
        if !record.unread.is_empty() {
            return Err(Error::Unread { path: folder.path.clone(), unread: first_and_count(&record.unread) }.into());
        }
        let specs = self.specs(run)?;
        let (_, mut checkpoint) = read_run(&folder.path)?;
        let stamp = checkpoint.progress.stamp;
        let kept = match self.combinations.iter().any(Combination::names_average) {
            true => Some(KeptAverages::up_to_checkpoint(folder, &planned.spec, &mut checkpoint)?),
            false => None,
        };
        let [own, raw] = [checkpoint.ema_weights, checkpoint.weights].map(|weights| self.network(planned, weights));
        let mut known: Known = record
            .rows
            .iter()
            .chain(record.later.iter())
            .filter(|row| row.step == stamp.step)
            .map(|row| ((row.metric.to_owned(), row.protocol.to_owned()), row.value))
            .collect();

        let mut evaluations = Vec::new();
        let mut loaded: Option<(Vec<Fid>, Dataset)> = None;
        // Those that differ in `evaluate.fid` alone are protocols of one evaluator.
        for group in specs.chunk_by(|one, other| without_fid(one) == without_fid(other)) {
            let mut spec = group[0].clone();
            spec.evaluate.also = group[1..].iter().map(|other| other.evaluate.fid.clone()).collect();
            // Averages of other lengths are of the same images.
            let fids: Vec<Fid> = spec.evaluate.fids().cloned().collect();
            let dataset = match loaded.take().filter(|(known, _)| *known == fids) {
                Some((_, dataset)) => dataset,
                None => {
                    // What stands in the sweep was there when it was trained; what is set may not be.
                    data::check_present(&spec, self.data_folder)?;
                    data::load_for(&spec, self.data_folder, progress)?
                }
            };
            let (shared, folder_of_data, device) = (&mut self.shared, self.data_folder, self.device);
            let mut evaluator = Evaluator::sharing(shared, &spec, &dataset, folder_of_data, device, &mut || {})?;
            loaded = Some((fids, dataset));
            let made = kept.as_ref().zip(length(&spec)).map(|(kept, sigma_rel)| (kept, kept.average(sigma_rel)));
            if let Some((_, MadeAverage { average, .. })) = &made {
                evaluator.name_average(&average.name());
            }
            let network_of_made = OnceCell::new();
            // An average is made when something is measured of it first.
            let networks = || -> anyhow::Result<[&Network; 2]> {
                let Some((kept, made)) = &made else { return Ok([&own, &raw]) };
                let averaged = match network_of_made.get() {
                    Some(averaged) => averaged,
                    None => {
                        let weights = kept.weights(made)?;
                        network_of_made.get_or_init(|| self.network(planned, weights))
                    }
                };
                Ok([averaged, &raw])
            };
            for (index, spec) in group.iter().enumerate() {
                let combination = &self.combinations[evaluations.len()];
                let doing = format!("{}: {}", planned.run_id, combination.words());
                let images = (spec.evaluate.fid.samples * evaluator.weights().len()) as f64;
                let mut shown = |share: f64| {
                    let (done, total) = ((share * images) as u64, Some(images as u64));
                    progress(&Progress { doing: doing.clone(), done, total, unit: Unit::Images });
                    true
                };
                let average = made.as_ref().map(|(_, made)| made.average);
                let asked = Asked { folder, stamp, spec, evaluator: &evaluator, protocol: index, average };
                let evaluated = self.by_combination(&asked, &networks, &mut known, &mut shown)?;
                evaluations.push(evaluated);
            }
        }
        // A run that is named from within its study has no folders above it in its path.
        let own = RunFolder { path: std::fs::canonicalize(&folder.path).unwrap_or_else(|_| folder.path.clone()) };
        let study = own.sweep().map_or(own.path, |sweep| sweep.path);
        Ok(OfRun { study, planned: planned.clone(), step: stamp.step, evaluations })
    }

    /// The run with the settings of each combination, without what is not measured again.
    fn specs(&self, run: &Finished) -> anyhow::Result<Vec<RunSpec>> {
        let path = run.folder.path.join("spec.json");
        let mut specs = Vec::new();
        for combination in self.combinations {
            let mut base = run.planned.spec.clone();
            base.evaluate.also.clear();
            base.evaluate.grid_images = 1;
            base.evaluate.consistency = Consistency::default();
            base.evaluate.difficulty = Difficulty::default();
            if combination.names_average() {
                base.train.ema = Ema::Power(PowerEma::default());
                base.evaluate.weights = EvaluatedWeights::Averaged;
            }
            let spec = changed_run(&path, &base, &combination.overrides())?;
            if combination.names_average() && !spec.evaluate.weights.each().contains(&Weights::Averaged) {
                let weights = if spec.evaluate.weights == EvaluatedWeights::Raw { "raw" } else { "own" };
                return Err(Error::WeightsOfNoAverage { weights }.into());
            }
            specs.push(spec);
        }
        Ok(specs)
    }

    fn network(&self, planned: &PlannedRun, weights: Vec<f32>) -> Network {
        let spec = &planned.spec;
        let mut network = model::build_for(spec, self.device);
        let count = weights.len();
        network.set_weights(Tensor::from_data(TensorData::new(weights, [count]), self.device));
        network
    }

    /// Measures what is not known yet of one combination, and records it. `networks`: with averaged weights and with raw ones.
    fn by_combination<'n>(
        &self,
        asked: &Asked<'_>,
        networks: &dyn Fn() -> anyhow::Result<[&'n Network; 2]>,
        known: &mut Known,
        progress: &mut dyn FnMut(f64) -> bool,
    ) -> anyhow::Result<Evaluated> {
        let Asked { folder, stamp, spec, evaluator, protocol, average } = *asked;
        let (values, losses) = (evaluator.values_by(protocol), evaluator.values_of_validation());
        let is_new = values.iter().chain(&losses).any(|name| !known.contains_key(name));
        if is_new {
            let measures = match measured(evaluator, protocol, networks()?, known, progress) {
                Ok(measures) => measures,
                Err(error @ EvaluateError::NotFinite { .. }) => {
                    let (spec, failed) = (spec.clone(), Some(error.to_string()));
                    return Ok(Evaluated { spec, is_new: false, of_weights: vec![], average, failed });
                }
                Err(error) => return Err(error.into()),
            };
            known.extend(measures.iter().map(|measure| (name(measure), measure.value)));
            let mut evaluation = LaterEvaluation::new(stamp, spec.evaluate.clone());
            evaluation.measured_at = jiff::Timestamp::now().to_string();
            PROGRAM.clone_into(&mut evaluation.program);
            evaluation.build.clone_from(&self.build);
            evaluation.device.clone_from(&self.label);
            evaluation.average = average;
            evaluation.measures = measures;
            folder.write_evaluation(&evaluation)?;
        }
        let weights = evaluator.weights().len();
        let measure = |name: &(String, String)| {
            let (metric, protocol) = name;
            Measure { metric: metric.as_str().into(), protocol: protocol.as_str().into(), value: known[name] }
        };
        let of_weights = values.chunks(values.len() / weights).zip(&losses);
        let of_weights = of_weights.map(|(values, loss)| values.iter().chain([loss]).map(measure).collect());
        Ok(Evaluated { spec: spec.clone(), is_new, of_weights: of_weights.collect(), average, failed: None })
    }
}

/// One combination, and who measures by it.
#[derive(Clone, Copy)]
struct Asked<'a> {
    folder: &'a RunFolder,
    /// That of the weights.
    stamp: Stamp,
    spec: &'a RunSpec,
    evaluator: &'a Evaluator,
    /// Its place among the evaluator's protocols.
    protocol: usize,
    average: Option<PostHocAverage>,
}

/// The length of the average that averaged weights are.
fn length(spec: &RunSpec) -> Option<f64> {
    match spec.train.ema {
        Ema::Power(PowerEma { sigma_rel }) => Some(sigma_rel),
        Ema::Exponential(_) | Ema::HalfLife(_) => None,
    }
}

fn without_fid(spec: &RunSpec) -> RunSpec {
    let mut spec = spec.clone();
    spec.evaluate.fid = Fid::default();
    spec
}
