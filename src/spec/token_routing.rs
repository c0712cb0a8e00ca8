//! Tokens that go around some blocks of a transformer while it is trained.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `token_routing`: in every step of training a random share of each image's patches goes around some blocks of a transformer, and comes back
/// unchanged behind them (TREAD; Krause et al. 2025, arXiv 2501.04765). The blocks between see the other patches alone, so that a step costs less. Every
/// image has its own random patches, new ones in every step, as in the authors' code. Images are generated, and losses on held-out images
/// measured, with all patches in all blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TokenRouting {
    /// The share of the patches that goes around, rounded to whole patches. 0 routes nothing. The paper's is 0.5. Default 0.
    pub share: f64,
    /// The first block that they go around, 1 the first of all. In the paper all patches go through the first blocks and the last. Default 2.
    pub first_block: usize,
    /// The last block that they go around. In a `uvit` it is as far from the last block of all as `first_block` is from the first, so that both ends of
    /// a long skip connection have the same patches. Default 3.
    pub last_block: usize,
}

impl Default for TokenRouting {
    fn default() -> Self {
        Self { share: 0.0, first_block: 2, last_block: 3 }
    }
}

impl TokenRouting {
    /// Whether tokens go around anything.
    pub fn is_on(&self) -> bool {
        self.share > 0.0
    }

    /// Whether the settings are the defaults; runs that were recorded before this key existed have them.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A share of `patches` patches, rounded to whole ones.
pub fn share_of(patches: usize, share: f64) -> usize {
    ((share * patches as f64).round() as usize).min(patches)
}
