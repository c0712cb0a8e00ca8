//! A training step on a GPU whose kernels are captured once and launched together ever after.
//!
//! A step of a small network is a thousand kernels of a few microseconds each, and telling a GPU of each takes longer than the kernel. A
//! captured step is told of at once: a CUDA graph, or on other devices the same commands without what led to them. The kernels read and
//! write the memory that they did when they were captured. So everything that a step changes lies in buffers that are overwritten in place: the
//! weights, both moments, the average; and all that a step is given is copied into one buffer before it.

use burn::backend::{Backend as _, BackendGraph, Dispatch, ExecutionError};
use burn::tensor::{Device, Tensor};

use super::comparison::shapes;
use super::trainer::{flat, values};
use crate::diffusion::timestep_sampler;
use crate::model::{Classes, Detour, Dropout, Network, TokenRoute, one_hot};
use crate::optim::{self, Factors, Norm, clip};
use crate::random::{Draws, Stream};
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

/// What a step is given, but for its learned values.
pub struct Given<'a> {
    /// `[batch, channels, side, side]`, as the target.
    pub input: &'a [f32],
    pub target: &'a [f32],
    pub timesteps: &'a [u32],
    /// Of each image, where the network is told them.
    pub classes: Option<&'a [u32]>,
    /// `[batch]`: lambda(t) times the importance weight.
    pub loss_weights: Vec<f32>,
    pub factors: Factors,
    /// Of the weights in their average after the step.
    pub share_of_weights: f32,
}

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
    /// Captures the steps of training on `device`, from where they change `learned`, and checks two of them. `shape` is that of a
    /// batch, `[batch, channels, side, side]`; for `clip_norm` see [`clip`].
    pub fn new(
        network: &Network,
        shape: [usize; 4],
        clip_norm: f64,
        device: &Device,
        learned: &Learned,
    ) -> Result<Self, NotCaptured> {
        let mut state = State::new(network, shape, clip_norm, device, learned)?;
        let trials = [0, 1].map(|step| trial(shape, network.class_rows(), step));
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
        let packed = given.packed(self.state.network.class_rows());
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
        (spec.optimizer.mup().is_some(), "learning rates by width"),
        (timestep_sampler(spec).observes_losses(), "a timestep sampler that follows losses"),
        (!matches!(spec.optimizer, Optimizer::Adam(_) | Optimizer::Adamw(_)), "an optimizer other than Adam and AdamW"),
        (spec.model.dropout() > 0.0, "dropout"),
        (spec.model.learned_sigma(), "a learned variance"),
        (!spec.auxiliary_losses.is_default(), "`auxiliary_losses`"),
        (Detour::at(spec, 0).is_some(), "a detour of tokens"),
    ];
    reasons.into_iter().find_map(|(needs, what)| needs.then_some(what))
}

impl Given<'_> {
    /// In the order in which [`State::step`] takes it apart: what is large first, where it is aligned.
    fn packed(&self, class_rows: Option<usize>) -> Vec<f32> {
        let classes = self.classes.zip(class_rows).map(|(classes, rows)| one_hot(classes, rows));
        let mut packed = Vec::new();
        packed.extend_from_slice(self.input);
        packed.extend_from_slice(self.target);
        packed.extend(self.timesteps.iter().map(|&t| t as f32));
        packed.extend_from_slice(&self.loss_weights);
        packed.extend(self.factors.to_array());
        packed.push(self.share_of_weights);
        packed.extend(classes.into_iter().flatten());
        packed
    }
}

/// Adam's, and the share of the weights in their average.
const FACTORS: usize = 9;

/// Made-up values for a step, of no small effect.
fn trial(shape: [usize; 4], class_rows: Option<usize>, step: u64) -> Vec<f32> {
    let batch_size = shape[0];
    let mut packed = vec![0f32; 2 * shape.iter().product::<usize>()];
    Draws::new(0, Stream::Noise, step).fill_normal(&mut packed);
    packed.extend((0..batch_size).map(|image| (image * 997 % 1000) as f32));
    packed.extend(std::iter::repeat_n(1.0, batch_size));
    packed.extend([0.9, 0.1, 0.99, 0.01, 1e-3, 1.0, 1e-8, 1.0, 0.1]);
    if let Some(rows) = class_rows {
        let classes: Vec<u32> = (0..batch_size).map(|image| (image % rows) as u32).collect();
        packed.extend(one_hot(&classes, rows));
    }
    packed
}

struct State {
    /// It has weights within a step alone, so that they can be overwritten after it.
    network: Network,
    /// Of a batch.
    shape: [usize; 4],
    clip_norm: f64,
    given: Buffer,
    /// In the order of [`Learned`].
    learned: [Buffer; 4],
}

