use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};

use super::lanes::{Chunk, LANES};

/// A tensor in the fused layout `[height, width, channels, batch]`, its batch padded to a multiple of [`LANES`]:
/// what is computed for one image is computed for sixteen at once, whatever the size of the plane.
#[derive(Clone, Debug)]
pub struct Planes {
    tensor: FlexTensor,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// Chunks of [`LANES`] images.
    pub chunks: usize,
}

impl Planes {
    pub fn new(tensor: &FlexTensor) -> Self {
        let [height, width, channels, batch] = tensor.layout().shape().dims();
        assert!(batch.is_multiple_of(LANES), "a batch of {batch} was not entered into the fused layout");
        Self { tensor: contiguous(tensor), height, width, channels, chunks: batch / LANES }
    }

    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// All values: pixel by pixel, then channel by channel, `self.chunks` each.
    pub fn values(&self) -> &[Chunk] {
        numbers(&self.tensor).as_chunks().0
    }

    /// A tensor of this shape.
    pub fn tensor_of_shape(&self, values: Vec<Chunk>) -> FlexTensor {
        planes_tensor(values, self.height, self.width, self.channels)
    }
}

/// A tensor `[height, width, channels, batch]`.
pub fn planes_tensor(values: Vec<Chunk>, height: usize, width: usize, channels: usize) -> FlexTensor {
    let batch = values.len() * LANES / (height * width * channels);
    let shape = Shape::from([height, width, channels, batch]);
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape), DType::F32)
}

/// A tensor of one dimension.
pub fn vector_tensor(values: Vec<f32>) -> FlexTensor {
    let shape = Shape::from([values.len()]);
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape), DType::F32)
}

/// The numbers of a contiguous tensor.
pub fn numbers(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("a contiguous tensor of f32")
}

/// `tensor` itself where its numbers lie in a row, at whatever offset; a copy otherwise.
pub fn contiguous(tensor: &FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor.clone() } else { tensor.to_contiguous() }
}
