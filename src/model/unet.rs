use super::ModelError;
use super::architecture::{Architecture, Initial, InitialWeights, variance_scaling};
use super::attention_block::AttentionBlock;
use super::class_embedding::ClassEmbedding;
use super::levels::{LevelSizes, LeveledNet, Levels, Parts, ResampleLayer};
use super::residual_block::ResidualBlock;
use super::time_embedding::{Sinusoids, TimeEmbedding};
use crate::kernels::{Convolution, Resample};
use crate::spec::{DataShape, UnetModel};

/// The UNet of DDPM (Ho et al. 2020, appendix B).
pub type Unet = LeveledNet<ResidualBlock>;

const INITIAL: InitialWeights = InitialWeights::VarianceScaling;

/// For such images.
pub fn describe(model: &UnetModel, data_shape: DataShape, architecture: &mut Architecture) -> Unet {
    let DataShape { channels: image_channels, side, classes } = data_shape;
    if let Err(error) = check(model, (image_channels, side)) {
        panic!("a model that was not checked: {error}");
    }
    let time = TimeEmbedding::describe(architecture, model.channels, Sinusoids::SineFirst, INITIAL);
    // Nichol and Dhariwal's code draws the table as torch.nn.Embedding does.
    let class = classes.filter(|_| model.class_conditional).map(|classes| {
        let (length, initial) = (TimeEmbedding::length(model.channels), Initial::Normal { deviation: 1.0 });
        ClassEmbedding::describe(architecture, "class", classes, model.class_dropout, length, initial)
    });
    let inputs = image_channels + if model.coordinates { 2 } else { 0 };
    let shape = Convolution::square(inputs, model.channels, Resample::Keep);
    let input = architecture.convolution("input", shape, side, variance_scaling(shape));
    let sizes = LevelSizes {
        channels: model.channels,
        channel_multipliers: &model.channel_multipliers,
        blocks_per_level: model.blocks_per_level,
        attention_resolutions: &model.attention_resolutions,
    };
    let (levels, channels) = Levels::describe(model, &sizes, architecture, model.channels, side);
    let output_norm = architecture.norm("output.norm", channels, model.norm_groups, side);
    let shape = Convolution::square(channels, image_channels, Resample::Keep);
    let output = architecture.convolution("output.conv", shape, side, Initial::Zeros);
    LeveledNet { time, class, input, levels, output_norm, output, dropout: model.dropout }
}

impl Parts for UnetModel {
    type Block = ResidualBlock;

    fn block(
        &self,
        architecture: &mut Architecture,
        name: &str,
        inputs: usize,
        outputs: usize,
        side: usize,
    ) -> ResidualBlock {
        let time_length = TimeEmbedding::length(self.channels);
        ResidualBlock::describe(architecture, name, inputs, outputs, time_length, self.norm_groups, side)
    }

    fn attention(&self, architecture: &mut Architecture, name: &str, channels: usize, side: usize) -> AttentionBlock {
        AttentionBlock::describe(architecture, name, channels, self.norm_groups, self.attention_heads, side, INITIAL)
    }

    fn resample(
        &self,
        architecture: &mut Architecture,
        name: &str,
        channels: usize,
        resample: Resample,
        side: usize,
    ) -> ResampleLayer<ResidualBlock> {
        let shape = Convolution::square(channels, channels, resample);
        ResampleLayer::Convolution(architecture.convolution(name, shape, side, variance_scaling(shape)))
    }
}

/// Checks that `model` can be built for images of (channels, side in pixels).
pub fn check(model: &UnetModel, image_shape: (usize, usize)) -> Result<(), ModelError> {
    let sizes = [
        ("channels", model.channels),
        ("channel_multipliers", model.channel_multipliers.iter().copied().min().unwrap_or(0)),
        ("blocks_per_level", model.blocks_per_level),
        ("attention_heads", model.attention_heads),
        ("norm_groups", model.norm_groups),
    ];
    if let Some((field, _)) = sizes.into_iter().find(|&(_, size)| size == 0) {
        return Err(ModelError::Zero { field });
    }
    if !(0.0..1.0).contains(&model.dropout) {
        return Err(ModelError::Dropout { dropout: model.dropout.to_string() });
    }
    let (levels, side) = (model.channel_multipliers.len(), image_shape.1);
    let times = levels - 1;
    if times >= usize::BITS as usize || side == 0 || !side.is_multiple_of(1 << times) {
        return Err(ModelError::Side { levels, times, side });
    }
    for (level, multiplier) in model.channel_multipliers.iter().enumerate() {
        let channels = model.channels * multiplier;
        // The up path normalises concatenations of levels' channels, which the same groups then divide.
        if !channels.is_multiple_of(model.norm_groups) {
            return Err(ModelError::Groups { groups: model.norm_groups, channels, level });
        }
        let attends = level == times || model.attention_resolutions.contains(&(side >> level));
        if attends && !channels.is_multiple_of(model.attention_heads) {
            return Err(ModelError::Heads { heads: model.attention_heads, channels, level });
        }
    }
    if !model.channels.is_multiple_of(model.norm_groups) {
        return Err(ModelError::Groups { groups: model.norm_groups, channels: model.channels, level: 0 });
    }
    Ok(())
}
