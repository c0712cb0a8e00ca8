//! Work on a GPU whose kernels are captured once and launched together ever after.
//!
//! A pass of a small network is hundreds of kernels of a few microseconds each, and telling a GPU of each takes longer than the kernel. What is
//! captured is told of at once: a CUDA graph, or on other devices the same commands without what led to them. The kernels read and write the memory
//! that they did when they were captured.

use burn::backend::{Backend as _, BackendGraph, Dispatch, ExecutionError};
use burn::tensor::{Device, Tensor, TensorData};

use super::Network;
use super::class_embedding::{Classes, one_hot};
use crate::random::{Draws, Stream};

/// Why work is not captured.
#[derive(Debug, thiserror::Error)]
pub enum NotCaptured {
    #[error("{0} needs the host within a step")]
    Needs(&'static str),
    #[error("the CPU is not told of kernels")]
    OnCpu,
    #[error("the device captures no kernels: {0}")]
    Refused(String),
    #[error("a buffer of the captured work was not overwritten in place")]
    Moved,
    #[error("two captured steps end {difference:.1e} of their length away from the same steps done kernel by kernel")]
    Differs { difference: f64 },
}

/// Captured kernels.
pub struct Graph {
    graph: BackendGraph<Dispatch>,
    device: Device,
}

/// How often work is done before it is captured. The first times kernels are compiled and chosen, and memory is allocated, which captured work must
/// not ask for.
const WARM_UP: usize = 4;

impl Graph {
    /// Captures `work`, and returns the tensor that it then made: each replay overwrites it.
    pub fn of(
        device: &Device,
        work: &mut dyn FnMut() -> Result<Tensor<1>, NotCaptured>,
    ) -> Result<(Self, Tensor<1>), NotCaptured> {
        let dispatch = device.as_dispatch();
        Dispatch::graph_prepare(dispatch).map_err(refused)?;
        let mut recorded = || {
            for _ in 0..WARM_UP {
                values(work()?);
            }
            Dispatch::graph_start_capture(dispatch).map_err(refused)?;
            work()
        };
        let made = recorded();
        // Also where something failed: a device goes on recording until it is told to stop.
        let graph = Dispatch::graph_stop_capture(dispatch).map_err(refused);
        let made = made?;
        Ok((Self { graph: graph?, device: device.clone() }, made))
    }

    /// Does the captured work once more.
    ///
    /// # Safety
    /// All that the kernels read or write is still there: buffers that the caller keeps, the tensor that was made, or pages that the graph keeps.
    /// What is queued before and after is queued by the same thread, and so in the same stream.
    pub unsafe fn replay(&self) -> Result<(), NotCaptured> {
        // SAFETY: as this function asks of its caller.
        unsafe { Dispatch::graph_replay(self.device.as_dispatch(), &self.graph) }.map_err(refused)
    }
}

fn refused(error: ExecutionError) -> NotCaptured {
    NotCaptured::Refused(error.to_string())
}

/// Memory on a device that stays where it is.
pub struct Buffer {
    /// Absent only while it is overwritten.
    values: Option<Tensor<1>>,
}

impl Buffer {
    pub fn new(values: Vec<f32>, device: &Device) -> Self {
        Self { values: Some(flat(values, device)) }
    }

    /// Whether what is done to it in place is done where it lies.
    pub fn is_held_by_nobody_else(&self) -> bool {
        self.values.as_ref().is_some_and(Tensor::can_mut)
    }

    /// Its values, to be put back before the next call.
    pub fn take(&mut self) -> Tensor<1> {
        self.values.take().expect("it is there between two calls")
    }

    /// What was taken, changed in place.
    pub fn put_back(&mut self, values: Tensor<1>) {
        self.values = Some(values);
    }

    pub fn values(&self) -> Tensor<1> {
        self.values.clone().expect("it is there between two calls")
    }

