//! The cost of runs on this machine: the plan's estimate, given facts about models and devices.

use std::cell::RefCell;
use std::collections::HashMap;

use super::Calibration;
use crate::evaluate::{FeatureCost, decoder_cost, encoder_cost, feature_cost};
use crate::event::RunOutcome;
use crate::model;
use crate::plan::{CostModel, DecoderCost, NetworkCost, RunCost, run_cost};
use crate::record::{RunRecord, RunState, StudyRecord};
use crate::report::TrainingFlops;
use crate::spec::{Data, DataShape, Fid, Optimizer, PatchSchedule, Plan, RunSpec, Trainer};
use crate::train::KEPT_FEATURE_BYTES;

/// What one core of a Xeon with AVX-512 reached in training the quickstart's UNet (87 GFLOP/s, Nov 2026). Only the
/// estimate of a sweep's first run rests on it.
const TYPICAL_FLOPS_PER_CORE: f64 = 80e9;

/// Estimates runs of `threads` threads.
pub struct Estimator {
    flops_per_second: f64,
    threads: usize,
    /// A grid of a hundred thousand runs has few architectures.
    networks: RefCell<HashMap<String, NetworkCost>>,
    /// And fewer networks whose features are compared.
    features: RefCell<HashMap<String, FeatureCost>>,
    /// And hardly more than one decoder, whose file is read for its sizes.
    decoders: RefCell<HashMap<String, Option<DecoderCost>>>,
    /// How that speed is known.
    basis: String,
    by_trainers: TrainerTimes,
    /// Factors of the time that the slowest and the fastest of what was measured stand for: (least, most).
    pub spread: Option<(f64, f64)>,
}

impl Estimator {
    /// From what this sweep's own runs have recorded, else from what was measured here, else from a typical core.
    pub fn new(study: Option<&StudyRecord>, calibration: Option<Calibration>, threads: usize) -> Self {
        let own = study.iter().flat_map(|study| &study.runs).filter(|run| run.planned.spec.trainer.is_none());
        let speeds = own.filter_map(|run| {
            let last = run.rows.last().filter(|row| row.train_seconds > 0.0)?;
            Some(network_flops(&run.planned.spec).after(last.images_seen) / last.train_seconds)
        });
        let mut speeds: Vec<f64> = speeds.collect();
        speeds.sort_by(f64::total_cmp);
        let gigaflops = |speed: f64| speed / 1e9;
        let (flops_per_second, basis, spread) = match (speeds.first().zip(speeds.last()), calibration) {
            (Some((&slowest, &fastest)), _) => {
                let (median, runs) = (speeds[speeds.len() / 2], speeds.len());
                let basis = format!("{:.1} GFLOP/s, the median of this sweep's {runs} runs so far", gigaflops(median));
                (median, basis, Some((median / fastest, median / slowest)))
            }
            (None, Some(Calibration { flops_per_second, slowest, fastest })) => {
                let basis = format!(
                    "{:.1} GFLOP/s a run, measured here with two small networks ({:.1} to {:.1})",
                    gigaflops(flops_per_second),
                    gigaflops(slowest),
                    gigaflops(fastest)
                );
                (flops_per_second, basis, Some((flops_per_second / fastest, flops_per_second / slowest)))
            }
            (None, None) => {
                let typical = gigaflops(TYPICAL_FLOPS_PER_CORE);
                let basis = format!("a typical speed of {typical:.0} GFLOP/s a core; a first run measures it");
                (TYPICAL_FLOPS_PER_CORE * threads as f64, basis, None)
            }
        };
        Self {
            flops_per_second,
            threads,
            networks: RefCell::default(),
            features: RefCell::default(),
            decoders: RefCell::default(),
            basis,
            by_trainers: TrainerTimes::of(study.iter().flat_map(|study| &study.runs)),
            spread,
        }
    }

