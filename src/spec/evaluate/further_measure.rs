//! What is measured beside the Fréchet distance.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `evaluate.measures`: a measure beside the Fréchet distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FurtherMeasure {
    /// The kernel distance `kid` (Bińkowski et al. 2018, arXiv 1801.01401), which has no bias from few images, and its
    /// standard error `kid_se`: over 100 subsets of 1,000 images, or fewer and smaller ones of fewer images.
    Kid,
    /// `precision` and `recall` (Kynkäänniemi et al. 2019, arXiv 1904.06991), by the third nearest neighbour.
    PrecisionRecall,
    /// `density` and `coverage` (Naeem et al. 2020, arXiv 2002.09797), by the fifth nearest neighbour.
    DensityCoverage,
    /// `fid_infinity`, the Fréchet distance extrapolated to infinitely many generated images (Chong and Forsyth 2020, arXiv
    /// 1911.07023), and its line's standard error `fid_infinity_se`: from 15 subsets, the smallest of them a tenth of the images or
    /// twice as many as a feature vector has values, whichever is more. It needs three times as many images as values.
    FidInfinity,
    /// `inception_score` (Salimans et al. 2016, arXiv 1606.03498) and its deviation over ten splits `inception_score_sd`, where
    /// the features are `inception-v3`.
    InceptionScore,
    /// `sfid`, the Fréchet distance of spatial features (Nash et al. 2021, arXiv 2103.03841): the first 7 channels of InceptionV3's 17x17
    /// planes `mixed_6/conv`, 2023 values, as ADM's evaluator has them; where the features are `inception-v3`.
    Sfid,
    /// `cmmd` (Jayasumana et al. 2024, arXiv 2401.09603): 1,000 times the squared maximum mean discrepancy of embeddings of length 1, with a
    /// Gaussian kernel of deviation 10, each image's with itself included as in the authors' code; where the features are `clip`.
    Cmmd,
}

impl FurtherMeasure {
    /// As it is written in YAML.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kid => "kid",
            Self::PrecisionRecall => "precision_recall",
            Self::DensityCoverage => "density_coverage",
            Self::FidInfinity => "fid_infinity",
            Self::InceptionScore => "inception_score",
            Self::Sfid => "sfid",
            Self::Cmmd => "cmmd",
        }
    }

    /// The metrics of the values that it records.
    pub fn metrics(self) -> &'static [&'static str] {
        match self {
            Self::Kid => &["kid", "kid_se"],
            Self::PrecisionRecall => &["precision", "recall"],
            Self::DensityCoverage => &["density", "coverage"],
            Self::FidInfinity => &["fid_infinity", "fid_infinity_se"],
            Self::InceptionScore => &["inception_score", "inception_score_sd"],
            Self::Sfid => &["sfid"],
            Self::Cmmd => &["cmmd"],
        }
    }

    /// Whether it needs the features of every reference image, and not their mean and covariance alone.
    pub fn needs_reference(self) -> bool {
        match self {
            Self::Kid | Self::PrecisionRecall | Self::DensityCoverage | Self::Cmmd => true,
            Self::FidInfinity | Self::InceptionScore | Self::Sfid => false,
        }
    }

    /// The least number of generated images that it can be made of, of feature vectors of `dimension` values.
    pub fn least_samples(self, dimension: usize) -> usize {
        match self {
            Self::Kid | Self::Sfid | Self::Cmmd => 2,
            // A fifth neighbour, for both: they are measured together.
            Self::PrecisionRecall | Self::DensityCoverage => 6,
            // Its smallest subset has two for each value, and a line needs some way to go.
            Self::FidInfinity => (3 * dimension).max(150),
            // One for each split.
            Self::InceptionScore => 10,
        }
    }
}
