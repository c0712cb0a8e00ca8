use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use pytorch_reader::{DType, PytorchReader, Tensor};
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::VitError;

/// The tensors of a file that safetensors or `torch.save` wrote. They are read one at a time: such files may be larger than what is
/// needed of them.
pub struct TensorFile {
    pub path: PathBuf,
    tensors: BTreeMap<String, Stored>,
}

struct Stored {
    shape: Vec<usize>,
    values: Values,
}

enum Values {
    /// A part of the file.
    Safetensors {
        dtype: Dtype,
        start: u64,
        bytes: usize,
    },
    Pytorch(Tensor),
}

/// The formats of numbers that weights come in.
enum Format {
    F32,
    F16,
    Bf16,
}

/// Bytes before the header of a safetensors file: its length.
const LENGTH_BYTES: usize = 8;
/// What a file of the wrong kind is answered with.
const HINT: &str = "name a .safetensors or .pth file of facebook/dinov2-* or openai/clip-vit-large-patch14-336";

impl TensorFile {
    /// Names and shapes; no values are read.
    pub fn open(path: &Path) -> Result<Self, VitError> {
        let wrong = |problem: String| VitError::new(path, problem, HINT);
        let unreadable = |source: std::io::Error| wrong(format!("cannot be read: {source}"));
        let mut file = File::open(path).map_err(unreadable)?;
        let size = file.metadata().map_err(unreadable)?.len();
        let mut start = Vec::new();
        (&mut file).take(LENGTH_BYTES as u64 + 1).read_to_end(&mut start).map_err(unreadable)?;
        let tensors = match header_length(&start, size) {
            Some(length) => {
                let mut header = vec![0; length];
                file.seek(SeekFrom::Start(LENGTH_BYTES as u64)).map_err(unreadable)?;
                file.read_exact(&mut header).map_err(unreadable)?;
                safetensors(&header, size).map_err(wrong)?
            }
            None => {
                let reader = PytorchReader::new(path).map_err(|error| {
                    wrong(format!("is neither a safetensors file nor one that `torch.save` wrote: {error}"))
                })?;
                let stored = |(name, tensor): (String, Tensor)| {
                    (name, Stored { shape: tensor.shape().to_vec(), values: Values::Pytorch(tensor) })
                };
                reader.into_tensors().into_iter().map(stored).collect()
            }
        };
        Ok(Self { path: path.to_owned(), tensors })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The shape of a tensor, if it is there.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|stored| stored.shape.as_slice())
    }

    /// The values of a tensor of this shape, all finite.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, VitError> {
        self.check(name, shape)?;
        let wrong = |problem: String| self.wrong(format!("has a tensor `{name}` {problem}"), "copy the file again");
        let Stored { values, .. } = &self.tensors[name];
        let format = self.format(name)?;
        let bytes = match values {
            Values::Pytorch(tensor) => tensor.read(),
            Values::Safetensors { start, bytes, .. } => self.part(*start, *bytes),
        };
        let bytes = bytes.map_err(|source| wrong(format!("that cannot be read: {source}")))?;
        let values: Vec<f32> = match format {
            Format::F32 => bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Format::F16 => bytes.as_chunks::<2>().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
            Format::Bf16 => bytes.as_chunks::<2>().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
        };
        if values.len() != shape.iter().product::<usize>() {
            return Err(wrong(format!("of {} values, where its shape is {shape:?}", values.len())));
        }
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(wrong(format!("that holds {value}"))),
            None => Ok(values),
        }
    }

    /// Whether a tensor is there, with this shape and of numbers that are read.
    pub fn check(&self, name: &str, shape: &[usize]) -> Result<(), VitError> {
        match self.shape(name) {
            None => Err(self.wrong(format!("has no tensor `{name}`"), HINT)),
            Some(found) if found != shape => {
                Err(self.wrong(format!("has a tensor `{name}` of shape {found:?}, where {shape:?} is expected"), HINT))
            }
            Some(_) => self.format(name).map(drop),
        }
    }

    /// An error of this file.
    pub fn wrong(&self, problem: String, hint: &'static str) -> VitError {
        VitError::new(&self.path, problem, hint)
    }

    fn format(&self, name: &str) -> Result<Format, VitError> {
        let other = |found: String| {
            let hint = "save it again in float32";
            Err(self.wrong(format!("has a tensor `{name}` of type {found}; F32, F16 and BF16 are read"), hint))
        };
        match &self.tensors[name].values {
            Values::Safetensors { dtype: Dtype::F32, .. } => Ok(Format::F32),
            Values::Safetensors { dtype: Dtype::F16, .. } => Ok(Format::F16),
            Values::Safetensors { dtype: Dtype::BF16, .. } => Ok(Format::Bf16),
            Values::Safetensors { dtype, .. } => other(dtype.to_string()),
            Values::Pytorch(tensor) => match tensor.dtype() {
                DType::F32 => Ok(Format::F32),
                DType::F16 => Ok(Format::F16),
                DType::BF16 => Ok(Format::Bf16),
                found => other(format!("{found:?}")),
            },
        }
    }

    fn part(&self, start: u64, bytes: usize) -> std::io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(start))?;
        let mut part = vec![0; bytes];
        file.read_exact(&mut part)?;
        Ok(part)
    }
}

/// The length of the header of a safetensors file that begins so and has this size; `None` of another file.
fn header_length(start: &[u8], size: u64) -> Option<usize> {
    let (length, rest) = start.split_first_chunk::<LENGTH_BYTES>()?;
    let length = u64::from_le_bytes(*length);
    let is_header = rest == b"{" && length.checked_add(LENGTH_BYTES as u64)? <= size;
    is_header.then_some(length as usize)
}

/// The places of the tensors in a safetensors file of `size` bytes; the error says what is wrong with the file.
fn safetensors(header: &[u8], size: u64) -> Result<BTreeMap<String, Stored>, String> {
    let damaged = |error: &dyn std::fmt::Display| format!("is no whole safetensors file: {error}");
    let metadata: Metadata = serde_json::from_slice(header).map_err(|error| damaged(&error))?;
    let data_start = (LENGTH_BYTES + header.len()) as u64;
    let expected = data_start + metadata.data_len() as u64;
    if size != expected {
        return Err(damaged(&format_args!("it has {size} bytes, and its header says {expected}")));
    }
    let stored = |(name, info): (String, &safetensors::tensor::TensorInfo)| {
        let (first, end) = info.data_offsets;
        let values = Values::Safetensors {
            dtype: info.dtype,
            start: data_start + first as u64,
            bytes: end.saturating_sub(first),
        };
        (name, Stored { shape: info.shape.clone(), values })
    };
    Ok(metadata.tensors().into_iter().map(stored).collect())
}
