use burn::tensor::Tensor;

use super::ParameterLayout;
use crate::kernels::{Convolution, GroupNorm, Kernels};

/// What GroupNorm adds to variances, as PyTorch does by default.
const EPSILON: f32 = 1e-5;

/// The layers and parameters of a network, collected while it is described and before any tensor exists.
#[derive(Default)]
pub struct Architecture {
    pub layout: Vec<ParameterLayout>,
    pub initial: Vec<Initial>,
    /// Of each parameter, whether it is weights that are multiplied as a factor of products, and nothing else.
    pub is_factor: Vec<bool>,
    /// Floating-point operations of one image's forward pass.
    pub flops: f64,
    /// Numbers in the outputs of all layers for one image. Attention's probabilities, which GPUs keep, are not among them.
    pub activations: usize,
    /// Classes, and "no class" where there is one, that the network is told.
    pub class_rows: Option<usize>,
    /// The row of "no class".
    pub no_class: Option<u32>,
}

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initial {
    Zeros,
    Ones,
    /// Uniform in [-bound, bound).
    Uniform {
        bound: f64,
    },
    /// Normal of mean 0.
    Normal {
        deviation: f64,
    },
}

/// How a family of networks draws the weights and biases of its layers, where they do not start at zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InitialWeights {
    /// See [`variance_scaling`]: DDPM.
    VarianceScaling,
    /// PyTorch's default: weights and biases uniform within 1 / sqrt(fan in) (`reset_parameters` of `torch.nn.Linear` and
    /// `Conv2d`: `kaiming_uniform_` with a = sqrt(5)).
    Torch,
}

impl InitialWeights {
    /// The initial values of the weights and of the biases.
    fn of(self, shape: Convolution) -> (Initial, Initial) {
        match self {
            Self::VarianceScaling => (variance_scaling(shape), Initial::Zeros),
            Self::Torch => {
                let fan_in = (shape.inputs * shape.kernel * shape.kernel) as f64;
                let uniform = Initial::Uniform { bound: fan_in.sqrt().recip() };
                (uniform, uniform)
            }
        }
    }
}

impl Architecture {
    pub fn parameter_count(&self) -> usize {
        self.layout.iter().map(ParameterLayout::size).sum()
    }

    /// A convolution of planes of `side` pixels.
    pub fn convolution(&mut self, name: &str, shape: Convolution, side: usize, initial: Initial) -> ConvolutionLayer {
        let weight_shape = vec![shape.outputs, shape.inputs, shape.kernel, shape.kernel];
        let (pixels, initial) = (shape.output_side(side).pow(2), (initial, Some(Initial::Zeros)));
        self.layer(name, shape, weight_shape, pixels, initial)
    }

    /// A convolution of planes of `side` pixels whose weights and biases are drawn.
    pub fn drawn(&mut self, name: &str, shape: Convolution, side: usize, initial: InitialWeights) -> ConvolutionLayer {
        let weight_shape = vec![shape.outputs, shape.inputs, shape.kernel, shape.kernel];
        let (weight, bias) = initial.of(shape);
        self.layer(name, shape, weight_shape, shape.output_side(side).pow(2), (weight, Some(bias)))
    }

    /// A linear map of a vector.
    pub fn linear(&mut self, name: &str, inputs: usize, outputs: usize) -> ConvolutionLayer {
        self.drawn_linear(name, inputs, outputs, InitialWeights::VarianceScaling)
    }

    /// A linear map of a vector, its weights and biases drawn as they are in `initial`.
    pub fn drawn_linear(
        &mut self,
        name: &str,
        inputs: usize,
        outputs: usize,
        initial: InitialWeights,
    ) -> ConvolutionLayer {
        let shape = Convolution::pointwise(inputs, outputs);
        let (weight, bias) = initial.of(shape);
        self.token_linear(name, shape, 1, weight, Some(bias))
    }

    /// A linear map of each of `tokens` tokens, with a bias unless it is none.
    pub fn token_linear(
        &mut self,
        name: &str,
        shape: Convolution,
        tokens: usize,
        weight: Initial,
        bias: Option<Initial>,
    ) -> ConvolutionLayer {
        self.layer(name, shape, vec![shape.outputs, shape.inputs], tokens, (weight, bias))
    }

    /// A LayerNorm of `tokens` tokens of `dim` numbers.
    pub fn layer_norm(&mut self, name: &str, dim: usize, tokens: usize, epsilon: f32) -> LayerNormLayer {
        self.activations += dim * tokens;
        LayerNormLayer {
            scale: self.parameter(format!("{name}.weight"), vec![dim], Initial::Ones),
            shift: self.parameter(format!("{name}.bias"), vec![dim], Initial::Zeros),
            epsilon,
        }
    }

    /// A GroupNorm (with or without SiLU) of planes of `side` pixels.
    pub fn norm(&mut self, name: &str, channels: usize, groups: usize, side: usize) -> NormLayer {
        self.norm_within(name, channels, groups, side, EPSILON)
    }

    /// The same with another number added to the variances than 1e-5.
    pub fn norm_within(&mut self, name: &str, channels: usize, groups: usize, side: usize, epsilon: f32) -> NormLayer {
        self.activations += channels * side * side;
        NormLayer {
            groups,
            epsilon,
            scale: self.parameter(format!("{name}.weight"), vec![channels], Initial::Ones),
            shift: self.parameter(format!("{name}.bias"), vec![channels], Initial::Zeros),
        }
    }

