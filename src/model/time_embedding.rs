use burn::tensor::Tensor;

use super::architecture::{Architecture, ConvolutionLayer, InitialWeights, Pass};
use super::constant::Constant;
use super::sinusoids::falling_frequencies;

/// Which t an image is noised to, as a vector: sinusoids, linear, SiLU, linear.
#[derive(Clone, Debug)]
pub struct TimeEmbedding {
    channels: usize,
    order: Sinusoids,
    frequencies: Constant,
    first: ConvolutionLayer,
    second: ConvolutionLayer,
}

/// Which sinusoids a time becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sinusoids {
    /// sin(t f_i), then cos(t f_i), with f_i = 10000^(-i / (length / 2 - 1)), as in Ho et al.'s code.
    SineFirst,
    /// cos(t f_i), then sin(t f_i), with f_i = 10000^(-i / (length / 2)), as in Nichol and Dhariwal's code.
    CosineFirst,
}

impl TimeEmbedding {
    /// Length of the embedding for a network of `channels`.
    pub fn length(channels: usize) -> usize {
        4 * channels
    }

    pub fn describe(
        architecture: &mut Architecture,
        channels: usize,
        order: Sinusoids,
        initial: InitialWeights,
    ) -> Self {
        let length = Self::length(channels);
        Self {
            channels,
            order,
            frequencies: Constant::default(),
            first: architecture.drawn_linear("time.linear1", channels, length, initial),
            second: architecture.drawn_linear("time.linear2", length, length, initial),
        }
    }

    /// SiLU of the embedding of `timesteps` `[batch]`, plus that of the classes where there are any, as planes of one
    /// pixel.
    pub fn forward(&self, pass: Pass, timesteps: Tensor<1>, classes: Option<Tensor<4>>) -> Tensor<4> {
        let hidden = pass.kernels.enter_vectors(sinusoids(timesteps, self.channels, self.order, &self.frequencies));
        let hidden = pass.kernels.silu(self.first.forward(pass, hidden));
        pass.kernels.silu(match classes {
            Some(classes) => self.second.forward_added(pass, hidden, classes),
            None => self.second.forward(pass, hidden),
        })
    }
}

/// `[batch, length]` (after Vaswani et al. 2017, section 3.5); a zero at the end where `length` is odd.
fn sinusoids(timesteps: Tensor<1>, length: usize, order: Sinusoids, frequencies: &Constant) -> Tensor<2> {
    let batch = timesteps.dims()[0];
    let half = length / 2;
    let last = match order {
        Sinusoids::SineFirst => half.saturating_sub(1).max(1) as f64,
        Sinusoids::CosineFirst => half.max(1) as f64,
    };
    let device = timesteps.device();
    let frequencies = frequencies.on(&device, || falling_frequencies(half, last)).reshape([1, half]);
    let angles = timesteps.reshape([batch, 1]) * frequencies;
    let mut parts = match order {
        Sinusoids::SineFirst => vec![angles.clone().sin(), angles.cos()],
        Sinusoids::CosineFirst => vec![angles.clone().cos(), angles.sin()],
    };
    if !length.is_multiple_of(2) {
        parts.push(Tensor::zeros([batch, 1], &device));
    }
    Tensor::cat(parts, 1)
}
