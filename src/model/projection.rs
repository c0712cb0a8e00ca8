use burn::tensor::Tensor;

use super::architecture::{Architecture, ConvolutionLayer, Initial, Pass, variance_scaling};
use crate::kernels::Convolution;
use crate::spec::{AlignmentLoss, RunSpec};

/// What a run's training makes of tokens to compare them with the features of a frozen network: linear(silu(linear(silu(linear(x))))) of each
/// token (Yu et al. 2024, arXiv 2410.06940; `build_mlp` of the authors' code). It is a part of the network's parameters, after all others.
#[derive(Clone, Debug)]
pub struct Projection {
    layers: [ConvolutionLayer; 3],
}

impl Projection {
    /// The widths of a run's: of tokens, of both hidden layers, and of the features. None without `auxiliary_losses.alignment`.
    pub fn widths(spec: &RunSpec) -> Option<[usize; 4]> {
        let AlignmentLoss { weight, encoder, hidden, .. } = spec.auxiliary_losses.alignment;
        let dim = spec.model.token_width().filter(|_| weight > 0.0)?;
        Some([dim, hidden, hidden, encoder.channels()])
    }

    /// Of so many tokens of each image. Weights and biases start as the authors' do: Glorot's uniform weights, biases of zero.
    pub fn describe(architecture: &mut Architecture, widths: [usize; 4], tokens: usize) -> Self {
        architecture.activations += (widths[1] + widths[2]) * tokens; // SiLU's
        let mut layer = |index: usize| {
            let shape = Convolution::pointwise(widths[index], widths[index + 1]);
            let name = format!("projection.linear{}", index + 1);
            architecture.token_linear(&name, shape, tokens, variance_scaling(shape), Some(Initial::Zeros))
        };
        Self { layers: [layer(0), layer(1), layer(2)] }
    }

    /// Of tokens as kernels hold them.
    pub fn forward(&self, pass: Pass, tokens: Tensor<4>) -> Tensor<4> {
        let [first, second, third] = &self.layers;
        let hidden = pass.kernels.silu(first.forward(pass, tokens));
        let hidden = pass.kernels.silu(second.forward(pass, hidden));
        third.forward(pass, hidden)
    }
}
