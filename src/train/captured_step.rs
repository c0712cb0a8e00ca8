//! A training step on a GPU whose kernels are captured once and launched together ever after.
//!
//! A step of a small network is a thousand kernels of a few microseconds each, and telling a GPU of each takes longer than the kernel. A
//! captured step is told of at once: a CUDA graph, or on other devices the same commands without what led to them. The kernels read and
//! write the memory that they did when they were captured. So everything that a step changes lies in buffers that are overwritten in place: the
//! weights, both moments, the average; and all that a step is given is copied into one buffer before it.

mod given;

use burn::backend::{Backend as _, BackendGraph, Dispatch, ExecutionError};
use burn::tensor::{Device, Tensor};

pub use self::given::Given;
use self::given::{Layout, OnDevice};
use super::auxiliary::{contrasted, dispersion, targets_of_others_on_device};
use super::comparison::shapes;
use super::hybrid_loss::HybridLoss;
use super::trainer::{flat, total, values};
use crate::diffusion::{ForwardProcess, timestep_sampler};
use crate::kernels;
use crate::model::{Detour, DeviceDraws, Masks, Network, TokenRoute};
use crate::optim::{StepScales, clip_scale};
use crate::spec::{Optimizer, RunSpec};

/// Why steps are not captured.
#[derive(Debug, thiserror::Error)]
pub enum NotCaptured {
    #[error("{0} needs the host within a step")]
    Needs(&'static str),
    #[error("the CPU is not told of kernels")]
    OnCpu,
    #[error("the device captures no step: {0}")]
    Refused(String),
    #[error("a buffer of the captured step was not overwritten in place")]
    Moved,
    #[error("two captured steps end {difference:.1e} of their length away from the same steps done kernel by kernel")]
    Differs { difference: f64 },
}

/// The largest distance of the weights after captured steps from those after the same steps kernel by kernel, over the distance that
/// the steps went. Both are the same kernels.
const TOLERANCE: f64 = 1e-3;

/// What a step changes, each `[parameters]`: the weights, Adam's m and v, the averaged weights.
pub type Learned = [Tensor<1>; 4];

pub struct CapturedStep {
    graph: BackendGraph<Dispatch>,
    device: Device,
    state: State,
    /// What the last step told: overwritten by each.
    told: Tensor<1>,
}

/// Steps before one is captured. In the first ones kernels are compiled and chosen, and memory is allocated, which a captured step must not ask for.
const WARM_UP: usize = 4;

impl CapturedStep {
    /// Captures the steps of `spec`, which need no host, on `device`, from where they change `learned`, and checks two of them. Parameters have
    /// the learning rates that `scales` multiply, if there are some.
    pub fn new(
        spec: &RunSpec,
        network: &Network,
        scales: Option<&StepScales>,
        device: &Device,
        learned: &Learned,
    ) -> Result<Self, NotCaptured> {
        let mut state = State::new(spec, network, scales, device, learned)?;
        let trials = [0, 1].map(|step| state.layout.trial(step));
        let dispatch = device.as_dispatch();
        Dispatch::graph_prepare(dispatch).map_err(refused)?;
        for _ in 0..WARM_UP {
            values(state.step()?);
        }
        Dispatch::graph_start_capture(dispatch).map_err(refused)?;
        let told = state.step()?;
        let graph = Dispatch::graph_stop_capture(dispatch).map_err(refused)?;
        let mut captured = Self { graph, device: device.clone(), state, told };
        captured.check(learned, &trials)?;
        Ok(captured)
    }

    /// Two steps in both ways, from `learned`, where it then is again.
    fn check(&mut self, learned: &Learned, trials: &[Vec<f32>; 2]) -> Result<(), NotCaptured> {
        let start = values(learned[0].clone());
        let mut ends = Vec::new();
        for is_captured in [false, true] {
            self.state.learn(learned.clone())?;
            for trial in trials {
                self.state.given.overwrite(flat(trial.clone(), &self.device))?;
                let told = if is_captured {
                    self.replay()?;
                    self.told.clone()
                } else {
                    self.state.step()?
                };
                values(told);
            }
            let [weights, .., average] = self.learned();
            ends.push((values(weights), values(average)));
        }
        self.state.learn(learned.clone())?;
        let [(plain, plain_average), (captured, captured_average)] = &ends[..] else { unreachable!("two ways") };
        let length = distance(plain, &start).max(f64::MIN_POSITIVE);
        let difference = distance(plain, captured).max(distance(plain_average, captured_average)) / length;
        // Not a number is no agreement.
        if difference <= TOLERANCE { Ok(()) } else { Err(NotCaptured::Differs { difference }) }
    }

    /// The buffers that steps change: they hold other values after each.
    pub fn learned(&self) -> Learned {
        self.state.learned.each_ref().map(Buffer::values)
    }

