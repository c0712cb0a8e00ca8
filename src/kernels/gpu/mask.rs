use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, backend_extension};

/// A mask of dropout, drawn on the device: 0 where the word of [`crate::random::Draws`] is below `threshold`, else `kept`. The words are those
/// of `Draws::new(seed, Stream::Dropout, step * 2^16 + layer)`, in the order of `shape`. The step is on the device: `[2]`, its remainder
/// of 2^16 and its quotient, both whole in f32 for the first 2^40 steps.
#[derive(Clone, Copy, Debug)]
pub struct DrawnMask {
    pub seed: u64,
    pub layer: u16,
    pub threshold: u32,
    pub kept: f32,
    pub shape: [usize; 4],
}

#[backend_extension(
    Flex,
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    Fusion: cfg(any(feature = "wgpu", feature = "cuda"))
)]
pub trait MaskKernels: Backend {
    /// The mask, of `mask.shape`.
    #[fusion(meta = |step, mask| specs::of(step, mask))]
    fn device_dropout_mask(step: FloatTensor<Self>, mask: DrawnMask) -> FloatTensor<Self>;
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod specs {
    use burn::backend::fusion::custom::TensorSpec;
    use burn::tensor::Shape;

    use super::DrawnMask;

    pub fn of(step: &TensorSpec, mask: &DrawnMask) -> TensorSpec {
        TensorSpec::new(Shape::from(mask.shape), step.dtype)
    }
}