    /// # Errors
    /// If the values would not lie where those before did, where captured kernels look for them.
    pub fn overwrite(&mut self, values: Tensor<1>) -> Result<(), NotCaptured> {
        let buffer = self.take();
        let in_place = buffer.can_mut();
        let all = 0..buffer.dims()[0];
        self.values = Some(buffer.slice_assign([all], values));
        if in_place { Ok(()) } else { Err(NotCaptured::Moved) }
    }
}

/// Numbers on a device.
pub fn flat(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}

/// Numbers from a device.
pub fn values(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("networks compute in f32")
}

/// The passes of an untracked network, of its weights as they are, for batches of one shape.
pub struct CapturedPass {
    graph: Graph,
    /// Whose weights the kernels read.
    network: Network,
    shape: [usize; 4],
    /// Images, timesteps and, where the network is told classes, ones at these: see [`packed`].
    given: Buffer,
    /// `[values]`: overwritten by each pass.
    predicted: Tensor<1>,
}

/// The largest distance of what a captured pass predicts from the same pass kernel by kernel, over the length of that. Both are the same kernels.
const TOLERANCE: f64 = 1e-3;

impl CapturedPass {
    /// Captures the pass of batches of `shape`, `[batch, channels, side, side]`, and checks one.
    ///
    /// # Errors
    /// If the device does not capture kernels, or does not do with them what it does without.
    pub fn new(network: &Network, shape: [usize; 4]) -> Result<Self, NotCaptured> {
        let network = network.untracked();
        let device = network.weights().device();
        // Two that differ in all that a pass is given: the second is not what it was captured with.
        let trials = [0, 1].map(|number| trial(&network, shape, number));
        let expected = trials.each_ref().map(|trial| values(predict(&network, shape, &flat(trial.clone(), &device))));
        let given = Buffer::new(trials[0].clone(), &device);
        let (graph, predicted) = Graph::of(&device, &mut || Ok(predict(&network, shape, &given.values())))?;
        let mut captured = Self { graph, network, shape, given, predicted };
        let length = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value.powi(2)).sum::<f64>().sqrt();
        for (trial, expected) in trials.into_iter().zip(expected).rev() {
            let found = captured.pass(trial)?;
            let both = found.iter().zip(&expected);
            let distance = length(&mut both.map(|(&one, &other)| f64::from(one) - f64::from(other)));
            let whole = length(&mut expected.iter().map(|&value| value.into()));
            let difference = distance / whole.max(f64::MIN_POSITIVE);
            // Not a number is no agreement.
            if difference.is_nan() || difference > TOLERANCE {
                return Err(NotCaptured::Differs { difference });
            }
        }
        Ok(captured)
    }

    /// What [`Network::forward`] predicts of a batch of this shape, flat; with `learned_sigma` the v of all images follow. Without
    /// `classes` images of a network that is told them are of no class.
    ///
    /// # Panics
    /// As [`Network::forward`], where images are of no class and the network knows none.
    pub fn predict(
        &mut self,
        images: &[f32],
        timesteps: &[f32],
        classes: Option<&[u32]>,
    ) -> Result<Vec<f32>, NotCaptured> {
        let rows = self.network.class_rows();
        let none = rows.filter(|_| classes.is_none()).map(|_| {
            let none =
                self.network.no_class().expect("a model whose `class_dropout` is 0 knows no image without a class");
            vec![none; self.shape[0]]
        });
        self.pass(packed(images, timesteps, classes.or(none.as_deref()), rows))
    }

    fn pass(&mut self, given: Vec<f32>) -> Result<Vec<f32>, NotCaptured> {
        self.given.overwrite(flat(given, &self.graph.device))?;
        // SAFETY: what the kernels read is in `given` and in the weights of `network`, which has no mutable reference; they write `predicted`, or pages
        // that the graph keeps. This is the thread that captured them: the network's closure is called by one.
        unsafe { self.graph.replay()? };
        Ok(values(self.predicted.clone()))
    }
}

/// Made-up images, timesteps and classes.
fn trial(network: &Network, shape: [usize; 4], number: usize) -> Vec<f32> {
    let mut images = vec![0f32; shape.iter().product()];
    Draws::new(0, Stream::Noise, number as u64).fill_normal(&mut images);
    let timesteps: Vec<f32> = (0..shape[0]).map(|image| ((image + 3 * number) * 997 % 1000) as f32).collect();
    let rows = network.class_rows();
    let classes = rows.map(|rows| (0..shape[0]).map(|image| ((image + number) % rows) as u32).collect::<Vec<_>>());
    packed(&images, &timesteps, classes.as_deref(), rows)
}

