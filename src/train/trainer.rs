//! One optimizer step, and the state it changes.

mod captured;
mod loss;
mod told;

use burn::tensor::{Device, Tensor};

use super::alignment::PatchFeatures;
use super::average_snapshot::AverageSnapshot;
use super::captured_step::CapturedStep;
use super::checkpoint::{Checkpoint, CheckpointError, Progress, Window};
use super::hybrid_loss::HybridLoss;
use super::precision::training_kernels;
use super::step_batch::{StepBatch, parts_of};
use super::stopwatch::timed;
use crate::data::{BatchSettings, BatchSource, Dataset};
use crate::diffusion::{self, ForwardProcess, TimestepSampler};
use crate::event::Stamp;
use crate::kernels::Kernels;
use crate::model::{self, Network, WidthScale, flat, values};
use crate::optim::{self, Ema, Matrix, Optimizer, OptimizerState, POST_HOC_SIGMA_RELS, Rates, StepScales};
use crate::spec::RunSpec;
pub(super) use loss::total;
use told::Told;

/// The loss or the gradient is no longer finite; says which and when.
#[derive(Debug)]
pub struct Diverged(pub String);

/// The recorded values of a window of steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowMean {
    pub loss: f64,
    pub gradient_norm: f64,
    /// The learning rate of the window's last step.
    pub learning_rate: f64,
    /// The beta1 of the window's last step.
    pub beta1: f64,
    /// Seconds of training that the device waited for images.
    pub wait_seconds: f64,
}

/// A run between two steps.
pub struct Trainer<'a> {
    spec: &'a RunSpec,
    batches: BatchSource,
    /// What tokens are aligned with, until the last step that aligns them.
    features: Option<PatchFeatures>,
    /// The next step's, made while a device was busy with the last one.
    ahead: Option<StepBatch>,
    /// Parts in which each batch is computed.
    micro_batches: usize,
    /// Without automatic differentiation.
    device: Device,
    process: ForwardProcess,
    /// lambda(t) of each timestep at the next step.
    loss_weights: Vec<f64>,
    /// The hybrid loss, where the network learns its variance.
    hybrid_loss: Option<HybridLoss>,
    sampler: Box<dyn TimestepSampler + Send>,
    /// With the weights at which the next gradient is taken.
    network: Network,
    weights: Tensor<1>,
    ema: Ema,
    /// Those of `train.post_hoc`; none without it.
    post_hoc: Vec<Ema>,
    optimizer: Optimizer,
    /// Then `weights`, `ema` and the optimizer's moments are its buffers, which it changes.
    captured: Option<CapturedStep>,
    last_loss: Option<f64>,
    /// The time that this process has waited for images since the last recorded training loss.
    wait_seconds: f64,
    pub(super) progress: Progress,
}

impl<'a> Trainer<'a> {
    /// At the start, or where `checkpoint` was taken. `device` does not track gradients.
    ///
    /// Each batch is drawn whole and computed in `micro_batches` parts, one after the other (of more than it has images, in one
    /// for each image): what is kept for the backward pass, most of the memory of training, shrinks to that of the
    /// largest part. The parts' gradients add up to the batch's; but they are added in another order, so that results differ in the
    /// last bits from those of one part, and the record of a run says how many there were.
    ///
    /// # Errors
    /// If the checkpoint's state of the timestep sampler is not one of this run's sampler, `device` cannot train in the
    /// run's precision, the run aligns tokens and `dataset` has no encoder or lacks the pictures of its latents, or the run compares all images of a batch and there are to be several parts.
    ///
    /// # Panics
    /// In a step, if `micro_batches` is 0.
    pub fn new(
        spec: &'a RunSpec,
        dataset: &Dataset,
        device: &Device,
        checkpoint: Option<Checkpoint>,
        micro_batches: usize,
    ) -> Result<Self, CheckpointError> {
        Self::at(spec, dataset, device, checkpoint, 0, micro_batches)
    }

