use burn::tensor::{Tensor, TensorData};

use super::EvaluateError;
use super::precision::generating;
use crate::kernels::Kernels;
use crate::model::{CapturedPass, Network, NotCaptured};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passes {
    /// Kernel by kernel.
    ByKernel,
    /// Captured, where a shape of batches comes again and the device captures kernels.
    Captured,
}

/// Passes of a shape before its kernels are captured: a pass or two are sooner done kernel by kernel.
const PASSES_BEFORE_CAPTURE: usize = 8;

/// How often batches of each size were asked for, and the captured pass of the first size that was asked for often: there is one size of most.
#[derive(Default)]
struct Repeated {
    asked: Vec<(usize, usize)>,
    captured: Option<(usize, CapturedPass)>,
    /// A device that captures none is not asked again.
    is_refused: bool,
}

impl Repeated {
    fn captured(
        &mut self,
        network: &Network,
        images: usize,
        (channels, side): (usize, usize),
    ) -> Option<&mut CapturedPass> {
        let place = self.asked.iter().position(|&(size, _)| size == images).unwrap_or_else(|| {
            self.asked.push((images, 0));
            self.asked.len() - 1
        });
        self.asked[place].1 += 1;
        if self.asked[place].1 >= PASSES_BEFORE_CAPTURE && self.captured.is_none() && !self.is_refused {
            match CapturedPass::new(network, [images, channels, side, side]) {
                Ok(captured) => {
                    eprintln!("passes of {images} images are captured");
                    self.captured = Some((images, captured));
                }
                Err(error) => self.refuse(&error),
            }
        }
        self.captured.as_mut().filter(|(size, _)| *size == images).map(|(_, captured)| captured)
    }

    fn refuse(&mut self, error: &NotCaptured) {
        eprintln!("images are generated kernel by kernel: {error}");
        (self.captured, self.is_refused) = (None, true);
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
    let mut repeated = Repeated::default();
    move |input, timesteps, classes| {
        let count = timesteps.len();
        if is_captured && let Some(captured) = repeated.captured(&network, count, image_shape) {
            match captured.predict(input, timesteps, classes) {
                Ok(predicted) => return Ok(predicted),
                Err(error) => repeated.refuse(&error),
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
