use std::path::PathBuf;

use super::{AutoencoderFileError, FrechetError, StatisticsError, WeightsError};
use crate::model::WeightsFileError;
use crate::spec::{Features, FidPrecision, Weights};

/// Why a measure of features has no value.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum MeasureError {
    #[error(transparent)]
    Features(#[from] FrechetError),
    #[error("{measure} needs at least {least} images in each set, not {images}")]
    TooFew { measure: &'static str, least: usize, images: usize },
    #[error("a line needs at least 3 subsets, not {subsets}")]
    TooFewSubsets { subsets: usize },
}

impl EvaluateError {
    /// Whether what was asked for cannot be measured with what is there, and the message says what to change.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::ReferenceFile { .. }
                | Self::Setting { .. }
                | Self::ImageShape { .. }
                | Self::NoClasses { .. }
                | Self::Samples { .. }
                | Self::Precision { .. }
                | Self::Weights(WeightsError::Encoder(_))
        )
    }
}

/// Why an evaluation has no result.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// Asked to stop; evaluating again starts from the beginning and gives the same numbers.
    #[error("evaluation stopped")]
    Stopped,
    /// What evaluated beside training is no more.
    #[error("the evaluation of step {step} on the device of --evaluate-on ended in a panic: {cause}")]
    Panicked { step: u64, cause: String },
    /// The network's output is no longer finite: the run has diverged.
    #[error("the {} network's output is {value} at t = {t} while {doing}", weights.name())]
    NotFinite { weights: Weights, value: f32, t: f32, doing: &'static str },
    #[error("`{key}` is {value}, but {rule}")]
    Setting { key: &'static str, value: usize, rule: String },
    #[error("features `{}` are of {}, not of {channels} x {side} x {side}", features.name(), features.images())]
    ImageShape { features: Features, channels: usize, side: usize },
    /// The weights of the feature network are not what the program shipped with.
    #[error("features `{features}`: {error}")]
    FeatureWeights { features: &'static str, error: WeightsFileError },
    #[error("`evaluate.fid.reference_file`, {}: {problem}\nhint: {hint}", path.display())]
    ReferenceFile { path: PathBuf, problem: String, hint: &'static str },
    #[error("{0}\nhint: remove the file to compute it again")]
    Statistics(#[from] StatisticsError),
    #[error(
        "cannot measure with `evaluate.fid.precision: {}`: {reason}\n\
         hint: measure on a processor with AVX512-BF16, or set `evaluate.fid.precision: f32`", precision.name()
    )]
    Precision { precision: FidPrecision, reason: String },
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error(transparent)]
    Autoencoder(#[from] AutoencoderFileError),
    #[error(
        "the run's images are latents, and its sweep names no decoder of them\nhint: pictures need `data: {{ kind: latents, decoder: .. }}`"
    )]
    NoDecoder,
    #[error("{of}: {error}")]
    Frechet { of: &'static str, error: FrechetError },
    #[error("features `{}` give no classes, which an Inception score needs", features.name())]
    NoClasses { features: Features },
    #[error("{of}: {error}")]
    Measure { of: &'static str, error: MeasureError },
    #[error(
        "`fid_infinity` needs at least {least} generated images, not {samples}: three for each of the {dimension} values of `{network}`\n\
         hint: set `evaluate.fid.samples` to {least} or more"
    )]
    Samples { least: usize, samples: usize, dimension: usize, network: String },
    #[error("cannot encode the grid of samples: {0}")]
    Grid(#[from] image::ImageError),
}
