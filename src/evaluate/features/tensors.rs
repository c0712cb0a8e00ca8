use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use pytorch_reader::{DType, PytorchReader};
use sha2::{Digest, Sha256};

/// Why a network has no weights.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    #[error("there are no weights of {network} ({})\nhint: fetch them: speedlab data fetch {network}", path.display())]
    Absent { path: PathBuf, network: &'static str },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is no file of PyTorch weights: {problem}", path.display())]
    Format { path: PathBuf, problem: String },
    #[error("{} has no tensor `{name}`: these are not the weights of {network}", path.display())]
    Missing { path: PathBuf, network: &'static str, name: String },
    #[error("tensor `{name}` of {} is {found}, where {network} has {expected}", path.display())]
    Shape { path: PathBuf, network: &'static str, name: String, found: String, expected: String },
}

/// The tensors of a file that `torch.save` wrote, by name.
pub struct TensorFile {
    path: PathBuf,
    /// Of the whole file, in lower-case hexadecimal.
    pub sha256: String,
    network: &'static str,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl TensorFile {
    /// Reads all tensors of 32-bit floats; others (counters of batches) are left out.
    pub fn read(path: &Path, network: &'static str) -> Result<Self, WeightsError> {
        let bytes = fs::read(path).map_err(|source| match source.kind() {
            ErrorKind::NotFound => WeightsError::Absent { path: path.to_owned(), network },
            _ => WeightsError::Read { path: path.to_owned(), source },
        })?;
        let format = |problem: String| WeightsError::Format { path: path.to_owned(), problem };
        let reader = PytorchReader::new(path).map_err(|error| format(error.to_string()))?;
        let mut tensors = BTreeMap::new();
        for tensor in reader.tensors().values().filter(|tensor| tensor.dtype() == DType::F32) {
            let bytes = tensor.read().map_err(|error| format(error.to_string()))?;
            let values = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect();
            tensors.insert(tensor.name.clone(), (tensor.shape().to_vec(), values));
        }
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { path: path.to_owned(), sha256, network, tensors })
    }

    /// The values of a tensor, which has this shape.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
        let (path, network, name) = (self.path.clone(), self.network, name.to_owned());
        match self.tensors.get(&name) {
            None => Err(WeightsError::Missing { path, network, name }),
            Some((found, _)) if found != shape => {
                let (found, expected) = (format!("{found:?}"), format!("{shape:?}"));
                Err(WeightsError::Shape { path, network, name, found, expected })
            }
            Some((_, values)) => Ok(values.clone()),
        }
    }
}
