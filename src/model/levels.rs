//! The levels that the UNets of DDPM and of ADM share: blocks down to the lowest resolution and up again. Activations that are
//! kept on the way down are handed to the way up.

use burn::tensor::Tensor;

use super::Masks;
use super::architecture::{Architecture, ConvolutionLayer, NormLayer, Pass};
use super::attention_block::AttentionBlock;
use super::class_embedding::{ClassEmbedding, Classes};
use super::residual_block::BlockDropout;
use super::time_embedding::TimeEmbedding;
use crate::kernels::Resample;

/// A residual block that is told the time.
pub trait TimedBlock {
    /// Whether resampling layers count as layers that drop activations, also those that drop none: what a layer drops is drawn by its
    /// number.
    const COUNTS_RESAMPLING: bool;

    fn forward(&self, pass: Pass, input: Tensor<4>, embedding: Tensor<4>, dropout: Option<BlockDropout>) -> Tensor<4>;
}

/// Describes the parts that levels are made of.
pub trait Parts {
    type Block: TimedBlock;

    fn block(
        &self,
        architecture: &mut Architecture,
        name: &str,
        inputs: usize,
        outputs: usize,
        side: usize,
    ) -> Self::Block;

    fn attention(&self, architecture: &mut Architecture, name: &str, channels: usize, side: usize) -> AttentionBlock;

    fn resample(
        &self,
        architecture: &mut Architecture,
        name: &str,
        channels: usize,
        resample: Resample,
        side: usize,
    ) -> ResampleLayer<Self::Block>;
}

/// Sizes of the levels.
pub struct LevelSizes<'m> {
    /// Channels that the levels multiply.
    pub channels: usize,
    pub channel_multipliers: &'m [usize],
    pub blocks_per_level: usize,
    pub attention_resolutions: &'m [usize],
}

/// The way to the next resolution.
#[derive(Clone, Debug)]
pub enum ResampleLayer<B> {
    Convolution(ConvolutionLayer),
    Block(Box<B>),
}

/// The blocks of one resolution, and the way to the next.
#[derive(Clone, Debug)]
struct Level<B> {
    blocks: Vec<(B, Option<AttentionBlock>)>,
    resample: Option<ResampleLayer<B>>,
}

/// All that lies between the first convolution and the last norm.
#[derive(Clone, Debug)]
pub struct Levels<B> {
    /// The levels on the way down, from full resolution to the lowest.
    down: Vec<Level<B>>,
    middle: (B, AttentionBlock, B),
    /// The levels on the way up, from the lowest resolution to full.
    up: Vec<Level<B>>,
}

/// A whole UNet: predicts from noisy images and their timesteps a tensor of the images' sides.
#[derive(Clone, Debug)]
pub struct LeveledNet<B> {
    pub time: TimeEmbedding,
    pub class: Option<ClassEmbedding>,
    pub input: ConvolutionLayer,
    pub levels: Levels<B>,
    pub output_norm: NormLayer,
    pub output: ConvolutionLayer,
    pub dropout: f64,
}

impl<B: TimedBlock> Levels<B> {
    /// From `channels` at `side`; also how many channels come out.
    pub fn describe<P: Parts<Block = B>>(
        parts: &P,
        sizes: &LevelSizes,
        architecture: &mut Architecture,
        mut channels: usize,
        mut side: usize,
    ) -> (Self, usize) {
        let block = |architecture: &mut Architecture, name: String, inputs, outputs, side: usize| {
            let residual = parts.block(architecture, &name, inputs, outputs, side);
            let attends = sizes.attention_resolutions.contains(&side);
            (residual, attends.then(|| parts.attention(architecture, &format!("{name}.attention"), outputs, side)))
        };
        let mut skipped = vec![channels];
        let mut down = Vec::new();
        let lowest = sizes.channel_multipliers.len() - 1;
        for (level, multiplier) in sizes.channel_multipliers.iter().enumerate() {
            let outputs = sizes.channels * multiplier;
            let mut blocks = Vec::new();
            for index in 0..sizes.blocks_per_level {
                blocks.push(block(architecture, format!("down.{level}.{index}"), channels, outputs, side));
                channels = outputs;
                skipped.push(channels);
            }
            let resample = (level < lowest).then(|| {
                let name = format!("down.{level}.downsample");
                let layer = parts.resample(architecture, &name, channels, Resample::Halve, side);
                side /= 2;
                skipped.push(channels);
                layer
            });
            down.push(Level { blocks, resample });
        }

        let middle = (
            parts.block(architecture, "middle.0", channels, channels, side),
            parts.attention(architecture, "middle.1", channels, side),
            parts.block(architecture, "middle.2", channels, channels, side),
        );

        let mut up = Vec::new();
        for (level, multiplier) in sizes.channel_multipliers.iter().enumerate().rev() {
            let outputs = sizes.channels * multiplier;
            let mut blocks = Vec::new();
            for index in 0..=sizes.blocks_per_level {
                let inputs = channels + skipped.pop().expect("as many blocks up as tensors kept on the way down");
                architecture.activations += inputs * side * side; // the concatenation
                blocks.push(block(architecture, format!("up.{level}.{index}"), inputs, outputs, side));
                channels = outputs;
            }
            let resample = (level > 0).then(|| {
                let name = format!("up.{level}.upsample");
                let layer = parts.resample(architecture, &name, channels, Resample::Double, side);
                side *= 2;
                layer
            });
            up.push(Level { blocks, resample });
        }
        (Self { down, middle, up }, channels)
    }

