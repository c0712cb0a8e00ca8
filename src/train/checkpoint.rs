//! The full state of a run: what is needed to go on as if nothing had happened.

use std::collections::HashMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde::{Deserialize, Serialize};

use super::precision::PrecisionError;
use crate::checksum::sha256_of_parts;
use crate::event::Stamp;
use crate::model::NotCaptured;

/// The version of the checkpoint file.
///
/// 2: it carries a checksum of all it holds.
const CHECKPOINT_VERSION: u32 = 2;

/// Everything a run cannot draw or compute anew. All vectors have one value a parameter, in the network's order.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    pub progress: Progress,
    /// As the optimizer left them; x of schedule-free AdamW.
    pub weights: Vec<f32>,
    pub ema_weights: Vec<f32>,
    /// See [`crate::optim::OptimizerState`].
    pub first_moment: Vec<f32>,
    pub second_moment: Vec<f32>,
    /// SOAP's factors; empty for the other optimizers.
    pub factors: Vec<f32>,
    /// The state of an adaptive timestep sampler; empty for the others.
    pub sampler_state: Vec<f32>,
    /// The averages of `train.post_hoc`; empty without it.
    pub post_hoc: [Vec<f32>; 2],
}

/// The numbers beside the vectors. Floats are kept bit for bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Counts from 1.
    pub checkpoint: u32,
    pub stamp: Stamp,
    /// The product of all beta1 used so far, for Adam's bias correction (with `muon`, for the parameters Adam has).
    pub beta1_product: f64,
    /// The same of beta2.
    pub beta2_product: f64,
    /// The last step whose evaluation is recorded.
    pub evaluated_step: u64,
    /// How many timestep densities are recorded.
    pub densities: u64,
    /// The values that go into the next recorded training loss.
    pub window: Window,
}

/// Sums over the steps since the last recorded training loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Window {
    pub steps: u64,
    pub loss_sum: f64,
    pub gradient_norm_sum: f64,
}

#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("the checkpoint is damaged: {0}")]
    Damaged(String),
    #[error("could not make a thread that prepares batches: {0}")]
    Thread(std::io::Error),
    #[error(
        "`auxiliary_losses.dispersive` compares all images of a batch, so that a batch cannot be computed in parts\nhint: take a smaller `train.batch_size`, or a device with more memory"
    )]
    NotInParts,
    #[error("the run aligns tokens, and nobody has loaded its `auxiliary_losses.alignment.pictures`")]
    NoPictures,
    #[error("the run aligns tokens, and nobody has loaded its `auxiliary_losses.alignment.encoder`")]
    NoEncoder,
    #[error(transparent)]
    Precision(#[from] PrecisionError),
    /// With `--capture-steps`.
    #[error("{0}\nhint: leave out --capture-steps")]
    NotCaptured(#[from] NotCaptured),
    #[error(
        "the checkpoint was written by a newer speedlab (format {found}, this one reads up to {CHECKPOINT_VERSION})"
    )]
    Newer { found: u32 },
}

/// The file's metadata, as JSON.
#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    progress: Progress,
    /// The SHA-256 of the progress and of every vector, by name. Version 1 has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// A checkpoint as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadCheckpoint {
    pub checkpoint: Checkpoint,
    /// Whether its checksum was there to compare: an older program wrote none.
    pub is_verified: bool,
}

/// Read first: a newer header may hold what this program does not know.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

const HEADER: &str = "checkpoint";
const VECTORS: [&str; 4] = ["weights", "ema_weights", "adam.first_moment", "adam.second_moment"];
const SAMPLER_STATE: &str = "timestep_sampler";
const POST_HOC: [&str; 2] = ["post_hoc.0", "post_hoc.1"];
const FACTORS: &str = "soap.factors";
/// Those that a run may do without. An empty one leaves no trace.
const OPTIONAL: [&str; 4] = [SAMPLER_STATE, POST_HOC[0], POST_HOC[1], FACTORS];

