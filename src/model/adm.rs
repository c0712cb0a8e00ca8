use burn::tensor::Tensor;

use super::adm_block::{AdmBlock, AdmBlocks};
use super::architecture::{Architecture, ConvolutionLayer, Initial, InitialWeights, NormLayer, Pass};
use super::attention_block::AttentionBlock;
use super::class_embedding::ClassEmbedding;
use super::residual_block::BlockDropout;
use super::time_embedding::{Sinusoids, TimeEmbedding};
use super::{Dropout, ModelError, unet};
use crate::kernels::{Convolution, Resample};
use crate::spec::{AdmModel, DataShape, UnetModel};

/// The UNet of ADM (Dhariwal and Nichol 2021, arXiv 2105.05233, section 3) and, with convolutions that resample, of
/// Improved DDPM (Nichol and Dhariwal 2021, arXiv 2102.09672).
///
/// Weights start as in their code: PyTorch's own initial values ([`InitialWeights::Torch`]), and zero in the last
/// convolution of each block, of each attention and of the network. The rows of a self-attention's first map are queries,
/// keys, values, each with its heads one after the other ("new" order of that code; its other order has the same rows
/// head by head).
#[derive(Clone, Debug)]
pub struct Adm {
    time: TimeEmbedding,
    class: Option<ClassEmbedding>,
    input: ConvolutionLayer,
    /// From full resolution to the lowest.
    down: Vec<Level>,
    middle: (AdmBlock, AttentionBlock, AdmBlock),
    /// From the lowest resolution to full.
    up: Vec<Level>,
    output_norm: NormLayer,
    output: ConvolutionLayer,
    dropout: f64,
}

/// The blocks of one resolution, and the way to the next.
#[derive(Clone, Debug)]
struct Level {
    blocks: Vec<(AdmBlock, Option<AttentionBlock>)>,
    resample: Option<ResampleLayer>,
}

#[derive(Clone, Debug)]
enum ResampleLayer {
    Convolution(ConvolutionLayer),
    Block(Box<AdmBlock>),
}

/// Describes the layers of one model.
struct Describer<'a> {
    model: &'a AdmModel,
    blocks: AdmBlocks,
    architecture: &'a mut Architecture,
}

impl Adm {
    /// For such images.
    pub fn describe(
        model: &AdmModel,
        data_shape: DataShape,
        output_channels: usize,
        architecture: &mut Architecture,
    ) -> Self {
        let DataShape { channels: image_channels, mut side, classes } = data_shape;
        let time = TimeEmbedding::describe(architecture, model.channels, Sinusoids::CosineFirst, InitialWeights::Torch);
        // That code draws the table as torch.nn.Embedding does.
        let class = classes.filter(|_| model.class_conditional).map(|classes| {
            let (length, initial) = (TimeEmbedding::length(model.channels), Initial::Normal { deviation: 1.0 });
            ClassEmbedding::describe(architecture, "class", classes, model.class_dropout, length, initial)
        });
        let blocks = AdmBlocks {
            embedding: TimeEmbedding::length(model.channels),
            groups: model.norm_groups,
            scale_shift_norm: model.scale_shift_norm,
        };
        let mut describer = Describer { model, blocks, architecture };

        let mut channels = model.channels * model.channel_multipliers[0];
        let shape = Convolution::square(image_channels, channels, Resample::Keep);
        let input = describer.architecture.drawn("input", shape, side, InitialWeights::Torch);
        let mut skipped = vec![channels];
        let mut down = Vec::new();
        let lowest = model.channel_multipliers.len() - 1;
        for (level, multiplier) in model.channel_multipliers.iter().enumerate() {
            let mut blocks = Vec::new();
            for index in 0..model.blocks_per_level {
                let outputs = model.channels * multiplier;
                blocks.push(describer.block(&format!("down.{level}.{index}"), channels, outputs, side));
                channels = outputs;
                skipped.push(channels);
            }
            let resample = (level < lowest).then(|| {
                let name = format!("down.{level}.downsample");
                let layer = describer.resample(&name, channels, Resample::Halve, side);
                side /= 2;
                skipped.push(channels);
                layer
            });
            down.push(Level { blocks, resample });
        }

        let middle = (
            describer.residual("middle.0", channels, channels, Resample::Keep, side),
            describer.attention("middle.1", channels, side),
            describer.residual("middle.2", channels, channels, Resample::Keep, side),
        );

        let mut up = Vec::new();
        for (level, multiplier) in model.channel_multipliers.iter().enumerate().rev() {
            let mut blocks = Vec::new();
            for index in 0..=model.blocks_per_level {
                let inputs = channels + skipped.pop().expect("as many blocks up as tensors kept on the way down");
                let outputs = model.channels * multiplier;
                describer.architecture.activations += inputs * side * side; // the concatenation
                blocks.push(describer.block(&format!("up.{level}.{index}"), inputs, outputs, side));
                channels = outputs;
            }
            let resample = (level > 0).then(|| {
                let layer = describer.resample(&format!("up.{level}.upsample"), channels, Resample::Double, side);
                side *= 2;
                layer
            });
            up.push(Level { blocks, resample });
        }

        let output_norm = architecture.norm("output.norm", channels, model.norm_groups, side);
        let shape = Convolution::square(channels, output_channels, Resample::Keep);
        let output = architecture.convolution("output.conv", shape, side, Initial::Zeros);
        Self { time, class, input, down, middle, up, output_norm, output, dropout: model.dropout }
    }

