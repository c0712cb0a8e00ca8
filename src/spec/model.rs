//! Architectures.

use serde::{Deserialize, Serialize};

use super::kinds;

kinds! {
    /// `model`: the architecture.
    pub enum Model {
        /// The UNet of DDPM. The default.
        Unet(UnetModel) = "unet",
    }
}

/// Ho et al. 2020, appendix B: residual blocks of GroupNorm, SiLU and 3x3 convolution with a time embedding between.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UnetModel {
    /// Channels at full resolution. Default 32.
    pub channels: usize,
    /// Channels of each level as a multiple of `channels`; every further level halves the side. Default [1, 2].
    pub channel_multipliers: Vec<usize>,
    /// Residual blocks in each level on the way down (one more on the way up). Default 1.
    pub blocks_per_level: usize,
    /// Image sides, in pixels, at which self-attention follows each residual block. Default [] (none); the
    /// lowest level's middle block always has it.
    pub attention_resolutions: Vec<usize>,
    /// Heads of each self-attention. Default 1.
    pub attention_heads: usize,
    /// Share of activations dropped in residual blocks. Default 0.
    pub dropout: f64,
    /// Groups of each GroupNorm; must divide every level's channels. Default 8.
    pub norm_groups: usize,
}

impl Default for Model {
    fn default() -> Self {
        Self::Unet(UnetModel::default())
    }
}

impl Default for UnetModel {
    fn default() -> Self {
        Self {
            channels: 32,
            channel_multipliers: vec![1, 2],
            blocks_per_level: 1,
            attention_resolutions: vec![],
            attention_heads: 1,
            dropout: 0.0,
            norm_groups: 8,
        }
    }
}
