use burn::tensor::{Tensor, TensorData};

use super::EvaluateError;
use super::precision::generating;
use crate::kernels::Kernels;
use crate::model::{CapturedPass, Network};
use crate::spec::{FidPrecision, RunSpec};

/// The network: `predict(input, timesteps, classes)` of `timesteps.len()` images, each at its own t, which may lie between
/// two timesteps, and of its own class, where the network is told classes; where it is and there are none, of no class.
/// With `learned_sigma` the v of all images follow what is predicted of all images.
pub type Predict<'a> = &'a mut dyn FnMut(&[f32], &[f32], Option<&[u32]>) -> Predicted;

/// The same in each precision that is asked for: `predict(precision, input, timesteps, classes)`.
pub type PredictIn<'a> = &'a mut dyn FnMut(FidPrecision, &[f32], &[f32], Option<&[u32]>) -> Predicted;

/// A network's predictions for all images.
pub type Predicted = Result<Vec<f32>, EvaluateError>;

/// How images are generated from a network that may know classes.
#[derive(Clone, Copy, Debug)]
pub struct Conditioning {
    /// How many classes the network is told of.
    pub classes: Option<usize>,
    /// The scale of classifier-free guidance; 1 is none.
    pub guidance: f64,
}

impl Conditioning {
    pub fn of(spec: &RunSpec) -> Self {
        Self { classes: spec.told_classes(), guidance: spec.evaluate.fid.guidance }
    }

    /// The classes of `count` generated images from the one at `first`: image i is of class i modulo their number.
    pub fn generated_classes(self, first: usize, count: usize) -> Option<Vec<u32>> {
        let classes = self.classes?;
        Some((first..first + count).map(|index| (index % classes) as u32).collect())
    }

    /// What `network` predicts without a class, plus `guidance` times what the class changes in it (Ho and Salimans 2022,
    /// arXiv 2207.12598, equation 6, where the scale is 1 + w).
    ///
    /// What is predicted, epsilon, v and x_0 are linear in one another at any t, so guiding one guides all.
    pub fn predict(
        self,
        network: Predict<'_>,
        input: &[f32],
        timesteps: &[f32],
        classes: Option<&[u32]>,
    ) -> Result<Vec<f32>, EvaluateError> {
        let mut predicted = network(input, timesteps, classes)?;
        if self.guidance != 1.0 && classes.is_some() {
            let guidance = self.guidance as f32;
            // The variance stays that of the class.
            let without = network(input, timesteps, None)?;
            for (predicted, without) in predicted.iter_mut().zip(without).take(input.len()) {
                *predicted = without + guidance * (*predicted - without);
            }
        }
        Ok(predicted)
    }
}

/// How a network's passes are told to its device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passes {
    /// Kernel by kernel.
    #[default]
    ByKernel,
    /// Captured, where a shape of batches comes again and the device captures kernels.
    Captured,
}

/// Passes of a shape before its kernels are captured: a pass or two are sooner done kernel by kernel.
const PASSES_BEFORE_CAPTURE: usize = 8;

/// The passes of batches of one size, as often as they were asked for.
struct OfBatch {
    images: usize,
    asked: usize,
    captured: Option<CapturedPass>,
}

impl OfBatch {
    /// The captured pass, from some passes on. A device that captures none is not asked again.
    fn captured(&mut self, network: &Network, (channels, side): (usize, usize)) -> Option<&mut CapturedPass> {
        self.asked += 1;
        if self.asked == PASSES_BEFORE_CAPTURE {
            self.captured = CapturedPass::new(network, [self.images, channels, side, side])
                .inspect_err(|error| eprintln!("images are generated kernel by kernel: {error}"))
                .ok();
        }
        self.captured.as_mut()
    }
}

/// Asks `network`, with the weights it has, for a whole batch of images of `image_shape` (channels, side).
pub fn with_network(
    network: &Network,
    image_shape: (usize, usize),
    passes: Passes,
) -> impl FnMut(&[f32], &[f32], Option<&[u32]>) -> Predicted + use<> {
    let network = network.untracked();
    let device = network.weights().device();
    let (channels, side) = image_shape;
    let is_captured = passes == Passes::Captured && !matches!(Kernels::for_device(&device), Kernels::Fused(_));
    let mut of_batches: Vec<OfBatch> = Vec::new();
    move |input, timesteps, classes| {
        let count = timesteps.len();
        if is_captured {
            let known = of_batches.iter().position(|of_batch| of_batch.images == count);
            let place = known.unwrap_or_else(|| {
                of_batches.push(OfBatch { images: count, asked: 0, captured: None });
                of_batches.len() - 1
            });
            if let Some(captured) = of_batches[place].captured(&network, image_shape) {
                // A device that no longer takes what it took fails as it does for a kernel.
                return Ok(captured.predict(input, timesteps, classes).unwrap_or_else(|error| panic!("{error}")));
            }
        }
        let input = TensorData::new(input.to_vec(), [count, channels, side, side]);
        let timesteps = TensorData::new(timesteps.to_vec(), [count]);
        let (input, timesteps) = (Tensor::from_data(input, &device), Tensor::from_data(timesteps, &device));
        let predicted = network.forward(input, timesteps, classes, None);
        let values = |part: Tensor<4>| part.into_data().try_into_vec::<f32>().expect("networks compute in f32");
        if predicted.dims()[1] == channels {
            return Ok(values(predicted));
        }
        let mut both = values(predicted.clone().narrow(1, 0, channels));
        both.extend(values(predicted.narrow(1, channels, channels)));
        Ok(both)
    }
}

/// [`with_network`] in the precision of each question: in f32 with the operations that the network has.
pub fn with_network_in(
    network: &Network,
    image_shape: (usize, usize),
    passes: Passes,
) -> impl FnMut(FidPrecision, &[f32], &[f32], Option<&[u32]>) -> Predicted {
    let mut in_f32 = with_network(network, image_shape, passes);
    let mut in_bf16 = None;
    move |precision, input, timesteps, classes| match precision {
        FidPrecision::F32 => in_f32(input, timesteps, classes),
        FidPrecision::Bf16 => {
            let in_bf16 = match &mut in_bf16 {
                Some(made) => made,
                unmade => unmade.insert(with_network(&generating(network, precision)?, image_shape, passes)),
            };
            in_bf16(input, timesteps, classes)
        }
    }
}