    /// The same, but that a run without a checkpoint takes its initial weights to the step after `first_step` steps.
    pub(super) fn at(
        spec: &'a RunSpec,
        dataset: &Dataset,
        device: &Device,
        checkpoint: Option<Checkpoint>,
        first_step: u64,
        micro_batches: usize,
    ) -> Result<Self, CheckpointError> {
        let patches = spec.model.patches(spec.data.image_shape().1);
        let alignment = &spec.auxiliary_losses.alignment;
        let features = match (alignment.weight > 0.0, &dataset.encoder) {
            (false, _) => None,
            (true, Some(_)) if dataset.pictures.is_none() && !alignment.pictures.is_empty() => {
                return Err(CheckpointError::NoPictures);
            }
            (true, Some(encoder)) => {
                let features = PatchFeatures::new(encoder.clone(), patches.isqrt());
                Some(features.of_pictures(dataset.pictures.clone()))
            }
            (true, None) => return Err(CheckpointError::NoEncoder),
        };
        if micro_batches > 1 && spec.auxiliary_losses.compare_whole_batch() {
            return Err(CheckpointError::NotInParts);
        }
        let kernels = training_kernels(spec.train.precision, device)?;
        let tracked = device.clone().autodiff();
        let mut network = model::build_for(spec, &tracked).with_kernels(kernels);
        let mut sampler = diffusion::timestep_sampler(spec);
        let width_scales = model::width_scales(spec);
        let (weights, ema, post_hoc, optimizer_state, progress) = match checkpoint {
            None => {
                let weights = initial_weights(&network, width_scales.as_deref());
                let ema = Ema::new(weights.clone());
                let start = OptimizerState::from(&spec.optimizer, &weights);
                let kept = if spec.train.post_hoc.every > 0 { POST_HOC_SIGMA_RELS.len() } else { 0 };
                let post_hoc = (0..kept).map(|_| Ema::new(weights.clone())).collect();
                let stamp = Stamp { step: first_step, ..Stamp::default() };
                (weights, ema, post_hoc, start, Progress { stamp, ..Progress::default() })
            }
            Some(checkpoint) => {
                let Checkpoint {
                    progress,
                    weights,
                    ema_weights,
                    first_moment,
                    second_moment,
                    factors,
                    sampler_state,
                    post_hoc,
                } = checkpoint;
                sampler.restore(&sampler_state).map_err(|wrong| {
                    CheckpointError::Damaged(format!("the state of the timestep sampler has {wrong}"))
                })?;
                if spec.train.post_hoc.every > 0 && post_hoc.iter().any(|average| average.len() != weights.len()) {
                    return Err(CheckpointError::Damaged("it lacks the averages of `train.post_hoc`".to_owned()));
                }
                let kept = post_hoc.into_iter().filter(|average| !average.is_empty());
                let post_hoc = kept.map(|average| Ema::new(flat(average, device))).collect();
                let weights = flat(weights, device);
                let Progress { beta1_product, beta2_product, .. } = progress;
                let state = OptimizerState { first_moment, second_moment, beta1_product, beta2_product, factors };
                (weights, Ema::new(flat(ema_weights, device)), post_hoc, state, progress)
            }
        };
        let optimizer = Optimizer::new(&spec.optimizer, &hidden_matrices(&network), optimizer_state, device);
        let optimizer = match &width_scales {
            Some(scales) => {
                let rates = scales.iter().map(|scale| (scale.size, scale.learning_rate));
                optimizer.with_scales(StepScales::new(rates))
            }
            None => optimizer,
        };
        network.set_weights(optimizer.gradient_point(&weights));
        let process = ForwardProcess::new(&spec.noise_schedule);
        let settings =
            BatchSettings { sizes: spec.train.batch_sizes(), flips: spec.data.horizontal_flips(), seed: spec.seed };
        let batches =
            BatchSource::start(&dataset.train, settings, progress.stamp.step).map_err(CheckpointError::Thread)?;
        Ok(Self {
            spec,
            batches,
            features,
            ahead: None,
            micro_batches,
            device: device.clone(),
            loss_weights: diffusion::loss_weights(
                &spec.loss_weighting,
                spec.parameterization,
                &process,
                progress.stamp.step,
            ),
            hybrid_loss: spec.model.learned_sigma().then(|| HybridLoss::new(&process)),
            process,
            sampler,
            network,
            weights,
            ema,
            post_hoc,
            optimizer,
            captured: None,
            last_loss: None,
            wait_seconds: 0.0,
            progress,
        })
    }

