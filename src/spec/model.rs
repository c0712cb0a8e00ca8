//! Architectures.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DitModel, UvitModel, kinds};

kinds! {
    /// `model`: the architecture of the network.
    pub enum Model {
        /// The UNet of DDPM. The default.
        Unet(UnetModel) = "unet",
        /// The UNet of ADM and of Improved DDPM.
        Adm(AdmModel) = "adm",
        /// The diffusion transformer with adaLN-Zero blocks (Peebles and Xie 2023, arXiv 2212.09748).
        Dit(DitModel) = "dit",
        /// A transformer with long skip connections whose time is a token (Bao et al. 2023, arXiv 2209.12152).
        Uvit(UvitModel) = "uvit",
    }
}

/// Ho et al. 2020, appendix B: residual blocks of GroupNorm, SiLU and 3x3 convolution; the embedding of the time is added
/// within each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// The share of activations that residual blocks drop. Default 0.
    pub dropout: f64,
    /// Groups of each GroupNorm; must divide every level's channels. Default 8.
    pub norm_groups: usize,
    /// Whether the network is told where each pixel lies in its image, in two more input channels: from left to right and from top to
    /// bottom, from -1 to 1 (CoordConv; Liu et al. 2018, arXiv 1807.03247). `patch_diffusion` needs it. Default false.
    #[serde(skip_serializing_if = "is_false")]
    pub coordinates: bool,
    /// Whether the network is told the class of each image. The embedding of the class is added to that of the time (Nichol and
    /// Dhariwal 2021). Default false.
    #[serde(skip_serializing_if = "is_false")]
    pub class_conditional: bool,
    /// The share of training images whose class is replaced by "none". Guidance needs it (Ho and Salimans 2022, arXiv
    /// 2207.12598, algorithm 1). Default 0.1; with 0 there is no class "none".
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
            Self::Adm(adm) => adm.class_conditional,
            Self::Dit(dit) => dit.class_conditional,
            Self::Uvit(uvit) => uvit.class_conditional,
        }
    }

    /// The number of blocks that tokens go through; 0 where there are none.
    pub fn blocks(&self) -> usize {
        match self {
            Self::Unet(_) | Self::Adm(_) => 0,
            Self::Dit(dit) => dit.depth,
            // As many before the one in the middle as after it.
            Self::Uvit(uvit) => uvit.depth / 2 * 2 + 1,
        }
    }

    /// The number of sides that a UNet has layers for; 0 where there are no levels.
    pub fn levels(&self) -> usize {
        match self {
            Self::Unet(unet) => unet.channel_multipliers.len(),
            Self::Adm(adm) => adm.channel_multipliers.len(),
            Self::Dit(_) | Self::Uvit(_) => 0,
        }
    }

    /// The width of a token; none where there are none.
    pub fn token_width(&self) -> Option<usize> {
        match self {
            Self::Unet(_) | Self::Adm(_) => None,
            Self::Dit(DitModel { dim, .. }) | Self::Uvit(UvitModel { dim, .. }) => Some(*dim),
        }
    }

    /// The number of patches of an image of `side` pixels, each of which is a token; 0 where there are none.
    pub fn patches(&self, side: usize) -> usize {
        match self {
            Self::Unet(_) | Self::Adm(_) => 0,
            Self::Dit(DitModel { patch, .. }) | Self::Uvit(UvitModel { patch, .. }) => {
                side.checked_div(*patch).unwrap_or(0).pow(2)
            }
        }
    }

    /// Whether the network is told where each pixel lies in its image.
    pub fn coordinates(&self) -> bool {
        match self {
            Self::Unet(unet) => unet.coordinates,
            Self::Adm(adm) => adm.coordinates,
            Self::Dit(_) | Self::Uvit(_) => false,
        }
    }

    /// Channels of the input for images of `image_channels`.
    pub fn inputs(&self, image_channels: usize) -> usize {
        image_channels + if self.coordinates() { 2 } else { 0 }
    }

    /// The same network for images of `side` pixels where it is written for images of `full_side`: self-attention stays at its levels.
    pub fn at_side(&self, full_side: usize, side: usize) -> Self {
        let mut model = self.clone();
        if let Self::Unet(UnetModel { attention_resolutions, .. }) | Self::Adm(AdmModel { attention_resolutions, .. }) =
            &mut model
        {
            attention_resolutions.iter_mut().for_each(|resolution| *resolution = *resolution * side / full_side);
        }
        model
    }

    /// Share of the training images whose class is replaced by "none".
    pub fn class_dropout(&self) -> f64 {
        match self {
            Self::Unet(unet) => unet.class_dropout,
            Self::Adm(adm) => adm.class_dropout,
            Self::Dit(dit) => dit.class_dropout,
            Self::Uvit(uvit) => uvit.class_dropout,
        }
    }
}

