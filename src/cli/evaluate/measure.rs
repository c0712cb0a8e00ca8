//! Measures the kept weights of a run by each combination of settings, and records what is new.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use burn::tensor::{Device, Tensor, TensorData};

use super::EvaluateCommandError as Error;
use super::settings::Combination;
use crate::cli::run_network::read_run;
use crate::data::{self, DataFolder, OnProgress, Progress, Unit};
use crate::device::{self, DeviceName};
use crate::evaluate::{EvaluateError, Evaluator, SharedReferences};
use crate::event::{Measure, RunOutcome, Stamp};
use crate::model::{self, Network};
use crate::plan::changed_run;
use crate::record::{LaterEvaluation, RunFolder, RunRecord, RunState, first_and_count};
use crate::run::{PROGRAM, build_of_this_program};
use crate::spec::{Consistency, Difficulty, PlannedRun, RunSpec};

/// A run that has ended as planned, with its weights.
pub struct Finished {
    folder: RunFolder,
    planned: PlannedRun,
}

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
    /// Why there are no values.
    pub failed: Option<String>,
}

/// The values that are recorded at the step of the weights, by metric and protocol.
type Known = BTreeMap<(String, String), f64>;

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

/// The run in a folder, if it has ended as planned and its weights are there.
pub fn finished(path: &Path) -> Result<Finished, Error> {
    let (path, folder) = (path.to_owned(), RunFolder { path: path.to_owned() });
    let no_run = |reason| Error::NoRun { path: path.clone(), reason };
    let planned = folder.read_spec().map_err(no_run)?;
    if let Some(trainer) = &planned.spec.trainer {
        return Err(Error::OfTrainer { path, trainer: trainer.in_words() });
    }
    let not_finished = |state: String, hint| Error::NotFinished { path: path.clone(), state, hint };
    match folder.read_done().map_err(no_run)? {
        Some(RunOutcome::Completed | RunOutcome::ReachedTarget) => {}
        None => return Err(not_finished("has not ended".to_owned(), "`speedlab run` goes on with it")),
        Some(other) => {
            let hint = "only the weights of runs that were completed are measured";
            return Err(not_finished(format!("has ended: {}", other.in_words()), hint));
        }
    }
    if !folder.checkpoint().is_file() {
        return Err(Error::NoWeights { checkpoint: folder.checkpoint(), path });
    }
    Ok(Finished { folder, planned })
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
        let (_, checkpoint) = read_run(&folder.path)?;
        let stamp = checkpoint.progress.stamp;
        let [averaged, raw] =
            [checkpoint.ema_weights, checkpoint.weights].map(|weights| self.network(planned, weights));
        let mut known: Known = record
            .rows
            .iter()
            .chain(record.later.iter())
            .filter(|row| row.step == stamp.step)
            .map(|row| ((row.metric.to_owned(), row.protocol.to_owned()), row.value))
            .collect();

        let mut evaluations = Vec::new();
        // Those that differ in `evaluate.fid` alone are protocols of one evaluator.
        for group in specs.chunk_by(|one, other| without_fid(one) == without_fid(other)) {
            let mut spec = group[0].clone();
            spec.evaluate.also = group[1..].iter().map(|other| other.evaluate.fid.clone()).collect();
            // What stands in the sweep was there when it was trained; what is set may not be.
            data::check_present(&spec, self.data_folder)?;
            let dataset = data::load_for(&spec, self.data_folder, progress)?;
            let (shared, folder_of_data, device) = (&mut self.shared, self.data_folder, self.device);
            let evaluator = Evaluator::sharing(shared, &spec, &dataset, folder_of_data, device, &mut || {})?;
            for (index, spec) in group.iter().enumerate() {
                let combination = &self.combinations[evaluations.len()];
                let doing = format!("{}: {}", planned.run_id, combination.words());
                let images = (spec.evaluate.fid.samples * evaluator.weights().len()) as f64;
                let mut shown = |share: f64| {
                    let (done, total) = ((share * images) as u64, Some(images as u64));
                    progress(&Progress { doing: doing.clone(), done, total, unit: Unit::Images });
                    true
                };
                let asked = Asked { folder, stamp, spec, evaluator: &evaluator, protocol: index };
                let evaluated = self.by_combination(&asked, [&averaged, &raw], &mut known, &mut shown)?;
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
            specs.push(changed_run(&path, &base, &combination.overrides())?);
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

    /// Measures what is not known yet of one combination, and records it.
    fn by_combination(
        &self,
        asked: &Asked<'_>,
        [averaged, raw]: [&Network; 2],
        known: &mut Known,
        progress: &mut dyn FnMut(f64) -> bool,
    ) -> anyhow::Result<Evaluated> {
        let Asked { folder, stamp, spec, evaluator, protocol } = *asked;
        let (values, losses) = (evaluator.values_by(protocol), evaluator.values_of_validation());
        let is_missing = |names: &[(String, String)], known: &Known| names.iter().any(|name| !known.contains_key(name));
        let mut measured = Vec::new();
        if is_missing(&values, known) {
            match evaluator.evaluate_by(protocol, averaged, raw, progress) {
                Ok(measures) => measured = measures,
                Err(error @ EvaluateError::NotFinite { .. }) => {
                    let failed = Some(error.to_string());
                    return Ok(Evaluated { spec: spec.clone(), is_new: false, of_weights: vec![], failed });
                }
                Err(error) => return Err(error.into()),
            }
        }
        if is_missing(&losses, known) {
            measured.extend(evaluator.validate(averaged, raw, &mut |_| true)?);
        }
        let name = |measure: &Measure| (measure.metric.to_string(), measure.protocol.to_string());
        measured.retain(|measure| !known.contains_key(&name(measure)));
        let is_new = !measured.is_empty();
        if is_new {
            known.extend(measured.iter().map(|measure| (name(measure), measure.value)));
            let mut evaluation = LaterEvaluation::new(stamp, spec.evaluate.clone());
            evaluation.measured_at = jiff::Timestamp::now().to_string();
            PROGRAM.clone_into(&mut evaluation.program);
            evaluation.build.clone_from(&self.build);
            evaluation.device.clone_from(&self.label);
            evaluation.measures = measured;
            folder.write_evaluation(&evaluation)?;
        }
        let weights = evaluator.weights().len();
        let measure = |name: &(String, String)| {
            let (metric, protocol) = name;
            Measure { metric: metric.as_str().into(), protocol: protocol.as_str().into(), value: known[name] }
        };
        let of_weights = values.chunks(values.len() / weights).zip(&losses);
        let of_weights = of_weights.map(|(values, loss)| values.iter().chain([loss]).map(measure).collect());
        Ok(Evaluated { spec: spec.clone(), is_new, of_weights: of_weights.collect(), failed: None })
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
}

fn without_fid(spec: &RunSpec) -> RunSpec {
    let mut spec = spec.clone();
    spec.evaluate.fid = crate::spec::Fid::default();
    spec
}