    /// See [`super::Network::forward`].
    pub fn forward(
        &self,
        pass: Pass,
        noisy: Tensor<4>,
        timesteps: Tensor<1>,
        classes: Option<&[u32]>,
        dropout: Option<Dropout>,
    ) -> Tensor<4> {
        let batch = noisy.dims()[0];
        assert_eq!(timesteps.dims(), [batch], "a timestep for each image");
        let device = noisy.device();
        let mut layer = 0;
        let mut dropout = || {
            layer += 1;
            let source = dropout.filter(|_| self.dropout > 0.0)?;
            Some(BlockDropout { source, rate: self.dropout, layer, batch, device: &device })
        };
        let class = self.class.as_ref().map(|class| class.forward(pass, classes, batch, &device));
        let embedding = self.time.forward(pass, timesteps, class);
        let embedding = || embedding.clone();

        let mut hidden = self.input.forward(pass, pass.kernels.enter(noisy));
        let mut skipped = vec![hidden.clone()];
        for level in &self.down {
            for (residual, attention) in &level.blocks {
                hidden = residual.forward(pass, hidden, embedding(), dropout());
                if let Some(attention) = attention {
                    hidden = attention.forward(pass, hidden);
                }
                skipped.push(hidden.clone());
            }
            if let Some(resample) = &level.resample {
                hidden = resample.forward(pass, hidden, embedding(), dropout());
                skipped.push(hidden.clone());
            }
        }

        let (first, attention, second) = &self.middle;
        hidden = first.forward(pass, hidden, embedding(), dropout());
        hidden = attention.forward(pass, hidden);
        hidden = second.forward(pass, hidden, embedding(), dropout());

        for level in &self.up {
            for (residual, attention) in &level.blocks {
                let kept = skipped.pop().expect("as many blocks up as tensors kept on the way down");
                hidden = pass.kernels.concatenate(hidden, kept);
                hidden = residual.forward(pass, hidden, embedding(), dropout());
                if let Some(attention) = attention {
                    hidden = attention.forward(pass, hidden);
                }
            }
            if let Some(resample) = &level.resample {
                hidden = resample.forward(pass, hidden, embedding(), dropout());
            }
        }
        let hidden = self.output_norm.forward(pass, hidden, true);
        pass.kernels.leave(self.output.forward(pass, hidden), batch)
    }
}

impl Describer<'_> {
    /// A residual block, and the self-attention that follows it at this side.
    fn block(&mut self, name: &str, inputs: usize, outputs: usize, side: usize) -> (AdmBlock, Option<AttentionBlock>) {
        let residual = self.residual(name, inputs, outputs, Resample::Keep, side);
        let attends = self.model.attention_resolutions.contains(&side);
        (residual, attends.then(|| self.attention(&format!("{name}.attention"), outputs, side)))
    }

    fn residual(&mut self, name: &str, inputs: usize, outputs: usize, resample: Resample, side: usize) -> AdmBlock {
        self.blocks.describe(self.architecture, name, inputs, outputs, resample, side)
    }

    fn attention(&mut self, name: &str, channels: usize, side: usize) -> AttentionBlock {
        let (groups, heads) = (self.model.norm_groups, self.model.heads(channels));
        AttentionBlock::describe(self.architecture, name, channels, groups, heads, side, InitialWeights::Torch)
    }

    fn resample(&mut self, name: &str, channels: usize, resample: Resample, side: usize) -> ResampleLayer {
        if self.model.resblock_updown {
            return ResampleLayer::Block(Box::new(self.residual(name, channels, channels, resample, side)));
        }
        let shape = Convolution::square(channels, channels, resample);
        ResampleLayer::Convolution(self.architecture.drawn(name, shape, side, InitialWeights::Torch))
    }
}

impl ResampleLayer {
    fn forward(&self, pass: Pass, input: Tensor<4>, embedding: Tensor<4>, dropout: Option<BlockDropout>) -> Tensor<4> {
        match self {
            Self::Convolution(convolution) => convolution.forward(pass, input),
            Self::Block(block) => block.forward(pass, input, embedding, dropout),
        }
    }
}

/// Checks that `model` can be built for images of (channels, side in pixels).
pub fn check(model: &AdmModel, image_shape: (usize, usize)) -> Result<(), ModelError> {
    // What it shares with the UNet of DDPM; heads are counted otherwise.
    let shared = UnetModel {
        channels: model.channels,
        channel_multipliers: model.channel_multipliers.clone(),
        blocks_per_level: model.blocks_per_level,
        attention_resolutions: model.attention_resolutions.clone(),
        attention_heads: 1,
        dropout: model.dropout,
        norm_groups: model.norm_groups,
        ..UnetModel::default()
    };
    unet::check(&shared, image_shape)?;
    if model.attention_heads == 0 {
        return Err(ModelError::Zero { field: "attention_heads" });
    }
    if model.head_channels == Some(0) {
        return Err(ModelError::Zero { field: "head_channels" });
    }
    let lowest = model.channel_multipliers.len() - 1;
    for (level, multiplier) in model.channel_multipliers.iter().enumerate() {
        let channels = model.channels * multiplier;
        let attends = level == lowest || model.attention_resolutions.contains(&(image_shape.1 >> level));
        match model.head_channels {
            Some(size) if attends && !channels.is_multiple_of(size) => {
                return Err(ModelError::HeadChannels { size, channels, level });
            }
            None if attends && !channels.is_multiple_of(model.attention_heads) => {
                return Err(ModelError::Heads { heads: model.attention_heads, channels, level });
            }
            _ => {}
        }
    }
    Ok(())
}
