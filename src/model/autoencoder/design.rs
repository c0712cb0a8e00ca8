/// The sizes of an autoencoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutoencoderDesign {
    /// Channels of each level, from the side of images to that of latents (`block_out_channels`). The side halves between levels.
    pub channels: Vec<usize>,
    /// Residual blocks of a level of the encoder; the decoder has one more (`layers_per_block`).
    pub layers_per_block: usize,
    pub latent_channels: usize,
    /// Groups of every GroupNorm (`norm_num_groups`).
    pub norm_groups: usize,
    /// Whether 1x1 convolutions stand between latents and both halves (`quant_conv`, `post_quant_conv`).
    pub quantization: bool,
    /// Whether the middle of both halves has attention (`mid_block_add_attention`).
    pub attention: bool,
}

/// Activations that are alive at a time: a block's input, its norm's output, a convolution's, the shortcut's.
const LIVE: usize = 4;

impl AutoencoderDesign {
    /// What diffusers takes where `config.json` does not say `norm_num_groups`.
    pub const USUAL_NORM_GROUPS: usize = 32;

    /// That of Stable Diffusion 1 and 2, and of SDXL: images are 8 times as wide as latents.
    pub fn stable_diffusion() -> Self {
        Self {
            channels: vec![128, 256, 512, 512],
            layers_per_block: 2,
            latent_channels: 4,
            norm_groups: Self::USUAL_NORM_GROUPS,
            quantization: true,
            attention: true,
        }
    }

    /// How many times as wide as its latent an image is.
    pub fn factor(&self) -> usize {
        1 << (self.channels.len() - 1)
    }

    /// Side of images whose latents have this side.
    pub fn image_side(&self, latent_side: usize) -> usize {
        latent_side * self.factor()
    }

    /// About the most bytes that are alive at a time, for one image.
    pub fn live_bytes(&self, latent_side: usize) -> usize {
        let side = |level: usize| latent_side << (self.channels.len() - 1 - level);
        let largest = self.channels.iter().enumerate().map(|(level, &channels)| {
            // What comes from the next level has its channels still.
            let channels = channels.max(self.channels.get(level + 1).copied().unwrap_or(0));
            channels * side(level).pow(2)
        });
        LIVE * largest.max().expect("there are levels") * size_of::<f32>()
    }
}
