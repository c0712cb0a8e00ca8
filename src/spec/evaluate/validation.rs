//! The loss on held-out images.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `evaluate.validation`: mean squared error on held-out images, overall and by bins of t.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Validation {
    /// Bins of equal width over t. Default 10.
    pub bins: usize,
    /// The number of held-out images. Each is measured at one timestep of every bin. Default 64.
    pub images: usize,
}

impl Default for Validation {
    fn default() -> Self {
        Self { bins: 10, images: 64 }
    }
}