    /// From what runs by trainers of the user's own have taken, for others of theirs.
    pub fn with_trainers<'r>(self, records: impl Iterator<Item = &'r RunRecord>) -> Self {
        Self { by_trainers: TrainerTimes::of(records), ..self }
    }

    /// (training, evaluation) in seconds; `None` of a trainer of the user's own while no run of one has ended.
    pub fn seconds(&self, spec: &RunSpec) -> Option<(f64, f64)> {
        if spec.trainer.is_some() {
            return self.by_trainers.of_run(spec);
        }
        let cost = self.cost(spec);
        Some((cost.train_seconds, cost.eval_seconds))
    }

    /// What the estimate of a plan rests on.
    pub fn basis(&self, plan: &Plan) -> String {
        let own = plan.runs.iter().any(|run| run.spec.trainer.is_none());
        let others = match self.by_trainers.all.len() {
            0 => "nothing: no run by a trainer of your own has ended here".to_owned(),
            1 => "the run by a trainer of your own that has ended".to_owned(),
            runs => format!("the {runs} runs by trainers of your own that have ended"),
        };
        match (own, self.by_trainers.all.len()) {
            (true, 0) => self.basis.clone(),
            (true, _) => format!("{}; {others}", self.basis),
            (false, _) => others,
        }
    }

    /// Of a run that Speedlab trains; of another nothing is known but [`seconds`](Self::seconds).
    pub fn cost(&self, spec: &RunSpec) -> RunCost {
        if spec.trainer.is_some() {
            return RunCost::default();
        }
        let of_features = |fid: &Fid, data_shape: DataShape| {
            let mut known = self.features.borrow_mut();
            let cost = || feature_cost(fid, (data_shape.channels, data_shape.side));
            *known.entry(format!("{:?} {} {data_shape:?}", fid.features, fid.weights)).or_insert_with(cost)
        };
        let cost_model = CostModel {
            flops_per_second: self.flops_per_second,
            network: &|spec| self.network(spec),
            feature_flops: &|fid, data_shape| of_features(fid, data_shape).flops,
            feature_weight_bytes: &|fid, data_shape| of_features(fid, data_shape).weight_bytes,
            feature_activation_bytes: &|fid, data_shape| of_features(fid, data_shape).activation_bytes,
            decoder: &|data| self.decoder(data),
            threads: self.threads,
        };
        run_cost(spec, &cost_model)
    }

    fn decoder(&self, data: &Data) -> Option<DecoderCost> {
        let latents = data.latents()?;
        let key = format!("{} {} {}", latents.decoder, latents.channels, latents.side);
        *self.decoders.borrow_mut().entry(key).or_insert_with(|| {
            let cost = decoder_cost(data)?;
            let weight_bytes = (cost.parameters * size_of::<f32>()) as f64;
            Some(DecoderCost { flops: cost.flops, weight_bytes, activation_bytes: cost.batch_bytes as f64 })
        })
    }

    fn network(&self, spec: &RunSpec) -> NetworkCost {
        let RunSpec { model, token_routing, token_masking, auxiliary_losses, .. } = spec;
        let (data_shape, train) = (spec.data.shape(), &spec.train);
        let mut known = self.networks.borrow_mut();
        let stages = (&train.batch_schedule, &train.resolution_schedule);
        let sizes = format!("{} {} {stages:?} {:?}", train.steps, train.batch_size, spec.patch_diffusion);
        let key = format!(
            "{model:?} {data_shape:?} {token_routing:?} {token_masking:?} {sizes} {:?}",
            auxiliary_losses.alignment
        );
        let mut network = *known.entry(key).or_insert_with(|| NetworkCost {
            parameters: model::parameter_count_for(spec),
            forward_flops: model::forward_flops(model, data_shape),
            training_forward_flops: mean_training_flops(spec) / PASSES_PER_STEP,
            activation_bytes: model::activation_bytes(model, data_shape) as f64,
            training_bytes: model::training_activation_bytes(spec) as f64,
            factor_bytes: 0.0,
            encoder_bytes: 0.0,
        });
        network.factor_bytes = factor_bytes(spec);
        network.encoder_bytes = encoder_bytes(spec);
        network
    }
}

/// What runs by trainers of the user's own have taken.
#[derive(Default)]
struct TrainerTimes {
    /// (training, evaluation) in seconds a step of each run that has ended, by its spec without the seed.
    by_spec: HashMap<String, Vec<(f64, f64)>>,
    /// The same of all of them.
    all: Vec<(f64, f64)>,
}

impl TrainerTimes {
    fn of<'r>(records: impl Iterator<Item = &'r RunRecord>) -> Self {
        let mut times = Self::default();
        for record in records.filter(|record| record.planned.spec.trainer.is_some()) {
            let ended = matches!(&record.state, RunState::Ended(RunOutcome::Completed));
            let Some(stamp) = record.last_stamp.filter(|stamp| ended && stamp.step > 0) else { continue };
            let a_step = (stamp.train_seconds / stamp.step as f64, stamp.eval_seconds / stamp.step as f64);
            times.by_spec.entry(without_seed(&record.planned.spec)).or_default().push(a_step);
            times.all.push(a_step);
        }
        times
    }

    /// The median of the runs that differ in nothing but the seed, else of all.
    fn of_run(&self, spec: &RunSpec) -> Option<(f64, f64)> {
        let known = self.by_spec.get(&without_seed(spec)).unwrap_or(&self.all);
        let steps = spec.train.steps as f64;
        let median = |part: &dyn Fn(&(f64, f64)) -> f64| {
            let mut values: Vec<f64> = known.iter().map(part).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).map(|value| value * steps)
        };
        Some((median(&|times| times.0)?, median(&|times| times.1)?))
    }
}