    fn forward<'d>(
        &self,
        pass: Pass,
        mut hidden: Tensor<4>,
        embedding: &Tensor<4>,
        dropout: &mut dyn FnMut() -> Option<BlockDropout<'d>>,
    ) -> Tensor<4> {
        let mut skipped = vec![hidden.clone()];
        for level in &self.down {
            for block in &level.blocks {
                hidden = with_attention(block, pass, hidden, embedding, dropout());
                skipped.push(hidden.clone());
            }
            if let Some(resample) = &level.resample {
                hidden = resample.forward(pass, hidden, embedding, dropout);
                skipped.push(hidden.clone());
            }
        }
        let (first, attention, second) = &self.middle;
        hidden = first.forward(pass, hidden, embedding.clone(), dropout());
        hidden = attention.forward(pass, hidden);
        hidden = second.forward(pass, hidden, embedding.clone(), dropout());
        for level in &self.up {
            for block in &level.blocks {
                let kept = skipped.pop().expect("as many blocks up as tensors kept on the way down");
                hidden = pass.kernels.concatenate(hidden, kept);
                hidden = with_attention(block, pass, hidden, embedding, dropout());
            }
            if let Some(resample) = &level.resample {
                hidden = resample.forward(pass, hidden, embedding, dropout);
            }
        }
        hidden
    }
}

fn with_attention<B: TimedBlock>(
    (block, attention): &(B, Option<AttentionBlock>),
    pass: Pass,
    hidden: Tensor<4>,
    embedding: &Tensor<4>,
    dropout: Option<BlockDropout>,
) -> Tensor<4> {
    let hidden = block.forward(pass, hidden, embedding.clone(), dropout);
    match attention {
        Some(attention) => attention.forward(pass, hidden),
        None => hidden,
    }
}

impl<B: TimedBlock> ResampleLayer<B> {
    fn forward<'d>(
        &self,
        pass: Pass,
        hidden: Tensor<4>,
        embedding: &Tensor<4>,
        dropout: &mut dyn FnMut() -> Option<BlockDropout<'d>>,
    ) -> Tensor<4> {
        let dropout = if B::COUNTS_RESAMPLING { dropout() } else { None };
        match self {
            Self::Convolution(convolution) => convolution.forward(pass, hidden),
            Self::Block(block) => block.forward(pass, hidden, embedding.clone(), dropout),
        }
    }
}

impl<B: TimedBlock> LeveledNet<B> {
    /// See [`super::Network::forward`].
    pub fn forward(
        &self,
        pass: Pass,
        noisy: Tensor<4>,
        timesteps: Tensor<1>,
        classes: &Classes,
        masks: Option<Masks>,
    ) -> Tensor<4> {
        let batch = noisy.dims()[0];
        assert_eq!(timesteps.dims(), [batch], "a timestep for each image");
        let device = noisy.device();
        let mut layer = 0;
        let mut dropout = || {
            layer += 1;
            let source = masks.filter(|_| self.dropout > 0.0)?;
            Some(BlockDropout { source, rate: self.dropout, layer, batch, device: &device })
        };
        let class = self.class.as_ref().map(|class| class.forward(pass, classes, batch, &device));
        let embedding = self.time.forward(pass, timesteps, class);
        let hidden = self.input.forward(pass, pass.kernels.enter(noisy));
        let hidden = self.levels.forward(pass, hidden, &embedding, &mut dropout);
        let hidden = self.output_norm.forward(pass, hidden, true);
        pass.kernels.leave(self.output.forward(pass, hidden), batch)
    }
}
