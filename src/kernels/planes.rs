use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};
use half::bf16;

use super::Products;
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
    pub storage: Storage,
}

/// What the words of planes hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// A number each.
    F32,
    /// Two channels next to each other, rounded to bf16: memory order `[height, width, channels / 2, batch, 2]`.
    Bf16,
}

impl Storage {
    /// For planes whose numbers are to be factors of such products: as these round them anyway, if the channels come in pairs.
    pub fn of_factors(products: Products, channels: usize) -> Self {
        match products {
            Products::Bf16 if channels.is_multiple_of(2) => Self::Bf16,
            Products::Bf16 | Products::F32 => Self::F32,
        }
    }

    /// Channels of a word.
    pub fn numbers(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::Bf16 => 2,
        }
    }
}

impl Planes {
    /// Planes of f32.
    pub fn new(tensor: &FlexTensor) -> Self {
        let planes = Self::stored(tensor);
        assert_eq!(planes.storage, Storage::F32, "this operation takes planes of f32");
        planes
    }

    /// Planes of f32 or of bf16.
    pub fn stored(tensor: &FlexTensor) -> Self {
        let [height, width, channels, batch] = tensor.layout().shape().dims();
        assert!(batch.is_multiple_of(LANES), "a batch of {batch} was not entered into the fused layout");
        let storage = if tensor.dtype() == DType::BF16 { Storage::Bf16 } else { Storage::F32 };
        Self { tensor: contiguous(tensor), height, width, channels, chunks: batch / LANES, storage }
    }

    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Words of a pixel, `self.chunks` chunks each.
    pub fn words(&self) -> usize {
        self.channels / self.storage.numbers()
    }

    /// All words: pixel by pixel, then channel by channel, `self.chunks` each.
    pub fn values(&self) -> &[Chunk] {
        match self.storage {
            Storage::F32 => numbers(&self.tensor).as_chunks().0,
            Storage::Bf16 => {
                let numbers: &[bf16] = self.tensor.as_slice().expect("a contiguous tensor of bf16");
                // SAFETY: any bits are an f32.
                let (before, words, after) = unsafe { numbers.align_to() };
                assert!(before.is_empty() && after.is_empty(), "planes of bf16 are whole words");
                words
            }
        }
    }

    /// A tensor of this shape and storage.
    pub fn tensor_of_shape(&self, values: Vec<Chunk>) -> FlexTensor {
        stored_tensor(values, [self.height, self.width, self.channels], self.storage)
    }
}

/// A tensor `[height, width, channels, batch]`.
pub fn planes_tensor(values: Vec<Chunk>, height: usize, width: usize, channels: usize) -> FlexTensor {
    stored_tensor(values, [height, width, channels], Storage::F32)
}

/// The same of words that hold what `storage` says.
pub fn stored_tensor(words: Vec<Chunk>, [height, width, channels]: [usize; 3], storage: Storage) -> FlexTensor {
    let batch = words.len() * storage.numbers() * LANES / (height * width * channels);
    let shape = Shape::from([height, width, channels, batch]);
    let kind = match storage {
        Storage::F32 => DType::F32,
        Storage::Bf16 => DType::BF16,
    };
    FlexTensor::new(Bytes::from_elems(words), Layout::contiguous(shape), kind)
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
