//! What is added to the loss of training.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AlignmentLoss;

/// `auxiliary_losses`: terms that are added to the loss of training. The loss on held-out images is without them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuxiliaryLosses {
    /// lambda of contrastive flow matching (Stoica et al. 2025, arXiv 2506.05350): minus lambda times the squared distance between what is
    /// predicted and the target of another image, the next one of the batch. It is weighted as the loss itself, and moves the best prediction from the mean
    /// target away from the mean of all targets. 0 leaves it out. The paper's is 0.05. Default 0.
    pub contrastive: f64,
    pub dispersive: DispersiveLoss,
    #[serde(skip_serializing_if = "AlignmentLoss::is_default")]
    pub alignment: AlignmentLoss,
}

/// `auxiliary_losses.dispersive` (Wang and He 2025, arXiv 2506.09027): weight ln(mean of exp(-D_ij / temperature)) over all pairs of
/// images of a batch, D_ij the squared distance of their tokens after a block over the number of values. For transformers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DispersiveLoss {
    /// lambda. 0 leaves the term out. The paper's is 0.5. Default 0.
    pub weight: f64,
    /// tau. Default 0.5 (the paper's).
    pub temperature: f64,
    /// The block after which tokens are compared, 1 the first. The paper takes about the first quarter of the blocks. Default 1.
    pub block: usize,
}

impl Default for DispersiveLoss {
    fn default() -> Self {
        Self { weight: 0.0, temperature: 0.5, block: 1 }
    }
}

impl AuxiliaryLosses {
    /// Whether all images of a batch are compared, so that it cannot be computed in parts.
    pub fn compare_whole_batch(&self) -> bool {
        self.dispersive.weight > 0.0
    }

    /// Whether the settings are the defaults; runs that were recorded before this key existed have them.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
