use burn::tensor::Tensor;

use super::architecture::{Architecture, ConvolutionLayer, Initial, InitialWeights, NormLayer, Pass};
use super::levels::TimedBlock;
use super::residual_block::BlockDropout;
use crate::kernels::{Convolution, Resample};

/// The residual block of Dhariwal and Nichol 2021 (arXiv 2105.05233, section 3): shortcut(R(x)) + conv(dropout(silu(z)))
/// with h = conv(R(silu(norm(x)))), where R keeps, halves (mean of 2x2 pixels) or doubles (nearest neighbour) the side.
///
/// With `scale_shift_norm` z = norm(h) (1 + s) + t, where a linear map of silu(embedding) gives (s, t): their AdaGN, whose
/// scale is the 1 + s of their code; otherwise z = norm(h + linear(silu(embedding))).
#[derive(Clone, Debug)]
pub struct AdmBlock {
    first_norm: NormLayer,
    first: ConvolutionLayer,
    embedding: ConvolutionLayer,
    second_norm: NormLayer,
    second: ConvolutionLayer,
    /// The shortcut's convolution, where the number of channels changes.
    shortcut: Option<ConvolutionLayer>,
    scale_shift_norm: bool,
    resample: Resample,
    outputs: usize,
}

/// The settings that all blocks of a network share.
#[derive(Clone, Copy, Debug)]
pub struct AdmBlocks {
    /// Length of the embedding of time and class.
    pub embedding: usize,
    pub groups: usize,
    pub scale_shift_norm: bool,
}

impl AdmBlocks {
    /// A block for planes of `side` pixels.
    pub fn describe(
        self,
        architecture: &mut Architecture,
        name: &str,
        inputs: usize,
        outputs: usize,
        resample: Resample,
        side: usize,
    ) -> AdmBlock {
        let Self { embedding, groups, scale_shift_norm } = self;
        let resampled = resample.output_side(side);
        // A convolution of stride 1 that doubles the side doubles it before; halving is an operation of its own.
        let (first, first_side) = match resample {
            Resample::Double => (Convolution::square(inputs, outputs, Resample::Double), side),
            _ => (Convolution::square(inputs, outputs, Resample::Keep), resampled),
        };
        architecture.activations += match resample {
            Resample::Keep => 0,
            Resample::Halve => 2 * inputs * resampled * resampled,
            Resample::Double => inputs * resampled * resampled,
        };
        let second = Convolution::square(outputs, outputs, Resample::Keep);
        let shortcut = Convolution::pointwise(inputs, outputs);
        let embedded = if scale_shift_norm { 2 * outputs } else { outputs };
        AdmBlock {
            first_norm: architecture.norm(&format!("{name}.norm1"), inputs, groups, side),
            first: architecture.drawn(&format!("{name}.conv1"), first, first_side, InitialWeights::Torch),
            embedding: architecture.drawn_linear(
                &format!("{name}.embedding"),
                embedding,
                embedded,
                InitialWeights::Torch,
            ),
            second_norm: architecture.norm(&format!("{name}.norm2"), outputs, groups, resampled),
            second: architecture.convolution(&format!("{name}.conv2"), second, resampled, Initial::Zeros),
            shortcut: (inputs != outputs)
                .then(|| architecture.drawn(&format!("{name}.shortcut"), shortcut, resampled, InitialWeights::Torch)),
            scale_shift_norm,
            resample,
            outputs,
        }
    }
}

impl TimedBlock for AdmBlock {
    const COUNTS_RESAMPLING: bool = true;

    /// `embedding` is SiLU of the embedding, as planes of one pixel.
    fn forward(&self, pass: Pass, input: Tensor<4>, embedding: Tensor<4>, dropout: Option<BlockDropout>) -> Tensor<4> {
        let hidden = self.first_norm.forward(pass, input.clone(), true);
        let (hidden, input) = match self.resample {
            Resample::Keep => (hidden, input),
            Resample::Halve => (pass.kernels.halve(hidden), pass.kernels.halve(input)),
            Resample::Double => (hidden, pass.kernels.double(input)),
        };
        let embedding = self.embedding.forward(pass, embedding);
        let mut hidden = if self.scale_shift_norm {
            let hidden = self.first.forward(pass, hidden);
            self.second_norm.forward_modulated(pass, hidden, embedding, true)
        } else {
            let hidden = self.first.forward_added(pass, hidden, embedding);
            self.second_norm.forward(pass, hidden, true)
        };
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