impl Checkpoint {
    /// A safetensors file: four vectors, more where a timestep sampler has state or averages are kept, and its progress as JSON
    /// in the metadata.
    pub fn to_bytes(&self) -> Vec<u8> {
        let vectors = [&self.weights, &self.ema_weights, &self.first_moment, &self.second_moment];
        let [first, second] = &self.post_hoc;
        let vectors = vectors.into_iter().chain([&self.sampler_state, first, second, &self.factors]);
        let bytes: Vec<Vec<u8>> =
            vectors.map(|vector| vector.iter().flat_map(|value| value.to_le_bytes()).collect()).collect();
        let named = VECTORS.into_iter().chain(OPTIONAL).zip(&bytes);
        let written: Vec<(&str, &Vec<u8>)> =
            named.filter(|(name, bytes)| !OPTIONAL.contains(name) || !bytes.is_empty()).collect();
        let sum = sum(&self.progress, written.iter().map(|(name, bytes)| (*name, bytes.as_slice())));
        let header = Header { version: CHECKPOINT_VERSION, progress: self.progress, sha256: Some(sum) };
        let header = serde_json::to_string(&header).expect("progress is plain data, which JSON can hold");
        // One entry alone: a map's entries would be written in any order.
        let metadata = HashMap::from([(HEADER.to_owned(), header)]);
        let views = written.into_iter().map(|(name, bytes)| {
            let view = TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes).expect("four bytes a value");
            (name, view)
        });
        safetensors::serialize(views, Some(metadata)).expect("vectors of plain floats can be written")
    }

    /// Reads a checkpoint of a network with `parameter_count` parameters.
    pub fn from_bytes(bytes: &[u8], parameter_count: usize) -> Result<ReadCheckpoint, CheckpointError> {
        let damaged = |error: &dyn std::fmt::Display| CheckpointError::Damaged(error.to_string());
        let (_, file) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(&error))?;
        let metadata = file.metadata().as_ref().ok_or_else(|| damaged(&"it has no metadata"))?;
        let header = metadata.get(HEADER).ok_or_else(|| damaged(&format!("it has no `{HEADER}`")))?;
        let Version { version: found } = serde_json::from_str(header).map_err(|error| damaged(&error))?;
        if found > CHECKPOINT_VERSION {
            return Err(CheckpointError::Newer { found });
        }
        let Header { progress, sha256, .. } = serde_json::from_str(header).map_err(|error| damaged(&error))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| damaged(&error))?;
        let is_verified = sha256.is_some();
        match sha256 {
            Some(expected) => {
                let names = VECTORS.into_iter().chain(OPTIONAL);
                let parts = names.filter_map(|name| Some((name, tensors.tensor(name).ok()?.data())));
                if sum(&progress, parts) != expected {
                    return Err(damaged(&"what it holds is not what its checksum was made of"));
                }
            }
            None if found > 1 => return Err(damaged(&"its checksum is missing")),
            None => {}
        }
        let vector = |name: &str| {
            let view = tensors.tensor(name).map_err(|error| damaged(&error))?;
            if view.dtype() != Dtype::F32 || view.shape() != [parameter_count] {
                let found = format!("{:?} {:?}", view.dtype(), view.shape());
                return Err(damaged(&format!("`{name}` is {found} and not {parameter_count} floats")));
            }
            Ok(floats(view.data()))
        };
        let optional = |name: &str| match tensors.tensor(name) {
            Ok(view) if view.dtype() == Dtype::F32 => Ok(floats(view.data())),
            Ok(view) => Err(damaged(&format!("`{name}` is {:?} and not floats", view.dtype()))),
            Err(SafeTensorError::TensorNotFound(_)) => Ok(Vec::new()),
            Err(error) => Err(damaged(&error)),
        };
        let checkpoint = Self {
            progress,
            weights: vector(VECTORS[0])?,
            ema_weights: vector(VECTORS[1])?,
            first_moment: vector(VECTORS[2])?,
            second_moment: vector(VECTORS[3])?,
            factors: optional(FACTORS)?,
            sampler_state: optional(SAMPLER_STATE)?,
            post_hoc: [optional(POST_HOC[0])?, optional(POST_HOC[1])?],
        };
        Ok(ReadCheckpoint { checkpoint, is_verified })
    }
}

/// The checksum of everything that a checkpoint holds.
fn sum<'v>(progress: &Progress, vectors: impl Iterator<Item = (&'v str, &'v [u8])>) -> String {
    let progress = serde_json::to_string(progress).expect("progress is plain data, which JSON can hold");
    let mut parts: Vec<(&str, &[u8])> = vectors.collect();
    parts.push((HEADER, progress.as_bytes()));
    sha256_of_parts(parts)
}

