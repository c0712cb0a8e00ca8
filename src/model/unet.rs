use burn::tensor::Tensor;

use super::architecture::{Architecture, ConvolutionLayer, Initial, InitialWeights, NormLayer, Pass, variance_scaling};
use super::attention_block::AttentionBlock;
use super::class_embedding::ClassEmbedding;
use super::residual_block::{BlockDropout, ResidualBlock};
use super::time_embedding::{Sinusoids, TimeEmbedding};
use super::{Dropout, ModelError};
use crate::kernels::{Convolution, Resample};
use crate::spec::{DataShape, UnetModel};

/// The UNet of DDPM (Ho et al. 2020, appendix B): predicts from noisy images and their timesteps a tensor of the
/// images' shape.
#[derive(Clone, Debug)]
pub struct Unet {
    time: TimeEmbedding,
    class: Option<ClassEmbedding>,
    input: ConvolutionLayer,
    /// From full resolution to the lowest.
    down: Vec<Level>,
    middle: (ResidualBlock, AttentionBlock, ResidualBlock),
    /// From the lowest resolution to full.
    up: Vec<Level>,
    output_norm: NormLayer,
    output: ConvolutionLayer,
    dropout: f64,
}

/// The blocks of one resolution, and the convolution to the next.
#[derive(Clone, Debug)]
struct Level {
    blocks: Vec<(ResidualBlock, Option<AttentionBlock>)>,
    resample: Option<ConvolutionLayer>,
}

impl Unet {
    /// For such images.
    pub fn describe(model: &UnetModel, data_shape: DataShape, architecture: &mut Architecture) -> Self {
        let DataShape { channels: image_channels, mut side, classes } = data_shape;
        if let Err(error) = check(model, (image_channels, side)) {
            panic!("a model that was not checked: {error}");
        }
        let time_length = TimeEmbedding::length(model.channels);
        let (groups, heads) = (model.norm_groups, model.attention_heads);
        let block = |architecture: &mut Architecture, name: &str, inputs, outputs, side: usize| {
            let residual = ResidualBlock::describe(architecture, name, inputs, outputs, time_length, groups, side);
            let attention = model.attention_resolutions.contains(&side).then(|| {
                AttentionBlock::describe(
                    architecture,
                    &format!("{name}.attention"),
                    outputs,
                    groups,
                    heads,
                    side,
                    InitialWeights::VarianceScaling,
                )
            });
            (residual, attention)
        };
        let resample = |architecture: &mut Architecture, name: &str, channels, resample, side| {
            let shape = Convolution::square(channels, channels, resample);
            architecture.convolution(name, shape, side, variance_scaling(shape))
        };

        let time = TimeEmbedding::describe(
            architecture,
            model.channels,
            Sinusoids::SineFirst,
            InitialWeights::VarianceScaling,
        );
        // Nichol and Dhariwal's code draws the table as torch.nn.Embedding does.
        let class = classes.filter(|_| model.class_conditional).map(|classes| {
            let (dropout, initial) = (model.class_dropout, Initial::Normal { deviation: 1.0 });
            ClassEmbedding::describe(architecture, "class", classes, dropout, time_length, initial)
        });
        let shape = Convolution::square(image_channels, model.channels, Resample::Keep);
        let input = architecture.convolution("input", shape, side, variance_scaling(shape));

        let mut channels = model.channels;
        let mut skipped = vec![channels];
        let mut down = Vec::new();
        let lowest = model.channel_multipliers.len() - 1;
        for (level, multiplier) in model.channel_multipliers.iter().enumerate() {
            let mut blocks = Vec::new();
            for index in 0..model.blocks_per_level {
                let outputs = model.channels * multiplier;
                blocks.push(block(architecture, &format!("down.{level}.{index}"), channels, outputs, side));
                channels = outputs;
                skipped.push(channels);
            }
            let resample = (level < lowest).then(|| {
                let layer =
                    resample(architecture, &format!("down.{level}.downsample"), channels, Resample::Halve, side);
                side /= 2;
                skipped.push(channels);
                layer
            });
            down.push(Level { blocks, resample });
        }

        let middle = |architecture: &mut Architecture, name: &str| {
            ResidualBlock::describe(architecture, name, channels, channels, time_length, groups, side)
        };
        let middle = (
            middle(architecture, "middle.0"),
            AttentionBlock::describe(
                architecture,
                "middle.1",
                channels,
                groups,
                heads,
                side,
                InitialWeights::VarianceScaling,
            ),
            middle(architecture, "middle.2"),
        );

        let mut up = Vec::new();
        for (level, multiplier) in model.channel_multipliers.iter().enumerate().rev() {
            let mut blocks = Vec::new();
            for index in 0..=model.blocks_per_level {
                let inputs = channels + skipped.pop().expect("as many blocks up as tensors kept on the way down");
                let outputs = model.channels * multiplier;
                architecture.activations += inputs * side * side; // the concatenation
                blocks.push(block(architecture, &format!("up.{level}.{index}"), inputs, outputs, side));
                channels = outputs;
            }
            let resample = (level > 0).then(|| {
                let layer = resample(architecture, &format!("up.{level}.upsample"), channels, Resample::Double, side);
                side *= 2;
                layer
            });
            up.push(Level { blocks, resample });
        }

        let output_norm = architecture.norm("output.norm", channels, groups, side);
        let shape = Convolution::square(channels, image_channels, Resample::Keep);
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
        let time = self.time.forward(pass, timesteps, class);

        let mut hidden = self.input.forward(pass, pass.kernels.enter(noisy));
        let mut skipped = vec![hidden.clone()];
        for level in &self.down {
            for (residual, attention) in &level.blocks {
                hidden = residual.forward(pass, hidden, time.clone(), dropout());
                if let Some(attention) = attention {
                    hidden = attention.forward(pass, hidden);
                }
                skipped.push(hidden.clone());
            }
            if let Some(downsample) = &level.resample {
                hidden = downsample.forward(pass, hidden);
                skipped.push(hidden.clone());
            }
        }

        let (first, attention, second) = &self.middle;
        hidden = first.forward(pass, hidden, time.clone(), dropout());
        hidden = attention.forward(pass, hidden);
        hidden = second.forward(pass, hidden, time.clone(), dropout());

        for level in &self.up {
            for (residual, attention) in &level.blocks {
                let kept = skipped.pop().expect("as many blocks up as tensors kept on the way down");
                hidden = pass.kernels.concatenate(hidden, kept);
                hidden = residual.forward(pass, hidden, time.clone(), dropout());
                if let Some(attention) = attention {
                    hidden = attention.forward(pass, hidden);
                }
            }
            if let Some(upsample) = &level.resample {
                hidden = upsample.forward(pass, hidden);
            }
        }
        let hidden = self.output_norm.forward(pass, hidden, true);
        pass.kernels.leave(self.output.forward(pass, hidden), batch)
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
