//! Architectures.

use serde::{Deserialize, Serialize};

use super::{DitModel, UvitModel, kinds};

kinds! {
    /// `model`: the architecture.
    pub enum Model {
        /// The UNet of DDPM. The default.
        Unet(UnetModel) = "unet",
        /// The diffusion transformer with adaLN-Zero blocks (Peebles and Xie 2023, arXiv 2212.09748).
        Dit(DitModel) = "dit",
        /// A transformer with long skip connections whose time is a token (Bao et al. 2023, arXiv 2209.12152).
        Uvit(UvitModel) = "uvit",
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
    /// Whether the network is told the class of each image, as an embedding that is added to that of the time
    /// (Nichol and Dhariwal 2021). Default false.
    #[serde(skip_serializing_if = "is_false")]
    pub class_conditional: bool,
    /// Share of the training images whose class is replaced by "none", which guidance needs (Ho and Salimans 2022,
    /// arXiv 2207.12598, algorithm 1). Default 0.1; with 0 there is no such class.
    #[serde(skip_serializing_if = "is_default_class_dropout")]
    pub class_dropout: f64,
}

/// Ho and Salimans 2022 (table 1) found 0.1 and 0.2 alike and 0.5 worse; DiT's code uses 0.1.
pub(super) const CLASS_DROPOUT: f64 = 0.1;

pub(super) fn is_false(value: &bool) -> bool {
    !value
}

pub(super) fn is_default_class_dropout(value: &f64) -> bool {
    *value == CLASS_DROPOUT
}

impl Model {
    /// Whether the network is told the class of each image.
    pub fn class_conditional(&self) -> bool {
        match self {
            Self::Unet(unet) => unet.class_conditional,
            Self::Dit(dit) => dit.class_conditional,
            Self::Uvit(uvit) => uvit.class_conditional,
        }
    }

    /// Share of the training images whose class is replaced by "none".
    pub fn class_dropout(&self) -> f64 {
        match self {
            Self::Unet(unet) => unet.class_dropout,
            Self::Dit(dit) => dit.class_dropout,
            Self::Uvit(uvit) => uvit.class_dropout,
        }
    }
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
            class_conditional: false,
            class_dropout: CLASS_DROPOUT,
        }
    }
}
