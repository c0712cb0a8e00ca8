use burn::tensor::Tensor;

use super::architecture::{Architecture, ConvolutionLayer, Initial, Pass};
use crate::kernels::{Convolution, Gelu};

/// linear(gelu(linear(x))) of each token (Vaswani et al. 2017, section 3.3, with GELU in place of ReLU).
#[derive(Clone, Debug)]
pub struct FeedForward {
    first: ConvolutionLayer,
    second: ConvolutionLayer,
    gelu: Gelu,
}

impl FeedForward {
    /// A feed-forward network for `tokens` tokens of width `dim`, with a hidden layer of width `hidden`. `initial`
    /// gives the weights, and biases start at zero.
    pub fn describe(
        architecture: &mut Architecture,
        name: &str,
        dim: usize,
        hidden: usize,
        tokens: usize,
        gelu: Gelu,
        initial: fn(Convolution) -> Initial,
    ) -> Self {
        architecture.activations += hidden * tokens;
        let mut linear =
            |name: String, shape| architecture.token_linear(&name, shape, tokens, initial(shape), Some(Initial::Zeros));
        Self {
            first: linear(format!("{name}.linear1"), Convolution::pointwise(dim, hidden)),
            second: linear(format!("{name}.linear2"), Convolution::pointwise(hidden, dim)),
            gelu,
        }
    }

    /// The output as a branch: see [`ConvolutionLayer::branch`].
    pub fn branch(&self, pass: Pass, input: Tensor<4>) -> Tensor<4> {
        self.second.branch(pass, self.hidden(pass, input))
    }

    /// The output plus `added`.
    pub fn forward_added(&self, pass: Pass, input: Tensor<4>, added: Tensor<4>) -> Tensor<4> {
        self.second.forward_added(pass, self.hidden(pass, input), added)
    }

    fn hidden(&self, pass: Pass, input: Tensor<4>) -> Tensor<4> {
        pass.kernels.gelu(self.first.branch(pass, input), self.gelu)
    }
}
