//! Transformers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{CLASS_DROPOUT, is_default_class_dropout, is_false};

/// Peebles and Xie 2023, section 3.2. The defaults make a small network for small images. DiT-S, B, L and XL have dim 384, 768,
/// 1024, 1152, depth 12, 12, 24, 28 and heads 6, 12, 16, 16 (table 1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DitModel {
    /// Side of a patch in pixels; must divide the images' side. Each patch is a token. Default 2.
    pub patch: usize,
    /// The width of a token; a multiple of 4 and of `heads`. Default 128.
    pub dim: usize,
    /// The number of blocks. Default 4.
    pub depth: usize,
    /// Heads of each self-attention. Default 4.
    pub heads: usize,
    /// Width of the feed-forward network in multiples of `dim`. Default 4.
    pub mlp_ratio: usize,
    /// Whether the network also predicts where the variance of each reverse step lies between its bounds, as for `adm`. The
    /// published networks do. Default false.
    #[serde(skip_serializing_if = "is_false")]
    pub learned_sigma: bool,
    /// Whether the network has a learned token that stands for masked patches; for `token_masking`, which needs it. Default false.
    #[serde(skip_serializing_if = "is_false")]
    pub mask_token: bool,
    /// Whether the network is told the class of each image. The embedding of the class is added to that of the time. Default
    /// false.
    #[serde(skip_serializing_if = "is_false")]
    pub class_conditional: bool,
    /// The share of training images whose class is replaced by "none". Guidance needs it. Default 0.1; with 0 there is no class
    /// "none".
    #[serde(skip_serializing_if = "is_default_class_dropout")]
    pub class_dropout: f64,
}

/// Bao et al. 2023, section 3. The defaults make a small network for small images. U-ViT-S has dim 512, depth 12 and heads 8
/// (table 1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UvitModel {
    /// Side of a patch in pixels; must divide the images' side. Each patch is a token. Default 2.
    pub patch: usize,
    /// The width of a token; a multiple of 2 and of `heads`. Default 128.
    pub dim: usize,
    /// The number of blocks besides the middle one. It is even, because each block of the first half has a skip connection to
    /// one of the second. Default 4.
    pub depth: usize,
    /// Heads of each self-attention. Default 4.
    pub heads: usize,
    /// Width of the feed-forward network in multiples of `dim`. Default 4.
    pub mlp_ratio: usize,
    /// Whether the network is told the class of each image. The class is a token. Default false.
    #[serde(skip_serializing_if = "is_false")]
    pub class_conditional: bool,
    /// The share of training images whose class is replaced by "none". Guidance needs it. Default 0.1; with 0 there is no class
    /// "none".
    #[serde(skip_serializing_if = "is_default_class_dropout")]
    pub class_dropout: f64,
}

impl Default for DitModel {
    fn default() -> Self {
        Self {
            patch: 2,
            dim: 128,
            depth: 4,
            heads: 4,
            mlp_ratio: 4,
            learned_sigma: false,
            mask_token: false,
            class_conditional: false,
            class_dropout: CLASS_DROPOUT,
        }
    }
}

impl Default for UvitModel {
    fn default() -> Self {
        Self {
            patch: 2,
            dim: 128,
            depth: 4,
            heads: 4,
            mlp_ratio: 4,
            class_conditional: false,
            class_dropout: CLASS_DROPOUT,
        }
    }
}