    /// Queues a step. What it tells, `[loss, norm of the gradient]`, is to be read before the next.
    pub fn queue(&mut self, given: &Given) -> Result<Tensor<1>, NotCaptured> {
        let packed = self.state.layout.packed(given);
        self.state.given.overwrite(flat(packed, &self.device))?;
        self.replay()?;
        Ok(self.told.clone())
    }

    fn replay(&self) -> Result<(), NotCaptured> {
        // SAFETY: what the kernels read or write lies in the buffers of `state`, in `told`, or in pages that the graph keeps. One thread
        // trains, so that what is queued before and after is in the same stream.
        unsafe { Dispatch::graph_replay(self.device.as_dispatch(), &self.graph) }.map_err(refused)
    }
}

fn refused(error: ExecutionError) -> NotCaptured {
    NotCaptured::Refused(error.to_string())
}

/// What of a run needs the host within a step, if something does: its steps, each in `micro_batches` parts, are not captured.
pub fn needs_the_host(spec: &RunSpec, micro_batches: usize) -> Option<&'static str> {
    let reasons = [
        (micro_batches > 1, "a batch in several parts"),
        (shapes(spec).len() > 1, "steps of several sizes"),
        (spec.model.coordinates(), "coordinates"),
        (timestep_sampler(spec).observes_losses(), "a timestep sampler that follows losses"),
        (!matches!(spec.optimizer, Optimizer::Adam(_) | Optimizer::Adamw(_)), "an optimizer other than Adam and AdamW"),
        (spec.auxiliary_losses.alignment.weight > 0.0, "`auxiliary_losses.alignment`"),
        (Detour::at(spec, 0).is_some(), "a detour of tokens"),
    ];
    reasons.into_iter().find_map(|(needs, what)| needs.then_some(what))
}

struct State {
    spec: RunSpec,
    layout: Layout,
    /// It has weights within a step alone, so that they can be overwritten after it.
    network: Network,
    /// Of each parameter's learning rate, `[parameters]`.
    scales: Option<Tensor<1>>,
    given: Buffer,
    /// In the order of [`Learned`].
    learned: [Buffer; 4],
}

impl State {
    fn new(
        spec: &RunSpec,
        network: &Network,
        scales: Option<&StepScales>,
        device: &Device,
        learned: &Learned,
    ) -> Result<Self, NotCaptured> {
        let (channels, side) = spec.data.image_shape();
        let process = ForwardProcess::new(&spec.noise_schedule);
        let layout = Layout {
            shape: [spec.train.batch_size, channels, side, side],
            class_rows: network.class_rows(),
            hybrid_loss: spec.model.learned_sigma().then(|| HybridLoss::new(&process)),
        };
        let mut state = Self {
            spec: spec.clone(),
            network: network.clone().without_weights(),
            scales: scales.map(|scales| scales.tensor(device)),
            given: Buffer::new(layout.trial(0), device),
            layout,
            learned: learned.each_ref().map(|values| Buffer::new(vec![0.0; values.dims()[0]], device)),
        };
        state.learn(learned.clone())?;
        Ok(state)
    }

    fn learn(&mut self, learned: Learned) -> Result<(), NotCaptured> {
        self.learned.iter_mut().zip(learned).try_for_each(|(buffer, values)| buffer.overwrite(values))
    }

    /// One step of what was given: as [`super::Trainer::train_step`] does it, without the host.
    fn step(&mut self) -> Result<Tensor<1>, NotCaptured> {
        let given = self.layout.taken_apart(&self.given.values());
        let factors = given.factors.clone();
        let (loss, gradient) = self.gradient(given);
        let (clipped, norm) = clip_scale(gradient.clone(), self.spec.train.clip_norm);
        let scales = [clipped, self.scales.clone()];
        let in_place = self.learned.iter().all(Buffer::is_held_by_nobody_else);
        let learned = self.learned.each_mut().map(Buffer::take);
        for (buffer, values) in self.learned.iter_mut().zip(kernels::update(learned, gradient, factors, scales)) {
            buffer.values = Some(values);
        }
        if in_place { Ok(Tensor::cat(vec![loss, norm], 0)) } else { Err(NotCaptured::Moved) }
    }

    fn gradient(&self, given: OnDevice) -> (Tensor<1>, Tensor<1>) {
        let mut network = self.network.clone();
        network.set_weights(self.learned[0].values());
        let loss = self.loss(&network, given);
        (loss.clone().inner(), network.gradients(loss))
    }