fn packed(images: &[f32], timesteps: &[f32], classes: Option<&[u32]>, rows: Option<usize>) -> Vec<f32> {
    let mut packed = [images, timesteps].concat();
    if let Some((classes, rows)) = classes.zip(rows) {
        packed.extend(one_hot(classes, rows));
    }
    packed
}

/// The pass of what was packed.
fn predict(network: &Network, shape: [usize; 4], packed: &Tensor<1>) -> Tensor<1> {
    let (batch, pixels) = (shape[0], shape.iter().product::<usize>());
    let images = packed.clone().narrow(0, 0, pixels).reshape(shape);
    let timesteps = packed.clone().narrow(0, pixels, batch);
    let classes = network.class_rows().map_or(Classes::Untold, |rows| {
        Classes::OneHot(Box::new(packed.clone().narrow(0, pixels + batch, batch * rows).reshape([batch, rows])))
    });
    let predicted = network.forward_told(images, timesteps, classes, None);
    if predicted.dims()[1] == shape[1] {
        return predicted.reshape([pixels]);
    }
    let parts = [0, shape[1]].map(|first| predicted.clone().narrow(1, first, shape[1]).reshape([pixels]));
    Tensor::cat(parts.to_vec(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::build;
    use crate::spec::{AdmModel, Model, UnetModel};

    /// What is captured is this pass; the CPU does it and captures nothing.
    #[test]
    fn a_pass_of_what_was_packed_is_the_networks_forward_pass() {
        let adm = AdmModel {
            channels: 16,
            channel_multipliers: vec![1],
            blocks_per_level: 1,
            attention_resolutions: vec![],
            norm_groups: 4,
            class_conditional: true,
            learned_sigma: true,
            ..AdmModel::default()
        };
        let unet =
            UnetModel { channels: 16, channel_multipliers: vec![1], blocks_per_level: 1, ..UnetModel::default() };
        let (images, timesteps) = (vec![0.5f32; 2 * 64], [3.0, 400.0]);
        for (model, data, classes) in [
            (Model::Unet(unet), (1, 8).into(), vec![None]),
            (
                Model::Adm(adm),
                crate::spec::DataShape { channels: 1, side: 8, classes: Some(3) },
                vec![None, Some([2u32, 0])],
            ),
        ] {
            let network = build(&model, data, 7, &Device::flex()).untracked();
            for classes in classes {
                let told = classes.as_ref().map(|classes| &classes[..]);
                let rows = network.class_rows();
                let none = rows.map(|rows| vec![rows as u32 - 1; 2]);
                let given = packed(&images, &timesteps, told.or(none.as_deref()), rows);
                let found = values(predict(&network, [2, 1, 8, 8], &flat(given, &Device::flex())));
                let noisy = Tensor::from_data(TensorData::new(images.clone(), [2, 1, 8, 8]), &Device::flex());
                let at = Tensor::from_data(TensorData::new(timesteps.to_vec(), [2]), &Device::flex());
                let predicted = network.forward(noisy, at, told, None);
                let parts = (0..predicted.dims()[1]).map(|part| predicted.clone().narrow(1, part, 1).reshape([2 * 64]));
                let expected: Vec<f32> = parts.flat_map(values).collect();
                assert_eq!(found, expected, "{} {classes:?}", model.kind());
            }
        }
    }

    #[test]
    fn a_cpu_captures_nothing_and_says_so() {
        let model = Model::Unet(UnetModel { channels: 16, channel_multipliers: vec![1], ..UnetModel::default() });
        let network = build(&model, (1, 8), 7, &Device::flex()).untracked();
        let error = CapturedPass::new(&network, [2, 1, 8, 8]).err().expect("no graph on a CPU");
        assert!(matches!(error, NotCaptured::Refused(_)), "{error}");
    }
}
