use burn::tensor::{Device, Tensor, TensorData};

use super::architecture::Pass;
use crate::random::{Draws, Stream};

/// The source of a training step's dropout masks; without it nothing is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropout {
    pub seed: u64,
    pub step: u64,
    /// The place in the batch of the first image of the pass: a batch may be computed in parts, and its masks are the same.
    pub first_image: usize,
}

/// Layers that a step's stream of masks is divided among.
const LAYERS: u64 = 1 << 16;

impl Dropout {
    /// Sets a share `rate` of `activations` to zero and scales the others by 1 / (1 - rate) (Srivastava et al. 2014,
    /// scaled during training). The mask is a function of (seed, step, layer), drawn as
    /// `[batch, channels, height, width]` from the batch's first image on, whichever is the first of this pass.
    pub fn apply(
        self,
        pass: Pass,
        activations: Tensor<4>,
        shape: [usize; 4],
        rate: f64,
        layer: usize,
        device: &Device,
    ) -> Tensor<4> {
        let mut draws = Draws::new(self.seed, Stream::Dropout, self.step * LAYERS + layer as u64);
        draws.skip(self.first_image * shape[1..].iter().product::<usize>());
        let threshold = (rate * 2f64.powi(32)) as u64;
        let kept = (1.0 / (1.0 - rate)) as f32;
        let mut mask = vec![0f32; shape.iter().product()];
        draws.fill_of_words(&mut mask, |word| if u64::from(word) < threshold { 0.0 } else { kept });
        activations * pass.kernels.enter(Tensor::from_data(TensorData::new(mask, shape), device))
    }
}
