use burn::tensor::{Device, Tensor};

use super::Masks;
use super::architecture::{Architecture, ConvolutionLayer, Initial, NormLayer, Pass, variance_scaling};
use super::levels::TimedBlock;
use crate::kernels::{Convolution, Resample};

/// DDPM's residual block: shortcut(x) + conv(dropout(silu(norm(conv(silu(norm(x))) + linear(silu(time)))))).
#[derive(Clone, Debug)]
pub struct ResidualBlock {
    first_norm: NormLayer,
    first: ConvolutionLayer,
    time: ConvolutionLayer,
    second_norm: NormLayer,
    second: ConvolutionLayer,
    /// The shortcut's convolution, where the number of channels changes.
    shortcut: Option<ConvolutionLayer>,
    outputs: usize,
}

/// Dropout of one pass: its source, the rate and which layer of the network this is.
#[derive(Clone, Copy)]
pub struct BlockDropout<'a> {
    pub source: Masks<'a>,
    pub rate: f64,
    pub layer: usize,
    pub batch: usize,
    pub device: &'a Device,
}

impl ResidualBlock {
    /// `time` is the length of the time embedding; `side` in pixels.
    pub fn describe(
        architecture: &mut Architecture,
        name: &str,
        inputs: usize,
        outputs: usize,
        time: usize,
        groups: usize,
        side: usize,
    ) -> Self {
        let first = Convolution::square(inputs, outputs, Resample::Keep);
        let second = Convolution::square(outputs, outputs, Resample::Keep);
        let shortcut = Convolution::pointwise(inputs, outputs);
        Self {
            first_norm: architecture.norm(&format!("{name}.norm1"), inputs, groups, side),
            first: architecture.convolution(&format!("{name}.conv1"), first, side, variance_scaling(first)),
            time: architecture.linear(&format!("{name}.time"), time, outputs),
            second_norm: architecture.norm(&format!("{name}.norm2"), outputs, groups, side),
            second: architecture.convolution(&format!("{name}.conv2"), second, side, Initial::Zeros),
            shortcut: (inputs != outputs).then(|| {
                architecture.convolution(&format!("{name}.shortcut"), shortcut, side, variance_scaling(shortcut))
            }),
            outputs,
        }
    }
}

impl TimedBlock for ResidualBlock {
    const COUNTS_RESAMPLING: bool = false;

    /// `time` is SiLU of the time embedding, as planes of one pixel.
    fn forward(&self, pass: Pass, input: Tensor<4>, time: Tensor<4>, dropout: Option<BlockDropout>) -> Tensor<4> {
        let hidden = self.first_norm.forward(pass, input.clone(), true);
        let hidden = self.first.forward_added(pass, hidden, self.time.forward(pass, time));
        let mut hidden = self.second_norm.forward(pass, hidden, true);
        if let Some(BlockDropout { source, rate, layer, batch, device }) = dropout {
            let side = pass.kernels.side(&hidden);
            let shape = [batch, self.outputs, side, side];
            hidden = source.apply(pass, hidden, shape, rate, layer, device);
        }
        let kept = match &self.shortcut {
            Some(shortcut) => shortcut.forward(pass, input),
            None => input,
        };
        self.second.forward_added(pass, hidden, kept)
    }
}