    fn loss(&self, network: &Network, given: OnDevice) -> Tensor<1> {
        let OnDevice { step, input, target, timesteps, classes, loss_weights, variance, .. } = given;
        let (losses, channels) = (&self.spec.auxiliary_losses, self.layout.shape[1]);
        let tapped_block = (losses.dispersive.weight > 0.0).then_some(losses.dispersive.block);
        let draws = DeviceDraws { seed: self.spec.seed, step };
        let route = TokenRoute::new(tapped_block, None);
        let (predicted, seen) = network.forward_in_training(input, timesteps, classes, Masks::OnDevice(&draws), route);
        let v = variance.is_some().then(|| predicted.clone().narrow(1, channels, channels));
        let predicted = if v.is_some() { predicted.narrow(1, 0, channels) } else { predicted };
        let errors = predicted.clone() - target.clone();
        let mut squares = errors.clone().square();
        if losses.contrastive > 0.0 {
            squares = contrasted(squares, predicted, targets_of_others_on_device(target), losses.contrastive);
        }
        let bound = self.layout.hybrid_loss.as_ref().zip(variance).zip(v).map(|((hybrid, variance), v)| {
            let bound = hybrid.bound_on_device(errors, v, variance.of_images, Some(variance.images));
            (bound, variance.importance)
        });
        let loss = total(squares, loss_weights, bound);
        match seen.tokens {
            Some(tokens) => loss + dispersion(tokens, losses.dispersive.temperature) * losses.dispersive.weight,
            None => loss,
        }
    }
}

/// Memory on a device that stays where it is.
struct Buffer {
    /// Absent only while it is overwritten.
    values: Option<Tensor<1>>,
}

impl Buffer {
    fn new(values: Vec<f32>, device: &Device) -> Self {
        Self { values: Some(flat(values, device)) }
    }

    /// Whether what is done to it in place is done where it lies.
    fn is_held_by_nobody_else(&self) -> bool {
        self.values.as_ref().is_some_and(Tensor::can_mut)
    }

    /// Its values, to be put back before the next call.
    fn take(&mut self) -> Tensor<1> {
        self.values.take().expect("it is there between two calls")
    }

    fn values(&self) -> Tensor<1> {
        self.values.clone().expect("it is there between two calls")
    }

    /// # Errors
    /// If the values would not lie where those before did, where captured kernels look for them.
    fn overwrite(&mut self, values: Tensor<1>) -> Result<(), NotCaptured> {
        let buffer = self.take();
        let in_place = buffer.can_mut();
        let all = 0..buffer.dims()[0];
        self.values = Some(buffer.slice_assign([all], values));
        if in_place { Ok(()) } else { Err(NotCaptured::Moved) }
    }
}

fn distance(one: &[f32], other: &[f32]) -> f64 {
    one.iter().zip(other).map(|(one, other)| f64::from(one - other).powi(2)).sum::<f64>().sqrt()
}

/// The loss and the gradient of a step that is not captured, as on the CPU.
#[cfg(test)]
pub fn loss_and_gradient(spec: &RunSpec, network: &Network, given: &Given, device: &Device) -> (f32, Vec<f32>) {
    let weights = network.weights();
    let learned = [(); 4].map(|()| weights.clone());
    let state = State::new(spec, network, None, device, &learned).expect("nobody else holds new buffers");
    let given = state.layout.taken_apart(&flat(state.layout.packed(given), device));
    let (loss, gradient) = state.gradient(given);
    (values(loss)[0], values(gradient))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{AdmModel, AlignmentLoss, AuxiliaryLosses, Model, MuonOptimizer, UnetModel};

    #[test]
    fn what_needs_the_host_within_a_step_is_named() {
        assert_eq!(needs_the_host(&RunSpec::default(), 1), None);
        let spec = RunSpec::default;
        let losses = |losses| RunSpec { auxiliary_losses: losses, ..RunSpec::default() };
        let alignment = AlignmentLoss { weight: 0.5, ..AlignmentLoss::default() };
        for (spec, parts, expected) in [
            (spec(), 2, "a batch in several parts"),
            (losses(AuxiliaryLosses { alignment, ..AuxiliaryLosses::default() }), 1, "`auxiliary_losses.alignment`"),
            (
                RunSpec { optimizer: Optimizer::Muon(MuonOptimizer::default()), ..spec() },
                1,
                "an optimizer other than Adam and AdamW",
            ),
        ] {
            assert_eq!(needs_the_host(&spec, parts), Some(expected));
        }
        let dropout = Model::Unet(UnetModel { dropout: 0.1, ..UnetModel::default() });
        let variance = Model::Adm(AdmModel { learned_sigma: true, ..AdmModel::default() });
        let contrastive = AuxiliaryLosses { contrastive: 0.05, ..AuxiliaryLosses::default() };
        for spec in [RunSpec { model: dropout, ..spec() }, RunSpec { model: variance, ..spec() }, losses(contrastive)] {
            assert_eq!(needs_the_host(&spec, 1), None);
        }
    }

    #[test]
    fn values_that_would_lie_elsewhere_are_an_error() {
        let mut buffer = Buffer::new(vec![1.0, 2.0], &Device::flex());
        buffer.overwrite(flat(vec![0.5, 0.5], &Device::flex())).expect("nobody else holds it");
        let held = buffer.values();
        let moved = buffer.overwrite(flat(vec![3.0, 4.0], &Device::flex()));
        assert!(matches!(moved, Err(NotCaptured::Moved)), "{moved:?}");
        assert_eq!(values(held), [0.5, 0.5]);
        assert_eq!(values(buffer.values()), [3.0, 4.0]);
    }
}
