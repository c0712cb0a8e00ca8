//! `consistency/step-<step>.safetensors`: the images that a run generated from the noises that all runs share.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::RecordError;
use crate::checksum::sha256_of_parts;

/// The version of the file.
///
/// 2: it carries a checksum of all it holds.
const CONSISTENCY_VERSION: u32 = 2;
/// The one entry of the file's metadata.
const HEADER: &str = "speedlab";

/// Image i of every run starts from noise i.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsistencyImages {
    /// Optimizer steps done when they were generated.
    pub step: u64,
    /// `spec::Consistency::protocol`: images of different protocols are not compared.
    pub protocol: String,
    pub channels: usize,
    /// Width and height in pixels.
    pub side: usize,
    /// `[images, channels, side, side]`, 0..=255.
    pub pixels: Vec<u8>,
    /// `[images, dimension]`.
    pub features: Vec<f32>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    step: u64,
    protocol: String,
    /// The SHA-256 of the other values and of both tensors. Version 1 has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// Read first: a newer header may hold what this program does not know.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl ConsistencyImages {
    /// How many they are.
    pub fn images(&self) -> usize {
        self.pixels.len() / (self.channels * self.side * self.side)
    }

    /// The file. Equal images give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let images = self.images();
        let features: Vec<u8> = self.features.iter().flat_map(|value| value.to_le_bytes()).collect();
        let header = Header {
            version: CONSISTENCY_VERSION,
            step: self.step,
            protocol: self.protocol.clone(),
            sha256: Some(sum(self.step, &self.protocol, &self.pixels, &features)),
        };
        let header = serde_json::to_string(&header).expect("a header is plain data, which JSON can hold");
        let shape = vec![images, self.channels, self.side, self.side];
        let pixels = TensorView::new(Dtype::U8, shape, &self.pixels).expect("whole images, a byte a pixel");
        let shape = vec![images, self.features.len() / images];
        let features = TensorView::new(Dtype::F32, shape, &features).expect("a feature vector for each image");
        // One entry alone: a map's entries would be written in any order.
        let metadata = HashMap::from([(HEADER.to_owned(), header)]);
        safetensors::serialize([("pixels", pixels), ("features", features)], Some(metadata))
            .expect("plain numbers can be written")
    }

    /// Reads a file of a run.
    pub fn read(path: &Path) -> Result<Self, RecordError> {
        let bytes = fs::read(path).map_err(RecordError::io("read", path))?;
        Self::from_bytes(path, &bytes)
    }

    fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, RecordError> {
        let damaged =
            |reason: &dyn std::fmt::Display| RecordError::Damaged { path: path.to_owned(), reason: reason.to_string() };
        let (_, file) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(&error))?;
        let header = file.metadata().as_ref().and_then(|metadata| metadata.get(HEADER));
        let header = header.ok_or_else(|| damaged(&format!("it has no `{HEADER}`")))?;
        let Version { version: found } = serde_json::from_str(header).map_err(|error| damaged(&error))?;
        if found > CONSISTENCY_VERSION {
            return Err(RecordError::Newer { path: path.to_owned(), found, known: CONSISTENCY_VERSION });
        }
        let Header { step, protocol, sha256, .. } = serde_json::from_str(header).map_err(|error| damaged(&error))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| damaged(&error))?;
        let tensor = |name: &str| tensors.tensor(name).map_err(|error| damaged(&error));
        let (pixels, features) = (tensor("pixels")?, tensor("features")?);
        let &[images, channels, side, width] = pixels.shape() else {
            return Err(damaged(&format!("`pixels` has shape {:?}", pixels.shape())));
        };
        if pixels.dtype() != Dtype::U8 || side != width || images == 0 || channels * side == 0 {
            return Err(damaged(&format!("`pixels` is {:?} {:?}", pixels.dtype(), pixels.shape())));
        }
        if features.dtype() != Dtype::F32 || features.shape().first() != Some(&images) || features.data().is_empty() {
            return Err(damaged(&format!("`features` is {:?} {:?}", features.dtype(), features.shape())));
        }
        match sha256 {
            Some(expected) if expected != sum(step, &protocol, pixels.data(), features.data()) => {
                return Err(damaged(&"what it holds is not what its checksum was made of"));
            }
            None if found > 1 => return Err(damaged(&"its checksum is missing")),
            _ => {}
        }
        let (values, _) = features.data().as_chunks();
        let features: Vec<f32> = values.iter().map(|&value| f32::from_le_bytes(value)).collect();
        Ok(Self { step, protocol, channels, side, pixels: pixels.data().to_vec(), features })
    }
}

/// The checksum of everything that a file holds.
fn sum(step: u64, protocol: &str, pixels: &[u8], features: &[u8]) -> String {
    let parts = [("step", &step.to_le_bytes()[..]), (protocol, b""), ("pixels", pixels), ("features", features)];
    sha256_of_parts(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images() -> ConsistencyImages {
        ConsistencyImages {
            step: 800,
            protocol: "1x2x2 ddim nfe=20".to_owned(),
            channels: 1,
            side: 2,
            pixels: vec![0, 255, 3, 4, 5, 6, 7, 8],
            features: vec![0.5, -0.0, 1e-30, 2.0, 3.0, 4.0],
        }
    }

    #[test]
    fn images_come_back_bit_for_bit_and_a_cut_file_is_damaged() {
        let bytes = images().to_bytes();
        let path = Path::new("step.safetensors");
        let back = ConsistencyImages::from_bytes(path, &bytes).unwrap();
        assert_eq!((&back, back.images()), (&images(), 2));
        assert_eq!(back.to_bytes(), bytes);
        for length in [0, 9, 50, bytes.len() - 1] {
            let error = ConsistencyImages::from_bytes(path, &bytes[..length]).unwrap_err();
            assert!(matches!(error, RecordError::Damaged { .. }), "{length} bytes: {error}");
        }
    }

    #[test]
    fn a_file_of_a_newer_program_is_refused() {
        let metadata = HashMap::from([(HEADER.to_owned(), r#"{"version":3,"more":1}"#.to_owned())]);
        let data = [0u8; 4];
        let pixels = TensorView::new(Dtype::U8, vec![1, 1, 2, 2], &data).unwrap();
        let bytes = safetensors::serialize([("pixels", pixels)], Some(metadata)).unwrap();
        let error = ConsistencyImages::from_bytes(Path::new("a"), &bytes).unwrap_err();
        assert!(matches!(error, RecordError::Newer { found: 3, known: 2, .. }), "{error}");
    }
}
