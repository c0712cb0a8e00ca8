use burn::tensor::{Device, Tensor, TensorData};

use super::architecture::Pass;
use crate::kernels::{DrawnMask, dropout_mask};
use crate::random::{Draws, Stream};

/// The source of a training step's dropout masks; without it nothing is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropout {
    pub seed: u64,
    pub step: u64,
    /// The place in the batch of the first image of the pass: a batch may be computed in parts, and its masks are the same.
    pub first_image: usize,
}

/// What dropout draws by, where it draws on a device.
pub struct DeviceDraws {
    pub seed: u64,
    /// [`DeviceDraws::step_values`] on the device.
    pub step: Tensor<1>,
}

impl DeviceDraws {
    /// A step's number as a device is given it, `[2]`: see [`DrawnMask`].
    pub fn step_values(step: u64) -> [f32; 2] {
        [(step % LAYERS) as f32, (step / LAYERS) as f32]
    }
}

/// Where the masks are made, which are the same bits.
#[derive(Clone, Copy)]
pub enum Masks<'a> {
    /// On the host, which brings them to the device.
    Drawn(Dropout),
    /// On the device; for a whole batch.
    OnDevice(&'a DeviceDraws),
}

impl From<Dropout> for Masks<'_> {
    fn from(dropout: Dropout) -> Self {
        Self::Drawn(dropout)
    }
}

/// Layers that a step's stream of masks is divided among.
const LAYERS: u64 = 1 << 16;

impl Masks<'_> {
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
        let threshold = (rate * 2f64.powi(32)) as u32;
        let kept = (1.0 / (1.0 - rate)) as f32;
        let count = shape.iter().product();
        let mask = match self {
            Self::Drawn(Dropout { seed, step, first_image }) => {
                let mut draws = Draws::new(seed, Stream::Dropout, step * LAYERS + layer as u64);
                draws.skip(first_image * shape[1..].iter().product::<usize>());
                let mut mask = vec![0f32; count];
                draws.fill_of_words(&mut mask, |word| if word < threshold { 0.0 } else { kept });
                Tensor::from_data(TensorData::new(mask, shape), device)
            }
            Self::OnDevice(DeviceDraws { seed, step }) => {
                let layer = u16::try_from(layer).expect("a network has fewer than 2^16 layers");
                dropout_mask(step.clone(), DrawnMask { seed: *seed, layer, threshold, kept, shape })
            }
        };
        pass.kernels.whole(activations) * pass.kernels.enter(mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_given_numbers_of_steps_that_are_whole_in_f32() {
        for step in [0, 65_535, 65_537, (1 << 33) + 5, (1 << 40) - 1] {
            let [remainder, quotient] = DeviceDraws::step_values(step).map(|half| half as u64);
            assert_eq!((quotient << 16) + remainder, step);
        }
    }
}