    /// A convolution whose output has `pixels` pixels; `weight_shape` is how its weights are called in the layout.
    pub fn layer(
        &mut self,
        name: &str,
        shape: Convolution,
        weight_shape: Vec<usize>,
        pixels: usize,
        (weight, bias): (Initial, Option<Initial>),
    ) -> ConvolutionLayer {
        self.flops += 2.0 * (shape.weight_count() * pixels) as f64;
        self.activations += shape.outputs * pixels;
        let weight = self.parameter(format!("{name}.weight"), weight_shape, weight);
        self.is_factor[weight] = true;
        ConvolutionLayer {
            shape,
            weight,
            bias: bias.map(|bias| self.parameter(format!("{name}.bias"), vec![shape.outputs], bias)),
        }
    }

    /// A parameter that is no part of a layer above; its place in the layout.
    pub fn parameter(&mut self, name: String, shape: Vec<usize>, initial: Initial) -> usize {
        self.layout.push(ParameterLayout { name, shape });
        self.is_factor.push(false);
        self.initial.push(initial);
        self.layout.len() - 1
    }
}

/// DDPM's initial weights: uniform of variance 1 / mean(fan in, fan out) (Glorot and Bengio 2010, eq. 16; in Ho et
/// al.'s code `variance_scaling(1., 'fan_avg', 'uniform')`). Biases start at zero.
pub fn variance_scaling(shape: Convolution) -> Initial {
    let area = (shape.kernel * shape.kernel) as f64;
    Initial::Uniform { bound: (6.0 / (area * (shape.inputs + shape.outputs) as f64)).sqrt() }
}

/// The inputs of a layer's computation: its network's parameters, in layout order, and the operations.
#[derive(Clone, Copy)]
pub struct Pass<'a> {
    pub kernels: Kernels,
    pub parameters: &'a [Tensor<1>],
}

/// A convolution, or a linear map of vectors held as planes of one pixel.
#[derive(Clone, Debug)]
pub struct ConvolutionLayer {
    shape: Convolution,
    weight: usize,
    bias: Option<usize>,
}

impl ConvolutionLayer {
    pub fn forward(&self, pass: Pass, input: Tensor<4>) -> Tensor<4> {
        let (weight, bias) = self.weight_and_bias(pass);
        pass.kernels.convolution(self.shape, input, weight, bias)
    }

    /// The output of a linear map within a branch: see [`Kernels::branch_map`].
    pub fn branch(&self, pass: Pass, input: Tensor<4>) -> Tensor<4> {
        let (weight, bias) = self.weight_and_bias(pass);
        pass.kernels.branch_map(self.shape, input, weight, bias)
    }

    /// The output plus `added`: a tensor of its shape, or one value per channel and image.
    pub fn forward_added(&self, pass: Pass, input: Tensor<4>, added: Tensor<4>) -> Tensor<4> {
        let (weight, bias) = self.weight_and_bias(pass);
        pass.kernels.convolution_added(self.shape, input, weight, bias, added)
    }

    fn weight_and_bias(&self, pass: Pass) -> (Tensor<1>, Tensor<1>) {
        let weight = pass.parameters[self.weight].clone();
        let bias = match self.bias {
            Some(bias) => pass.parameters[bias].clone(),
            None => Tensor::zeros([self.shape.outputs], &weight.device().without_autodiff()),
        };
        (weight, bias)
    }
}

/// GroupNorm with scale and shift per channel.
#[derive(Clone, Debug)]
pub struct NormLayer {
    groups: usize,
    epsilon: f32,
    scale: usize,
    shift: usize,
}

impl NormLayer {
    pub fn forward(&self, pass: Pass, input: Tensor<4>, silu: bool) -> Tensor<4> {
        let (scale, shift) = (pass.parameters[self.scale].clone(), pass.parameters[self.shift].clone());
        pass.kernels.group_norm(input, scale, shift, self.with(silu))
    }

    /// Scaled and shifted once more for each image by `modulation`: see [`Kernels::group_norm_modulated`].
    pub fn forward_modulated(&self, pass: Pass, input: Tensor<4>, modulation: Tensor<4>, silu: bool) -> Tensor<4> {
        let (scale, shift) = (pass.parameters[self.scale].clone(), pass.parameters[self.shift].clone());
        pass.kernels.group_norm_modulated(input, scale, shift, modulation, self.with(silu))
    }

    fn with(&self, silu: bool) -> GroupNorm {
        GroupNorm { groups: self.groups, silu, epsilon: self.epsilon }
    }
}

/// LayerNorm of each token, with scale and shift per channel.
#[derive(Clone, Debug)]
pub struct LayerNormLayer {
    scale: usize,
    shift: usize,
    epsilon: f32,
}

impl LayerNormLayer {
    pub fn forward(&self, pass: Pass, input: Tensor<4>) -> Tensor<4> {
        let (scale, shift) = (pass.parameters[self.scale].clone(), pass.parameters[self.shift].clone());
        pass.kernels.layer_norm(input, scale, shift, self.epsilon)
    }
}
