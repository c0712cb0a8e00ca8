use super::{FrechetError, WeightsError};
use crate::model::WeightsFileError;
use crate::spec::Features;

/// Why an evaluation has no result.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// Asked to stop; evaluating again starts from the beginning and gives the same numbers.
    #[error("evaluation stopped")]
    Stopped,
    /// What the network gives is no longer finite: the run has diverged.
    #[error("the averaged network's output is {value} at t = {t} while {doing}")]
    NotFinite { value: f32, t: f32, doing: &'static str },
    #[error("`{key}` is {value}, but {rule}")]
    Setting { key: &'static str, value: usize, rule: String },
    #[error("features `{}` are of {}, not of {channels} x {side} x {side}", features.name(), features.images())]
    ImageShape { features: Features, channels: usize, side: usize },
    /// The weights of the feature network are not what the program shipped with.
    #[error("features `{features}`: {error}")]
    FeatureWeights { features: &'static str, error: WeightsFileError },
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error("{of}: {error}")]
    Frechet { of: &'static str, error: FrechetError },
    #[error("cannot encode the grid of samples: {0}")]
    Grid(#[from] image::ImageError),
}
