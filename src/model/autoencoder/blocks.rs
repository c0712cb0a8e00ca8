//! The parts that both halves are made of, with diffusers' names.

use burn::tensor::Tensor;

use super::AutoencoderDesign;
use crate::kernels::{Convolution, Kernels, Resample};
use crate::model::architecture::{Architecture, ConvolutionLayer, Initial, NormLayer, Pass};

/// What the GroupNorms of autoencoders add to variances.
pub const EPSILON: f32 = 1e-6;

/// A layer whose weights are read, not drawn.
pub fn frozen(architecture: &mut Architecture, name: &str, shape: Convolution, side: usize) -> ConvolutionLayer {
    architecture.convolution(name, shape, side, Initial::Zeros)
}

/// A 3x3 convolution of planes of `side` pixels.
pub fn square(
    architecture: &mut Architecture,
    name: &str,
    inputs: usize,
    outputs: usize,
    resample: Resample,
    side: usize,
) -> ConvolutionLayer {
    frozen(architecture, name, Convolution::square(inputs, outputs, resample), side)
}

/// shortcut(x) + conv(silu(norm(conv(silu(norm(x)))))).
struct Block {
    first_norm: NormLayer,
    first: ConvolutionLayer,
    second_norm: NormLayer,
    second: ConvolutionLayer,
    shortcut: Option<ConvolutionLayer>,
}

impl Block {
    fn describe(
        architecture: &mut Architecture,
        design: &AutoencoderDesign,
        name: &str,
        (inputs, outputs): (usize, usize),
        side: usize,
    ) -> Self {
        let groups = design.norm_groups;
        Self {
            first_norm: architecture.norm_within(&format!("{name}.norm1"), inputs, groups, side, EPSILON),
            first: square(architecture, &format!("{name}.conv1"), inputs, outputs, Resample::Keep, side),
            second_norm: architecture.norm_within(&format!("{name}.norm2"), outputs, groups, side, EPSILON),
            second: square(architecture, &format!("{name}.conv2"), outputs, outputs, Resample::Keep, side),
            shortcut: (inputs != outputs).then(|| {
                let shape = Convolution::pointwise(inputs, outputs);
                frozen(architecture, &format!("{name}.conv_shortcut"), shape, side)
            }),
        }
    }

    fn forward(&self, pass: Pass, input: Tensor<4>) -> Tensor<4> {
        let hidden = self.first.forward(pass, self.first_norm.forward(pass, input.clone(), true));
        let hidden = self.second_norm.forward(pass, hidden, true);
        let kept = match &self.shortcut {
            Some(shortcut) => shortcut.forward(pass, input),
            None => input,
        };
        self.second.forward_added(pass, hidden, kept)
    }
}

/// x + linear(attention(linear(norm(x)))) of one head.
struct Attention {
    norm: NormLayer,
    /// Queries, keys and values.
    input: ConvolutionLayer,
    output: ConvolutionLayer,
}

impl Attention {
    fn describe(
        architecture: &mut Architecture,
        design: &AutoencoderDesign,
        name: &str,
        channels: usize,
        side: usize,
    ) -> Self {
        let pixels = side * side;
        architecture.flops += 4.0 * (pixels * pixels * channels) as f64;
        let input = Convolution::pointwise(channels, 3 * channels);
        let output = Convolution::pointwise(channels, channels);
        Self {
            norm: architecture.norm_within(&format!("{name}.group_norm"), channels, design.norm_groups, side, EPSILON),
            input: frozen(architecture, &format!("{name}.to_qkv"), input, side),
            output: frozen(architecture, &format!("{name}.to_out.0"), output, side),
        }
    }

    fn forward(&self, pass: Pass, input: Tensor<4>) -> Tensor<4> {
        let hidden = self.norm.forward(pass, input.clone(), false);
        let hidden = pass.kernels.attention(self.input.branch(pass, hidden), 1);
        self.output.forward_added(pass, hidden, input)
    }
}

/// Two blocks, between them attention.
pub struct Middle {
    first: Block,
    attention: Option<Attention>,
    second: Block,
}

impl Middle {
    pub fn describe(
        architecture: &mut Architecture,
        design: &AutoencoderDesign,
        name: &str,
        channels: usize,
        side: usize,
    ) -> Self {
        let both = (channels, channels);
        Self {
            first: Block::describe(architecture, design, &format!("{name}.resnets.0"), both, side),
            attention: design
                .attention
                .then(|| Attention::describe(architecture, design, &format!("{name}.attentions.0"), channels, side)),
            second: Block::describe(architecture, design, &format!("{name}.resnets.1"), both, side),
        }
    }

    pub fn forward(&self, pass: Pass, input: Tensor<4>) -> Tensor<4> {
        let hidden = self.first.forward(pass, input);
        let hidden = self.attention.iter().fold(hidden, |hidden, attention| attention.forward(pass, hidden));
        self.second.forward(pass, hidden)
    }
}

/// Blocks of one side, then the way to the next.
pub struct Level {
    blocks: Vec<Block>,
    resample: Option<(Resample, ConvolutionLayer)>,
}

impl Level {
    /// `count` blocks from (inputs, outputs) channels of planes of `side` pixels.
    pub fn describe(
        architecture: &mut Architecture,
        design: &AutoencoderDesign,
        name: &str,
        (inputs, outputs): (usize, usize),
        count: usize,
        resample: Option<Resample>,
        side: usize,
    ) -> Self {
        let blocks = (0..count).map(|index| {
            let inputs = if index == 0 { inputs } else { outputs };
            let name = format!("{name}.resnets.{index}");
            Block::describe(architecture, design, &name, (inputs, outputs), side)
        });
        let blocks = blocks.collect();
        let resample = resample.map(|resample| {
            let samplers = if resample == Resample::Halve { "downsamplers" } else { "upsamplers" };
            let name = format!("{name}.{samplers}.0.conv");
            (resample, square(architecture, &name, outputs, outputs, resample, side))
        });
        Self { blocks, resample }
    }

    pub fn forward(&self, pass: Pass, input: Tensor<4>) -> Tensor<4> {
        let hidden = self.blocks.iter().fold(input, |hidden, block| block.forward(pass, hidden));
        match &self.resample {
            None => hidden,
            Some((Resample::Halve, convolution)) => halve(pass, convolution, hidden),
            Some((_, convolution)) => convolution.forward(pass, hidden),
        }
    }
}

/// A convolution of stride 2 that sees zeros below and to the right alone: output i sees pixels 2 i to 2 i + 2.
///
/// Ours sees 2 i - 1 to 2 i + 1. With a row and a column of zeros before and after the planes, its output i + 1 is the
/// one that is wanted.
fn halve(pass: Pass, convolution: &ConvolutionLayer, planes: Tensor<4>) -> Tensor<4> {
    let rows_and_columns = match pass.kernels {
        Kernels::Plain(_) | Kernels::Gpu(_) => [2, 3],
        Kernels::Fused(_) => [0, 1],
    };
    let padded = rows_and_columns.into_iter().fold(planes, |planes, dimension| {
        let mut shape = planes.dims();
        shape[dimension] = 1;
        let zeros = Tensor::zeros(shape, &planes.device());
        Tensor::cat(vec![zeros.clone(), planes, zeros], dimension)
    });
    let halved = convolution.forward(pass, padded);
    rows_and_columns.into_iter().fold(halved, |planes, dimension| {
        let length = planes.dims()[dimension] - 1;
        planes.narrow(dimension, 1, length)
    })
}