pub(super) fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("4 bytes"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        let stamp = Stamp {
            step: 7,
            images_seen: 448,
            train_seconds: 0.1 + 0.2,
            eval_seconds: 1e-300,
            checkpoint_seconds: 0.3,
            setup_seconds: 1.0 / 3.0,
            wall_seconds: 9.0,
        };
        Checkpoint {
            progress: Progress { checkpoint: 3, stamp, beta1_product: 0.9f64.powi(7), ..Progress::default() },
            weights: vec![1.0, -0.0, f32::MIN_POSITIVE / 2.0],
            ema_weights: vec![0.1, 0.2, 0.3],
            first_moment: vec![0.0; 3],
            second_moment: vec![f32::MAX; 3],
            factors: Vec::new(),
            sampler_state: Vec::new(),
            post_hoc: Default::default(),
        }
    }

    #[test]
    fn a_checkpoint_comes_back_bit_for_bit() {
        let bytes = checkpoint().to_bytes();
        let ReadCheckpoint { checkpoint: back, is_verified } =
            Checkpoint::from_bytes(&bytes, 3).expect("it was written whole");
        assert!(is_verified && back == checkpoint());
        assert_eq!(back.weights[1].to_bits(), (-0.0f32).to_bits());
        assert_eq!(back.to_bytes(), bytes);
    }

    #[test]
    fn the_state_of_a_timestep_sampler_comes_back_and_leaves_no_trace_where_there_is_none() {
        let with_state = Checkpoint { sampler_state: vec![0.5, -0.0, 10.0], ..checkpoint() };
        let bytes = with_state.to_bytes();
        assert_eq!(Checkpoint::from_bytes(&bytes, 3).expect("it was written whole").checkpoint, with_state);
        let names = |bytes: &[u8]| SafeTensors::deserialize(bytes).unwrap().names().len();
        assert_eq!((names(&bytes), names(&checkpoint().to_bytes())), (5, 4));
        let averaging = Checkpoint { post_hoc: [vec![0.25, -0.0, 1.0], vec![0.5, 7.0, 2.0]], ..with_state };
        let bytes = averaging.to_bytes();
        assert_eq!(Checkpoint::from_bytes(&bytes, 3).expect("it was written whole").checkpoint, averaging);
        assert_eq!(names(&bytes), 7);
        let rotated = Checkpoint { factors: vec![3.0, 1.0, -0.0], ..averaging };
        let bytes = rotated.to_bytes();
        assert_eq!(Checkpoint::from_bytes(&bytes, 3).expect("it was written whole").checkpoint, rotated);
    }

    #[test]
    fn a_single_changed_bit_is_noticed_and_a_checkpoint_of_an_older_program_is_read_as_unverified() {
        let bytes = checkpoint().to_bytes();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            match Checkpoint::from_bytes(&changed, 3) {
                Err(CheckpointError::Damaged(_) | CheckpointError::Newer { .. }) => {}
                Ok(read) => assert!(read.is_verified && read.checkpoint == checkpoint(), "bit {bit}"),
                Err(error) => panic!("bit {bit}: {error}"),
            }
        }
        let header =
            serde_json::to_string(&serde_json::json!({ "version": 1, "progress": checkpoint().progress })).unwrap();
        let data = [0u8; 12];
        let views = VECTORS.map(|name| (name, TensorView::new(Dtype::F32, vec![3], &data).unwrap()));
        let old = safetensors::serialize(views, Some(HashMap::from([(HEADER.to_owned(), header)]))).unwrap();
        assert!(!Checkpoint::from_bytes(&old, 3).unwrap().is_verified);
    }

    #[test]
    fn a_checkpoint_cut_short_or_of_another_network_is_refused() {
        let bytes = checkpoint().to_bytes();
        for length in [0, 7, 100, bytes.len() - 1] {
            assert!(matches!(Checkpoint::from_bytes(&bytes[..length], 3), Err(CheckpointError::Damaged(_))));
        }
        let error = Checkpoint::from_bytes(&bytes, 4).unwrap_err().to_string();
        assert_eq!(error, "the checkpoint is damaged: `weights` is F32 [3] and not 4 floats");
    }
}
