use burn::tensor::Tensor;

use super::architecture::{Architecture, ConvolutionLayer, Initial, Pass};
use crate::kernels::Convolution;

/// linear(attention(linear(x))) between tokens (Vaswani et al. 2017, section 3.2).
#[derive(Clone, Debug)]
pub struct SelfAttention {
    /// Queries, keys and values, each of `dim`, in that order.
    input: ConvolutionLayer,
    output: ConvolutionLayer,
    heads: usize,
}

impl SelfAttention {
    /// Self-attention over `tokens` tokens of width `dim`. `initial` gives the weights, and biases start at zero.
    pub fn describe(
        architecture: &mut Architecture,
        name: &str,
        dim: usize,
        heads: usize,
        tokens: usize,
        input_bias: bool,
        initial: fn(Convolution) -> Initial,
    ) -> Self {
        // q k^T and the weighted sum of values.
        architecture.flops += 4.0 * (tokens * tokens * dim) as f64;
        architecture.activations += dim * tokens;
        let bias = input_bias.then_some(Initial::Zeros);
        let input = Convolution::pointwise(dim, 3 * dim);
        let output = Convolution::pointwise(dim, dim);
        Self {
            input: architecture.token_linear(&format!("{name}.qkv"), input, tokens, initial(input), bias),
            output: architecture.token_linear(
                &format!("{name}.output"),
                output,
                tokens,
                initial(output),
                Some(Initial::Zeros),
            ),
            heads,
        }
    }

    /// The output as a branch: see [`ConvolutionLayer::branch`].
    pub fn branch(&self, pass: Pass, input: Tensor<4>) -> Tensor<4> {
        self.output.branch(pass, self.attend(pass, input))
    }

    /// The output plus `added`.
    pub fn forward_added(&self, pass: Pass, input: Tensor<4>, added: Tensor<4>) -> Tensor<4> {
        self.output.forward_added(pass, self.attend(pass, input), added)
    }

    fn attend(&self, pass: Pass, input: Tensor<4>) -> Tensor<4> {
        pass.kernels.attention(self.input.branch(pass, input), self.heads)
    }
}
