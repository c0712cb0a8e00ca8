use super::adm_block::{AdmBlock, AdmBlocks};
use super::architecture::{Architecture, Initial, InitialWeights};
use super::attention_block::AttentionBlock;
use super::class_embedding::ClassEmbedding;
use super::levels::{LevelSizes, LeveledNet, Levels, Parts, ResampleLayer};
use super::time_embedding::{Sinusoids, TimeEmbedding};
use super::{ModelError, unet};
use crate::kernels::{Convolution, Resample};
use crate::spec::{AdmModel, DataShape, UnetModel};

/// The UNet of ADM (Dhariwal and Nichol 2021, arXiv 2105.05233, section 3) and, with convolutions that resample, of
/// Improved DDPM (Nichol and Dhariwal 2021, arXiv 2102.09672).
///
/// Weights start as in their code: PyTorch's own initial values ([`InitialWeights::Torch`]), and zero in the last
/// convolution of each block, of each attention and of the network. The rows of a self-attention's first map are queries,
/// keys, values, each with its heads one after the other ("new" order of that code; its other order has the same rows
/// head by head).
pub type Adm = LeveledNet<AdmBlock>;

const INITIAL: InitialWeights = InitialWeights::Torch;

/// For such images.
pub fn describe(
    model: &AdmModel,
    data_shape: DataShape,
    output_channels: usize,
    architecture: &mut Architecture,
) -> Adm {
    let DataShape { channels: image_channels, side, classes } = data_shape;
    let time = TimeEmbedding::describe(architecture, model.channels, Sinusoids::CosineFirst, INITIAL);
    // That code draws the table as torch.nn.Embedding does.
    let class = classes.filter(|_| model.class_conditional).map(|classes| {
        let (length, initial) = (TimeEmbedding::length(model.channels), Initial::Normal { deviation: 1.0 });
        ClassEmbedding::describe(architecture, "class", classes, model.class_dropout, length, initial)
    });
    let channels = model.channels * model.channel_multipliers[0];
    let inputs = image_channels + if model.coordinates { 2 } else { 0 };
    let input = architecture.drawn("input", Convolution::square(inputs, channels, Resample::Keep), side, INITIAL);
    let sizes = LevelSizes {
        channels: model.channels,
        channel_multipliers: &model.channel_multipliers,
        blocks_per_level: model.blocks_per_level,
        attention_resolutions: &model.attention_resolutions,
    };
    let (levels, channels) = Levels::describe(model, &sizes, architecture, channels, side);
    let output_norm = architecture.norm("output.norm", channels, model.norm_groups, side);
    let shape = Convolution::square(channels, output_channels, Resample::Keep);
    let output = architecture.convolution("output.conv", shape, side, Initial::Zeros);
    LeveledNet { time, class, input, levels, output_norm, output, dropout: model.dropout }
}

impl AdmModel {
    fn blocks(&self) -> AdmBlocks {
        AdmBlocks {
            embedding: TimeEmbedding::length(self.channels),
            groups: self.norm_groups,
            scale_shift_norm: self.scale_shift_norm,
        }
    }
}

impl Parts for AdmModel {
    type Block = AdmBlock;

    fn block(
        &self,
        architecture: &mut Architecture,
        name: &str,
        inputs: usize,
        outputs: usize,
        side: usize,
    ) -> AdmBlock {
        self.blocks().describe(architecture, name, inputs, outputs, Resample::Keep, side)
    }

    fn attention(&self, architecture: &mut Architecture, name: &str, channels: usize, side: usize) -> AttentionBlock {
        AttentionBlock::describe(architecture, name, channels, self.norm_groups, self.heads(channels), side, INITIAL)
    }

    fn resample(
        &self,
        architecture: &mut Architecture,
        name: &str,
        channels: usize,
        resample: Resample,
        side: usize,
    ) -> ResampleLayer<AdmBlock> {
        if self.resblock_updown {
            let block = self.blocks().describe(architecture, name, channels, channels, resample, side);
            return ResampleLayer::Block(Box::new(block));
        }
        let shape = Convolution::square(channels, channels, resample);
        ResampleLayer::Convolution(architecture.drawn(name, shape, side, INITIAL))
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
