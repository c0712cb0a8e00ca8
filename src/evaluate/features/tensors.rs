use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::checksum::sha256;
use crate::model::vit::VitError;
use pytorch_reader::{DType, PytorchReader};

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
    #[error(transparent)]
    Encoder(#[from] VitError),
}

/// The tensors of a file that `torch.save` wrote, by name.
pub struct TensorFile {
    path: PathBuf,
    /// The SHA-256 of the whole file, in lower-case hexadecimal.
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
        let sha256 = sha256(&bytes);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/weights").join(name)
    }

    #[test]
    fn files_of_both_forms_are_read_whatever_the_order_in_memory() {
        for name in ["today.pth", "before-1.6.pth"] {
            let file = TensorFile::read(&golden(name), "a network").unwrap();
            assert_eq!(file.get("layer.weight", &[2, 3]).unwrap(), [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]);
            assert_eq!(file.get("layer.turned", &[3, 2]).unwrap(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
            assert_eq!(file.sha256.len(), 64);
            let refused = |name: &str, shape: &[usize]| file.get(name, shape).unwrap_err().to_string();
            assert!(
                refused("layer.bias", &[2])
                    .ends_with("has no tensor `layer.bias`: these are not the weights of a network")
            );
            assert!(refused("layer.weight", &[3, 2]).ends_with("is [2, 3], where a network has [3, 2]"));
            // Counters are no weights.
            assert!(refused("layer.num_batches_tracked", &[]).contains("has no tensor"));
        }
    }

    #[test]
    fn what_is_missing_or_no_file_of_weights_is_said_with_the_cure() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("x.pth");
        let refused = || TensorFile::read(&path, "inception-v3").err().expect("it is refused").to_string();
        assert!(refused().ends_with("hint: fetch them: speedlab data fetch inception-v3"), "{}", refused());
        std::fs::write(&path, "no weights").unwrap();
        assert!(refused().contains("x.pth is no file of PyTorch weights: "), "{}", refused());
        let whole = std::fs::read(golden("today.pth")).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(refused().contains("x.pth"), "{}", refused());
    }
}