impl State {
    fn new(
        network: &Network,
        shape: [usize; 4],
        clip_norm: f64,
        device: &Device,
        learned: &Learned,
    ) -> Result<Self, NotCaptured> {
        let given = trial(shape, network.class_rows(), 0);
        let mut state = Self {
            network: network.clone().without_weights(),
            shape,
            clip_norm,
            given: Buffer::new(given, device),
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
        let shape = self.shape;
        let (batch_size, pixels) = (shape[0], shape.iter().product::<usize>());
        let given = self.given.values();
        let part = |start, length| given.clone().narrow(0, start, length);
        let input = part(0, pixels).reshape(shape).autodiff();
        let target = part(pixels, pixels).reshape(shape).autodiff();
        let timesteps = part(2 * pixels, batch_size).autodiff();
        let loss_weights = part(2 * pixels + batch_size, batch_size).reshape([batch_size, 1, 1, 1]).autodiff();
        let factors = part(2 * (pixels + batch_size), FACTORS);
        let share_of_weights = factors.clone().narrow(0, FACTORS - 1, 1);
        let factors = Factors::on_device(&factors);
        let classes = self.network.class_rows().map_or(Classes::Untold, |rows| {
            let chosen = part(2 * (pixels + batch_size) + FACTORS, batch_size * rows);
            Classes::OneHot(Box::new(chosen.reshape([batch_size, rows]).autodiff()))
        });

        let (loss, gradient) = {
            let mut network = self.network.clone();
            network.set_weights(self.learned[0].values());
            let nothing_dropped = Dropout { seed: 0, step: 0, first_image: 0 };
            let (predicted, _) =
                network.forward_in_training(input, timesteps, classes, nothing_dropped, TokenRoute::default());
            let loss = ((predicted - target).square() * loss_weights).mean();
            (loss.clone().inner(), network.gradients(loss))
        };
        let (gradient, norm) = clip(gradient, self.clip_norm);
        let Norm::OnDevice(norm) = norm else { unreachable!("steps on the host are not captured") };
        let [weights, first, second, average] = self.learned.each_ref().map(Buffer::values);
        let [weights, first, second] = factors.update_tensors([weights, first, second], gradient);
        let average = optim::towards(average, weights.clone(), &share_of_weights);
        drop(given);
        self.learn([weights, first, second, average])?;
        Ok(Tensor::cat(vec![loss, *norm], 0))
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

    fn values(&self) -> Tensor<1> {
        self.values.clone().expect("it is there between two calls")
    }

    /// # Errors
    /// If the values would not lie where those before did, where captured kernels look for them.
    fn overwrite(&mut self, values: Tensor<1>) -> Result<(), NotCaptured> {
        let buffer = self.values.take().expect("it is there between two calls");
        let in_place = buffer.can_mut();
        let all = 0..buffer.dims()[0];
        self.values = Some(buffer.slice_assign([all], values));
        if in_place { Ok(()) } else { Err(NotCaptured::Moved) }
    }
}

fn distance(one: &[f32], other: &[f32]) -> f64 {
    one.iter().zip(other).map(|(one, other)| f64::from(one - other).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{AdmModel, AuxiliaryLosses, Model, MuonOptimizer, UnetModel};

    #[test]
    fn what_needs_the_host_within_a_step_is_named() {
        assert_eq!(needs_the_host(&RunSpec::default(), 1), None);
        let spec = RunSpec::default;
        let dropout = Model::Unet(UnetModel { dropout: 0.1, ..UnetModel::default() });
        let variance = Model::Adm(AdmModel { learned_sigma: true, ..AdmModel::default() });
        let losses = AuxiliaryLosses { contrastive: 0.05, ..AuxiliaryLosses::default() };
        for (spec, parts, expected) in [
            (spec(), 2, "a batch in several parts"),
            (RunSpec { model: dropout, ..spec() }, 1, "dropout"),
            (RunSpec { model: variance, ..spec() }, 1, "a learned variance"),
            (RunSpec { auxiliary_losses: losses, ..spec() }, 1, "`auxiliary_losses`"),
            (
                RunSpec { optimizer: Optimizer::Muon(MuonOptimizer::default()), ..spec() },
                1,
                "an optimizer other than Adam and AdamW",
            ),
        ] {
            assert_eq!(needs_the_host(&spec, parts), Some(expected));
        }
    }

    #[test]
    fn a_step_is_given_images_first_and_classes_last() {
        let factors = Factors {
            beta1: 1.0,
            one_minus_beta1: 2.0,
            beta2: 3.0,
            one_minus_beta2: 4.0,
            step_size: 5.0,
            root_scale: 6.0,
            epsilon: 7.0,
            kept: 8.0,
        };
        let given = Given {
            input: &[0.1, 0.2],
            target: &[0.3, 0.4],
            timesteps: &[17],
            classes: Some(&[1]),
            loss_weights: vec![0.5],
            factors,
            share_of_weights: 9.0,
        };
        let packed = given.packed(Some(3));
        let expected = [0.1, 0.2, 0.3, 0.4, 17.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 0.0, 1.0, 0.0];
        assert_eq!(packed, expected);
        assert_eq!(packed.len(), trial([1, 2, 1, 1], Some(3), 0).len());
        let device = Device::flex();
        let on_device = Factors::on_device(&flat(packed[6..14].to_vec(), &device));
        let read = |factor: Tensor<1>| values(factor)[0];
        assert_eq!((read(on_device.beta1), read(on_device.root_scale), read(on_device.kept)), (1.0, 6.0, 8.0));
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
