//! What is measured, how often and by which protocol.

mod features;
mod fid;
mod further_measure;
mod precision;
mod resize;
mod validation;
mod weights;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use features::*;
pub use fid::*;
pub use further_measure::*;
pub use precision::*;
pub use resize::*;
pub use validation::*;
pub use weights::*;

use super::{Consistency, Difficulty};

/// `evaluate`: what is measured, and how often. The training clock stands still meanwhile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Evaluate {
    /// Steps between evaluations; the last step is always evaluated. Default 200.
    pub every: u64,
    /// The Fréchet distance and its protocol.
    pub fid: Fid,
    /// Other ways in which every evaluation measures too, each a protocol of its own, as in `[{ ode: { steps: 50 } }, { guidance: 2 }]`.
    /// An entry takes over from `fid` what it does not name. `measures` and `weights` hold for all. `compare` compares what `fid`
    /// says; the report shows the last values of each. Default: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Fid>,
    /// The loss on held-out images.
    pub validation: Validation,
    /// The number of images in the sample grid that is drawn at each evaluation, from the same noise in every run. Default 64.
    pub grid_images: usize,
    /// Measures beside the Fréchet distance, of the same images and features: `kid`, `precision_recall`, `density_coverage`,
    /// `fid_infinity`, `inception_score`, `sfid`, `cmmd`. Default: none.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub measures: BTreeSet<FurtherMeasure>,
    /// Which of a run's weights are measured. Default `averaged`.
    #[serde(skip_serializing_if = "EvaluatedWeights::is_default")]
    pub weights: EvaluatedWeights,
    /// Images that all runs generate from the same noise, kept to compare runs with each other. Off by default.
    #[serde(skip_serializing_if = "Consistency::is_default")]
    pub consistency: Consistency,
    /// How hard each bin of timesteps is to learn: the gradient of the validation loss. Off by default.
    #[serde(skip_serializing_if = "Difficulty::is_default")]
    pub difficulty: Difficulty,
}

impl Evaluate {
    /// The protocols: that of `fid`, whose values are compared, then those of `also`.
    pub fn fids(&self) -> impl Iterator<Item = &Fid> {
        std::iter::once(&self.fid).chain(&self.also)
    }
}

impl Default for Evaluate {
    fn default() -> Self {
        Self {
            every: 200,
            fid: Fid::default(),
            also: Vec::new(),
            validation: Validation::default(),
            grid_images: 64,
            measures: BTreeSet::new(),
            weights: EvaluatedWeights::default(),
            consistency: Consistency::default(),
            difficulty: Difficulty::default(),
        }
    }
}
