//! How hard each bin of timesteps is to learn.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `evaluate.difficulty`: the gradient of the validation loss in each bin of t, beside the loss itself, which every
/// evaluation records. Learning difficulty is an observation of arXiv 2404.07946; how it is measured there is open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Difficulty {
    /// The number of held-out images in each bin whose loss is differentiated: the first of `evaluate.validation.images`. 0
    /// measures nothing. A measurement costs as much as training on `images * evaluate.validation.bins` images. Default 0.
    pub images: usize,
    /// Steps between measurements, a multiple of `evaluate.every`. The last step is always measured. 0 measures at every
    /// evaluation. Default 0.
    pub every: u64,
}

impl Difficulty {
    /// Whether the settings are the defaults; runs that were recorded before this key existed have them.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the gradient is measured at the evaluation after `step` of a run of `steps` steps.
    pub fn is_measured_at(&self, step: u64, steps: u64) -> bool {
        self.images > 0 && (step == steps || self.every == 0 || step.is_multiple_of(self.every))
    }
}
