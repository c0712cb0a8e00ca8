//! A training step on a GPU whose kernels are captured once and launched together ever after.
//!
//! See [`Graph`]. Everything that a step changes lies in buffers that are overwritten in place: the
//! weights, both moments, the average; and all that a step is given is copied into one buffer before it.

mod given;

use burn::tensor::{Device, Tensor};

pub use self::given::Given;
use self::given::{Layout, OnDevice};
use super::auxiliary::{contrasted, dispersion, targets_of_others_on_device};
use super::comparison::shapes;
use super::hybrid_loss::HybridLoss;
use super::trainer::total;
use crate::diffusion::{ForwardProcess, timestep_sampler};
use crate::kernels;
use crate::model::{Buffer, Detour, DeviceDraws, Graph, Masks, Network, NotCaptured, TokenRoute, flat, values};
use crate::optim::{StepScales, clip_scale};
use crate::spec::{Optimizer, RunSpec};

/// The largest distance of the weights after captured steps from those after the same steps kernel by kernel, over the distance that
/// the steps went. Both are the same kernels.
const TOLERANCE: f64 = 1e-3;

/// What a step changes, each `[parameters]`: the weights, Adam's m and v, the averaged weights.
pub type Learned = [Tensor<1>; 4];

pub struct CapturedStep {
    graph: Graph,
    device: Device,
    state: State,
    /// What the last step told: overwritten by each.
    told: Tensor<1>,
}

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
        let (graph, told) = Graph::of(device, &mut || state.step())?;
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
        unsafe { self.graph.replay() }
    }
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
            buffer.put_back(values);
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
