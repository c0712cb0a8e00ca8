//! Tokens that a transformer is not shown while it is trained.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `token_masking`: in training a random share of each image's patches is masked, and the first blocks of a `dit` see the other patches alone. It is
/// after MaskDiT (Zheng et al. 2023, arXiv 2306.09305), and it is not MaskDiT: here the last blocks of the network are the decoder, which there is a
/// network of its own; and masked patches are predicted as others are, where there the denoised image is compared with the noised one, each patch of it
/// normalized. A learned token, `model.mask_token`, and its position stand for a masked patch in the decoder. Every image has its own masked
/// patches, new ones in every step. Images are generated, and losses on held-out images measured, without masks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TokenMasking {
    /// The share of the patches that is masked, rounded to whole patches. 0 masks nothing. The paper's is 0.5. Default 0.
    pub share: f64,
    /// The last blocks of the network, which see all patches. The paper's decoder has 8, after 28 others of more than twice the width. Default 1.
    pub decoder_blocks: usize,
    /// lambda of the error at masked patches, the mean over which is added to the mean over the others. What can be told there of a velocity is
    /// the clean image times a factor; of `epsilon` nothing can. Default 0.1 (the paper's, of its own term).
    pub reconstruction: f64,
    /// The share of the steps after which nothing is masked: the paper, too, ends with training on all patches. Default 0.9.
    pub until: f64,
}

impl Default for TokenMasking {
    fn default() -> Self {
        Self { share: 0.0, decoder_blocks: 1, reconstruction: 0.1, until: 0.9 }
    }
}

impl TokenMasking {
    /// How many of the first of `steps` steps mask tokens.
    pub fn steps(&self, steps: u64) -> u64 {
        if self.share > 0.0 { ((self.until * steps as f64).ceil() as u64).min(steps) } else { 0 }
    }

    /// Whether the settings are the defaults; runs that were recorded before this key existed have them.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
