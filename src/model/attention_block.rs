use burn::tensor::Tensor;

use super::architecture::{Architecture, ConvolutionLayer, Initial, InitialWeights, NormLayer, Pass};
use crate::kernels::Convolution;

/// x + linear(attention(linear(norm(x)))) between the pixels of an image (Ho et al. 2020, appendix B).
#[derive(Clone, Debug)]
pub struct AttentionBlock {
    norm: NormLayer,
    /// Queries, keys and values, each of `channels`, in that order.
    input: ConvolutionLayer,
    output: ConvolutionLayer,
    heads: usize,
}

impl AttentionBlock {
    pub fn describe(
        architecture: &mut Architecture,
        name: &str,
        channels: usize,
        groups: usize,
        heads: usize,
        side: usize,
        initial: InitialWeights,
    ) -> Self {
        let pixels = side * side;
        // q k^T and the weighted sum of values.
        architecture.flops += 4.0 * (pixels * pixels * channels) as f64;
        architecture.activations += channels * pixels;
        let input = Convolution::pointwise(channels, 3 * channels);
        let output = Convolution::pointwise(channels, channels);
        Self {
            norm: architecture.norm(&format!("{name}.norm"), channels, groups, side),
            input: architecture.drawn(&format!("{name}.qkv"), input, side, initial),
            output: architecture.convolution(&format!("{name}.output"), output, side, Initial::Zeros),
            heads,
        }
    }

    pub fn forward(&self, pass: Pass, input: Tensor<4>) -> Tensor<4> {
        let hidden = self.norm.forward(pass, input.clone(), false);
        let hidden = pass.kernels.attention(self.input.branch(pass, hidden), self.heads);
        self.output.forward_added(pass, hidden, input)
    }
}
