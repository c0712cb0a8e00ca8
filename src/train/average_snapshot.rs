//! Averaged weights of a step, kept so that averages of other lengths can be made of them.

use std::collections::HashMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::checkpoint::floats;
use crate::checksum::sha256_of_parts;
use crate::optim::POST_HOC_SIGMA_RELS;

/// The version of the file.
const SNAPSHOT_VERSION: u32 = 1;
/// The one entry of the file's metadata.
const HEADER: &str = "averages";
/// The average of each of [`POST_HOC_SIGMA_RELS`].
const NAMES: [&str; 2] = ["power.0", "power.1"];

/// The averages of [`POST_HOC_SIGMA_RELS`] after a step.
#[derive(Clone, Debug, PartialEq)]
pub struct AverageSnapshot {
    /// Optimizer steps done.
    pub step: u64,
    /// One value a parameter each, in the network's order.
    pub averages: [Vec<f32>; 2],
}

/// Why kept averages cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("the kept averages are damaged: {0}")]
    Damaged(String),
    #[error(
        "the kept averages were written by a newer speedlab (format {found}, this one reads up to {SNAPSHOT_VERSION})"
    )]
    Newer { found: u32 },
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    step: u64,
    sigma_rels: [f64; 2],
    /// The SHA-256 of the other values and of both averages.
    sha256: String,
}

/// Read first: a newer header may hold what this program does not know.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl AverageSnapshot {
    /// A safetensors file. Equal averages give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = self.averages.each_ref().map(|average| {
            let bytes: Vec<u8> = average.iter().flat_map(|value| value.to_le_bytes()).collect();
            bytes
        });
        let sha256 = sum(self.step, &POST_HOC_SIGMA_RELS, [&bytes[0], &bytes[1]]);
        let header = Header { version: SNAPSHOT_VERSION, step: self.step, sigma_rels: POST_HOC_SIGMA_RELS, sha256 };
        let header = serde_json::to_string(&header).expect("a header is plain data, which JSON can hold");
        // One entry alone: a map's entries would be written in any order.
        let metadata = HashMap::from([(HEADER.to_owned(), header)]);
        let views = NAMES.into_iter().zip(&bytes).map(|(name, bytes)| {
            (name, TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes).expect("four bytes a value"))
        });
        safetensors::serialize(views, Some(metadata)).expect("vectors of plain floats can be written")
    }

    /// Reads the averages of a network with `parameter_count` parameters.
    pub fn from_bytes(bytes: &[u8], parameter_count: usize) -> Result<Self, SnapshotError> {
        let damaged = |error: &dyn std::fmt::Display| SnapshotError::Damaged(error.to_string());
        let (_, file) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(&error))?;
        let header = file.metadata().as_ref().and_then(|metadata| metadata.get(HEADER));
        let header = header.ok_or_else(|| damaged(&format!("it has no `{HEADER}`")))?;
        let Version { version: found } = serde_json::from_str(header).map_err(|error| damaged(&error))?;
        if found > SNAPSHOT_VERSION {
            return Err(SnapshotError::Newer { found });
        }
        let Header { step, sigma_rels, sha256, .. } = serde_json::from_str(header).map_err(|error| damaged(&error))?;
        if sigma_rels != POST_HOC_SIGMA_RELS {
            return Err(damaged(&format!(
                "its averages are of sigma_rel {sigma_rels:?} and not {POST_HOC_SIGMA_RELS:?}"
            )));
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| damaged(&error))?;
        let data = |name: &str| match tensors.tensor(name) {
            Ok(view) if view.dtype() == Dtype::F32 && view.shape() == [parameter_count] => Ok(view.data()),
            Ok(view) => {
                let found = format!("{:?} {:?}", view.dtype(), view.shape());
                Err(damaged(&format!("`{name}` is {found} and not {parameter_count} floats")))
            }
            Err(error) => Err(damaged(&error)),
        };
        let data = [data(NAMES[0])?, data(NAMES[1])?];
        if sum(step, &sigma_rels, data) != sha256 {
            return Err(damaged(&"what it holds is not what its checksum was made of"));
        }
        Ok(Self { step, averages: data.map(floats) })
    }
}

/// The checksum of everything that a file holds.
fn sum(step: u64, sigma_rels: &[f64; 2], averages: [&[u8]; 2]) -> String {
    let [first, second] = sigma_rels.map(f64::to_le_bytes);
    let parts = [
        ("step", &step.to_le_bytes()[..]),
        ("sigma_rel.0", &first[..]),
        ("sigma_rel.1", &second[..]),
        (NAMES[0], averages[0]),
        (NAMES[1], averages[1]),
    ];
    sha256_of_parts(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_come_back_bit_for_bit_and_what_is_cut_changed_or_anothers_is_refused() {
        let snapshot = AverageSnapshot { step: 400, averages: [vec![1.0, -0.0, 1e-30], vec![0.5, f32::MAX, 3.0]] };
        let bytes = snapshot.to_bytes();
        let back = AverageSnapshot::from_bytes(&bytes, 3).expect("it was written whole");
        assert_eq!(back, snapshot);
        assert_eq!(back.to_bytes(), bytes);
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            match AverageSnapshot::from_bytes(&changed, 3) {
                Err(_) => {}
                Ok(read) => assert!(read == snapshot, "bit {bit}"),
            }
        }
        for length in [0, 7, 100, bytes.len() - 1] {
            assert!(matches!(AverageSnapshot::from_bytes(&bytes[..length], 3), Err(SnapshotError::Damaged(_))));
        }
        let error = AverageSnapshot::from_bytes(&bytes, 4).unwrap_err().to_string();
        assert_eq!(error, "the kept averages are damaged: `power.0` is F32 [3] and not 4 floats");
    }
}