/// Dhariwal and Nichol 2021 (arXiv 2105.05233), section 3, and Nichol and Dhariwal 2021 (arXiv 2102.09672): residual blocks
/// that are scaled and shifted by the embedding of the time, residual blocks that resample, and self-attention at several
/// sides.
///
/// Where the two papers say nothing, this follows their code: initial weights are PyTorch's own, the last convolution of every
/// block starts at zero, and cosines come before sines in the time embedding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdmModel {
    /// The number of channels that `channel_multipliers` multiply. The embedding of the time is four times as long. Default 32.
    pub channels: usize,
    /// Channels of each level as a multiple of `channels`; every further level halves the side. Default [1, 2].
    pub channel_multipliers: Vec<usize>,
    /// Residual blocks in each level on the way down (one more on the way up). Default 1.
    pub blocks_per_level: usize,
    /// Image sides, in pixels, at which self-attention follows each residual block. Default [] (none); the lowest level's
    /// middle block always has it.
    pub attention_resolutions: Vec<usize>,
    /// Heads of each self-attention, where `head_channels` is not given. Default 1.
    pub attention_heads: usize,
    /// Channels of each head: the number of heads then grows with the channels. Default: none, so `attention_heads` gives the
    /// number.
    pub head_channels: Option<usize>,
    /// Whether the embedding scales and shifts the output of a block's second GroupNorm. Otherwise it is added before that
    /// GroupNorm. Default true.
    pub scale_shift_norm: bool,
    /// Whether residual blocks halve and double the side. Otherwise single convolutions do. Default true.
    pub resblock_updown: bool,
    /// Whether the network also predicts where the variance of each reverse step lies between its bounds. It has one more
    /// output channel for each channel of the image, and is trained with the hybrid loss (Nichol and Dhariwal 2021, section
    /// 3.1). Default false.
    pub learned_sigma: bool,
    /// The share of activations that residual blocks drop. Default 0.
    pub dropout: f64,
    /// Groups of each GroupNorm; must divide every level's channels. Default 32.
    pub norm_groups: usize,
    /// Whether the network is told where each pixel lies in its image, in two more input channels: from left to right and from top to
    /// bottom, from -1 to 1 (CoordConv; Liu et al. 2018, arXiv 1807.03247). `patch_diffusion` needs it. Default false.
    #[serde(skip_serializing_if = "is_false")]
    pub coordinates: bool,
    /// Whether the network is told the class of each image. The embedding of the class is added to that of the time. Default
    /// false.
    #[serde(skip_serializing_if = "is_false")]
    pub class_conditional: bool,
    /// The share of training images whose class is replaced by "none". Guidance needs it (Ho and Salimans 2022, arXiv
    /// 2207.12598, algorithm 1). Default 0.1; with 0, as in ADM, there is no class "none".
    #[serde(skip_serializing_if = "is_default_class_dropout")]
    pub class_dropout: f64,
}

impl AdmModel {
    /// Heads of a self-attention of this many channels.
    pub fn heads(&self, channels: usize) -> usize {
        self.head_channels.map_or(self.attention_heads, |size| channels / size)
    }
}

impl Model {
    /// The share of activations that training sets to zero.
    pub fn dropout(&self) -> f64 {
        match self {
            Self::Unet(unet) => unet.dropout,
            Self::Adm(adm) => adm.dropout,
            Self::Dit(_) | Self::Uvit(_) => 0.0,
        }
    }

    /// Whether the network also predicts, in further output channels, where the variance of each reverse step lies.
    pub fn learned_sigma(&self) -> bool {
        match self {
            Self::Adm(adm) => adm.learned_sigma,
            Self::Dit(dit) => dit.learned_sigma,
            Self::Unet(_) | Self::Uvit(_) => false,
        }
    }

    /// Channels of the output for images of `image_channels`.
    pub fn outputs(&self, image_channels: usize) -> usize {
        if self.learned_sigma() { 2 * image_channels } else { image_channels }
    }
}

impl Default for AdmModel {
    fn default() -> Self {
        Self {
            channels: 32,
            channel_multipliers: vec![1, 2],
            blocks_per_level: 1,
            attention_resolutions: vec![],
            attention_heads: 1,
            head_channels: None,
            scale_shift_norm: true,
            resblock_updown: true,
            learned_sigma: false,
            dropout: 0.0,
            norm_groups: 32,
            coordinates: false,
            class_conditional: false,
            class_dropout: CLASS_DROPOUT,
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
            coordinates: false,
            class_conditional: false,
            class_dropout: CLASS_DROPOUT,
        }
    }
}