    pub fn spec(&self) -> &RunSpec {
        self.spec
    }

    /// Optimizer steps done.
    pub fn step(&self) -> u64 {
        self.progress.stamp.step
    }

    /// Images that those steps saw.
    pub fn images_seen(&self) -> u64 {
        self.spec.train.images_after(self.step())
    }

    /// The last step's loss, if this process has done one.
    pub fn last_loss(&self) -> Option<f64> {
        self.last_loss
    }

    /// Does one optimizer step and returns its loss.
    pub fn train_step(&mut self) -> Result<f64, Diverged> {
        let (spec, step) = (self.spec, self.step());
        if step <= spec.loss_weighting.settles_at() {
            self.loss_weights =
                diffusion::loss_weights(&spec.loss_weighting, spec.parameterization, &self.process, step);
        }
        let batch = match self.ahead.take() {
            Some(batch) => batch,
            None => self.draw(step),
        };

        let (told, image_losses) = match self.captured.is_some() {
            true => (self.queue_captured(&batch), Vec::new()),
            false => self.queue(&batch),
        };
        for (ema, sigma_rel) in self.post_hoc.iter_mut().zip(POST_HOC_SIGMA_RELS) {
            ema.update(&self.weights, optim::power_decay(sigma_rel, step));
        }

        // All of the step is queued. A device works on it while the next one is drawn, and is waited for once.
        if step + 1 < spec.train.steps && !self.sampler.observes_losses() {
            self.ahead = Some(self.draw(step + 1));
        }
        let (loss_value, gradient_norm) = told.read();
        if !loss_value.is_finite() {
            return Err(Diverged(format!("the loss is {loss_value} at step {}", step + 1)));
        }
        if !gradient_norm.is_finite() {
            return Err(Diverged(format!("the gradient's norm is {gradient_norm} at step {}", step + 1)));
        }
        if self.sampler.observes_losses() {
            self.sampler.observe(&batch.timesteps, &image_losses);
        }

        self.progress.stamp.step += 1;
        self.progress.window.steps += 1;
        self.progress.window.loss_sum += loss_value;
        self.progress.window.gradient_norm_sum += gradient_norm;
        self.last_loss = Some(loss_value);
        Ok(loss_value)
    }

    /// Queues the step kernel by kernel; also the images' losses, where the timestep sampler observes them.
    fn queue(&mut self, batch: &StepBatch) -> (Told, Vec<f32>) {
        let (spec, step) = (self.spec, self.step());
        // Forward and backward, part by part: what a part kept for its backward pass is gone before the next one begins.
        let mut losses = Vec::new();
        let mut gradient: Option<Tensor<1>> = None;
        let mut image_losses = Vec::new();
        for part in parts_of(batch.size(), self.micro_batches) {
            let (loss, of_images) = self.loss_share(batch, part);
            image_losses.extend(of_images);
            losses.push(loss.clone().inner());
            let of_part = self.network.gradients(loss);
            gradient = Some(match gradient {
                Some(sum) => sum + of_part,
                None => of_part,
            });
        }
        let gradient = gradient.expect("a batch has images");
        let (gradient, norm) = optim::clip(gradient, spec.train.clip_norm);
        let (rates, others) = (Rates::at(spec, step), Rates::of_others(spec, step));
        self.weights = self.optimizer.step(self.weights.clone(), gradient, rates, others);
        self.network.set_weights(self.optimizer.gradient_point(&self.weights));
        self.ema.update(&self.weights, optim::ema_decay(spec, step));
        (Told::Apart { losses, norm }, image_losses)
    }

