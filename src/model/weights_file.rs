use std::collections::BTreeMap;

use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde_json::{Map, Value, json};

use super::ParameterLayout;

/// Why bytes are not the weights of a network.
#[derive(Debug, thiserror::Error)]
pub enum WeightsFileError {
    #[error("not a whole safetensors file: {0}")]
    Format(#[from] SafeTensorError),
    #[error("parameter `{name}` is missing\n  hint: the file belongs to another model")]
    Missing { name: String },
    #[error("parameter `{name}` is none of this model's\n  hint: the file belongs to another model")]
    Unknown { name: String },
    #[error(
        "parameter `{name}` has shape {found:?}, this model's has {expected:?}\n  hint: the file belongs to another model"
    )]
    Shape { name: String, found: Vec<usize>, expected: Vec<usize> },
    #[error("parameter `{name}` is of type {found}, not F32")]
    Type { name: String, found: String },
}

/// Writes `weights`, all parameters of `layout` in order, as a safetensors file with its free-text `metadata`.
/// Equal input gives equal bytes.
///
/// # Panics
/// If `weights` has another length than `layout`.
pub fn to_safetensors(layout: &[ParameterLayout], weights: &[f32], metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let count: usize = layout.iter().map(ParameterLayout::size).sum();
    assert_eq!(weights.len(), count, "as many weights as the layout has");
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".to_owned(), json!(metadata));
    }
    let mut start = 0;
    for parameter in layout {
        let end = start + parameter.size() * size_of::<f32>();
        let info = json!({ "dtype": "F32", "shape": parameter.shape, "data_offsets": [start, end] });
        header.insert(parameter.name.clone(), info);
        start = end;
    }
    let mut header = Value::Object(header).to_string();
    // The format wants the data to start at a multiple of 8 bytes.
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    let mut bytes = Vec::with_capacity(8 + header.len() + start);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(weights.iter().flat_map(|weight| weight.to_le_bytes()));
    bytes
}

/// Reads what [`to_safetensors`] wrote: the weights in the order of `layout`, and the metadata. The file must hold
/// exactly the parameters of `layout`.
pub fn from_safetensors(
    layout: &[ParameterLayout],
    bytes: &[u8],
) -> Result<(Vec<f32>, BTreeMap<String, String>), WeightsFileError> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let tensors = SafeTensors::deserialize(bytes)?;
    let mut names = tensors.names();
    names.sort_unstable();
    if let Some(name) = names.into_iter().find(|name| layout.iter().all(|parameter| parameter.name != *name)) {
        return Err(WeightsFileError::Unknown { name: name.to_owned() });
    }
    let mut weights = Vec::with_capacity(layout.iter().map(ParameterLayout::size).sum());
    for ParameterLayout { name, shape } in layout {
        let name = || name.clone();
        let tensor = tensors.tensor(&name()).map_err(|_| WeightsFileError::Missing { name: name() })?;
        if tensor.dtype() != Dtype::F32 {
            return Err(WeightsFileError::Type { name: name(), found: tensor.dtype().to_string() });
        }
        if tensor.shape() != shape {
            let (found, expected) = (tensor.shape().to_vec(), shape.clone());
            return Err(WeightsFileError::Shape { name: name(), found, expected });
        }
        let (values, _) = tensor.data().as_chunks();
        weights.extend(values.iter().map(|&value| f32::from_le_bytes(value)));
    }
    let metadata = header.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
    Ok((weights, metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Vec<ParameterLayout> {
        let parameter = |name: &str, shape: &[usize]| ParameterLayout { name: name.to_owned(), shape: shape.to_vec() };
        vec![parameter("first.weight", &[2, 3]), parameter("first.bias", &[2]), parameter("last", &[1])]
    }

    fn bytes() -> (Vec<f32>, BTreeMap<String, String>, Vec<u8>) {
        let weights: Vec<f32> = (0..9).map(|index| index as f32 / 7.0 - 0.5).collect();
        let metadata = BTreeMap::from([("accuracy", "0.98"), ("seed", "1")].map(|(a, b)| (a.to_owned(), b.to_owned())));
        let bytes = to_safetensors(&layout(), &weights, &metadata);
        (weights, metadata, bytes)
    }

    #[test]
    fn weights_come_back_as_they_were_written() {
        let (weights, metadata, bytes) = bytes();
        assert_eq!(from_safetensors(&layout(), &bytes).unwrap(), (weights, metadata));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let (_, _, bytes) = bytes();
        for length in 0..bytes.len() {
            let error = from_safetensors(&layout(), &bytes[..length]).unwrap_err();
            assert!(matches!(error, WeightsFileError::Format(_)), "{length} bytes: {error}");
        }
    }

    #[test]
    fn a_file_of_another_model_is_refused_by_name() {
        let (_, _, bytes) = bytes();
        let refused = |change: fn(&mut Vec<ParameterLayout>)| {
            let mut layout = layout();
            change(&mut layout);
            from_safetensors(&layout, &bytes).unwrap_err().to_string()
        };
        let unknown = refused(|layout| drop(layout.pop()));
        assert!(unknown.starts_with("parameter `last` is none of this model's"), "{unknown}");
        let missing = refused(|layout| layout.push(ParameterLayout { name: "more".to_owned(), shape: vec![1] }));
        assert!(missing.starts_with("parameter `more` is missing"), "{missing}");
        let shape = refused(|layout| layout[0].shape = vec![3, 2]);
        assert!(shape.starts_with("parameter `first.weight` has shape [2, 3], this model's has [3, 2]"), "{shape}");
    }

    #[test]
    fn bytes_that_are_no_weights_are_an_error() {
        for bytes in [&b""[..], b"not a file of weights at all", &[0xff; 64], &[0; 64]] {
            assert!(from_safetensors(&layout(), bytes).is_err());
        }
    }
}