fn without_seed(spec: &RunSpec) -> String {
    serde_json::to_string(&RunSpec { seed: 0, ..spec.clone() }).expect("a spec is JSON")
}

/// A forward and a backward pass, which takes two of its kind.
const PASSES_PER_STEP: f64 = 3.0;

/// The bytes of SOAP's factors and their eigenvectors, both for each side of each matrix that has them; none of another optimizer.
pub fn factor_bytes(spec: &RunSpec) -> f64 {
    let Optimizer::Soap(soap) = &spec.optimizer else { return 0.0 };
    let sides = model::hidden_matrices(spec).into_iter().flat_map(|(rows, columns)| [rows, columns]);
    let values: usize = sides.filter(|side| *side <= soap.largest_side).map(|side| 2 * side * side).sum();
    (values * size_of::<f32>()) as f64
}

/// The bytes of the network that tokens are aligned with: of its weights, of the planes of the images that it sees together, and of the features
/// that are kept, of every image twice where images are mirrored.
fn encoder_bytes(spec: &RunSpec) -> f64 {
    let alignment = &spec.auxiliary_losses.alignment;
    if alignment.weight == 0.0 {
        return 0.0;
    }
    let patches = spec.model.patches(spec.data.image_shape().1);
    let FeatureCost { weight_bytes, activation_bytes, .. } = encoder_cost(alignment, patches.isqrt());
    let values = patches * alignment.encoder.channels();
    let variants = if spec.data.horizontal_flips() { 2 } else { 1 };
    // Of a folder that nobody has looked into as many as training sees.
    let seen = spec.train.images_after(alignment.steps(spec.train.steps));
    let images = spec.data.training_images().map_or(seen, |images| seen.min((images * variants) as u64));
    let kept = (images as f64 * (values * size_of::<f32>()) as f64).min(KEPT_FEATURE_BYTES as f64);
    weight_bytes + activation_bytes + kept
}

/// Floating-point operations that a run's training spends: a forward and a backward pass of its network for every image, of the tokens that are left
/// in each block, and a pass of the network that tokens are aligned with. `None` where the network is that of a program of the user's own.
pub fn training_flops(spec: &RunSpec) -> Option<TrainingFlops> {
    spec.trainer.as_ref().is_none_or(Trainer::is_torch).then(|| network_flops(spec))
}

/// The same, whoever trains.
pub(super) fn network_flops(spec: &RunSpec) -> TrainingFlops {
    let (sizes, phases) = (spec.train.batch_sizes(), spec.phases());
    let draws_crops = spec.patch_diffusion.is_on() && spec.patch_diffusion.schedule == PatchSchedule::Stochastic;
    let mut flops = TrainingFlops::default();
    for (index, &start) in phases.iter().enumerate() {
        let encoder = encoder_flops(spec, start);
        if !draws_crops {
            let forward = model::training_forward_flops(spec, start);
            flops.go_on(sizes.before(start), PASSES_PER_STEP * forward + encoder);
            continue;
        }
        let end = phases.get(index + 1).copied().unwrap_or(spec.train.steps);
        let mut of_sides = HashMap::new();
        let mut images = sizes.before(start);
        for step in start..end {
            let forward = of_sides.entry(model::seen_side(spec, step));
            let forward = *forward.or_insert_with(|| model::training_forward_flops(spec, step));
            flops.go_on(images, PASSES_PER_STEP * forward + encoder);
            images += sizes.at(step) as u64;
        }
    }
    flops
}

/// What the network that tokens are aligned with spends on each image of the step after `step` steps: nothing when alignment has ended.
fn encoder_flops(spec: &RunSpec, step: u64) -> f64 {
    let alignment = &spec.auxiliary_losses.alignment;
    if step >= alignment.steps(spec.train.steps) {
        return 0.0;
    }
    let tokens = spec.model.patches(spec.data.image_shape().1).isqrt();
    encoder_cost(alignment, tokens).flops
}

/// The mean over the images of a run, before it has drawn anything.
fn mean_training_flops(spec: &RunSpec) -> f64 {
    let (sizes, mut flops) = (spec.train.batch_sizes(), TrainingFlops::default());
    for start in spec.phases() {
        let forward = model::mean_training_forward_flops(spec, start);
        flops.go_on(sizes.before(start), PASSES_PER_STEP * forward + encoder_flops(spec, start));
    }
    let images = sizes.before(spec.train.steps);
    flops.after(images) / images.max(1) as f64
}