    /// The batch of the step after `step` steps.
    fn draw(&mut self, step: u64) -> StepBatch {
        let (images, wait_seconds) = timed(|| self.batches.next_batch());
        self.wait_seconds += wait_seconds;
        if step >= self.spec.auxiliary_losses.alignment.steps(self.spec.train.steps) {
            self.features = None;
        }
        let features = self.features.as_mut().map(|features| features.of_batch(&images));
        StepBatch::draw(self.spec, step, images, features, &self.process, &*self.sampler)
    }

    /// The window's means, if it is full (or the run is at its end); starts the next window.
    pub fn recorded_mean(&mut self) -> Option<WindowMean> {
        let Window { steps, loss_sum, gradient_norm_sum } = self.progress.window;
        let step = self.step();
        let full = steps > 0 && (step.is_multiple_of(self.spec.train.log_every) || step == self.spec.train.steps);
        full.then(|| {
            self.progress.window = Window::default();
            let Rates { learning_rate, beta1, .. } = Rates::at(self.spec, step - 1);
            WindowMean {
                loss: loss_sum / steps as f64,
                gradient_norm: gradient_norm_sum / steps as f64,
                learning_rate,
                beta1,
                wait_seconds: std::mem::take(&mut self.wait_seconds),
            }
        })
    }

    /// Whether this step is to be evaluated and has not been.
    pub fn evaluation_due(&self) -> bool {
        let step = self.step();
        let due = step.is_multiple_of(self.spec.evaluate.every) || step == self.spec.train.steps;
        step > 0 && due && self.progress.evaluated_step != step
    }

    /// The probability of training on each of `bins` equally wide bins of t, now.
    pub fn timestep_density(&self, bins: usize) -> Vec<f64> {
        self.sampler.density(self.step(), bins)
    }

    /// The network with the averaged weights, not tracking gradients, in f32 whatever the training's precision.
    pub fn ema_network(&self) -> Network {
        self.network_with(self.ema.weights())
    }

    /// The network as the optimizer left it, not tracking gradients, in f32 whatever the training's precision.
    pub fn raw_network(&self) -> Network {
        self.network_with(self.weights.clone())
    }

    fn network_with(&self, weights: Tensor<1>) -> Network {
        let mut network = self.network.untracked().with_kernels(Kernels::for_device(&self.device));
        network.set_weights(weights);
        network
    }

    /// The averages that this step keeps, if it does.
    pub fn kept_averages(&self) -> Option<AverageSnapshot> {
        let step = self.step();
        let is_kept = self.spec.train.post_hoc.is_kept_at(step, self.spec.train.steps);
        is_kept.then(|| AverageSnapshot { step, averages: self.post_hoc_averages() })
    }

    /// Empty without `train.post_hoc`.
    fn post_hoc_averages(&self) -> [Vec<f32>; 2] {
        std::array::from_fn(|index| self.post_hoc.get(index).map_or_else(Vec::new, Ema::state))
    }

    /// The full state.
    pub fn checkpoint(&self) -> Checkpoint {
        let OptimizerState { first_moment, second_moment, beta1_product, beta2_product, factors } =
            self.optimizer.state();
        Checkpoint {
            progress: Progress { beta1_product, beta2_product, ..self.progress },
            weights: values(self.weights.clone()),
            ema_weights: values(self.ema.weights()),
            first_moment,
            second_moment,
            factors,
            sampler_state: self.sampler.state(),
            post_hoc: self.post_hoc_averages(),
        }
    }
}

/// The weights that a network was built with, each times the factor of its width.
fn initial_weights(network: &Network, scales: Option<&[WidthScale]>) -> Tensor<1> {
    let weights = network.weights();
    let Some(scales) = scales else { return weights };
    let device = weights.device();
    let scales = scales.iter().flat_map(|scale| std::iter::repeat_n(scale.initial, scale.size)).collect();
    weights * flat(scales, &device)
}

/// The weights of hidden layers, where they lie in the flat tensor.
fn hidden_matrices(network: &Network) -> Vec<Matrix> {
    let mut start = 0;
    let matrices = network.layout().iter().filter_map(|parameter| {
        start += parameter.size();
        let (rows, columns) = parameter.hidden_matrix()?;
        Some(Matrix { start: start - parameter.size(), rows, columns })
    });
    matrices.collect()
}
