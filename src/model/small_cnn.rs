use burn::tensor::{Device, Tensor};

use super::ParameterLayout;
use super::architecture::{Architecture, ConvolutionLayer, NormLayer, Pass, variance_scaling};
use super::parameters::Parameters;
use crate::kernels::{Convolution, Kernels, Resample};

/// A small classifier of grey images of ten classes; what it sees before its last layer are the features of `fid`.
///
/// Blocks of a 3x3 convolution, GroupNorm and SiLU, the mean of each plane, a linear map.
#[derive(Clone)]
pub struct SmallCnn {
    design: &'static CnnDesign,
    blocks: Vec<(ConvolutionLayer, NormLayer)>,
    output: ConvolutionLayer,
    parameters: Parameters,
    kernels: Kernels,
}

/// The design of a [`SmallCnn`].
#[derive(Debug, PartialEq, Eq)]
pub struct CnnDesign {
    pub name: &'static str,
    /// The side of the images, in pixels; they have one channel.
    pub side: usize,
    /// Each block: how it changes the side, and how many channels it gives.
    blocks: &'static [(Resample, usize)],
}

/// The classifier of 8x8 digits.
pub static DIGITS_CNN: CnnDesign = CnnDesign {
    name: "digits-cnn",
    side: 8,
    blocks: &[(Resample::Keep, 32), (Resample::Halve, 64), (Resample::Keep, 64)],
};

/// The classifier of 28x28 digits.
pub static MNIST_CNN: CnnDesign = CnnDesign {
    name: "mnist-cnn",
    side: 28,
    blocks: &[(Resample::Halve, 32), (Resample::Keep, 64), (Resample::Halve, 64), (Resample::Keep, 64)],
};

const GROUPS: usize = 8;

impl CnnDesign {
    /// Length of [`SmallCnn::features`].
    pub fn feature_count(&self) -> usize {
        self.blocks.last().expect("every design has blocks").1
    }

    /// Floating-point operations of one image's forward pass.
    pub fn forward_flops(&self) -> f64 {
        self.architecture().flops
    }

    pub fn parameter_count(&self) -> usize {
        self.architecture().parameter_count()
    }

    /// The bytes of the outputs of all layers, for one image.
    pub fn activation_bytes(&self) -> usize {
        self.architecture().activations * size_of::<f32>()
    }

    fn architecture(&self) -> Architecture {
        let mut architecture = Architecture::default();
        self.describe(&mut architecture);
        architecture
    }

    /// Its blocks and its last layer.
    fn describe(&self, architecture: &mut Architecture) -> (Vec<(ConvolutionLayer, NormLayer)>, ConvolutionLayer) {
        let (mut side, mut channels) = (self.side, 1);
        let mut blocks = Vec::new();
        for (number, &(resample, outputs)) in (1..).zip(self.blocks) {
            let shape = Convolution::square(channels, outputs, resample);
            let convolution = architecture.convolution(&format!("conv{number}"), shape, side, variance_scaling(shape));
            (side, channels) = (shape.output_side(side), outputs);
            blocks.push((convolution, architecture.norm(&format!("norm{number}"), outputs, GROUPS, side)));
        }
        (blocks, architecture.linear("output", channels, SmallCnn::CLASSES))
    }
}

impl SmallCnn {
    /// Number of classes.
    pub const CLASSES: usize = 10;

    /// Initial weights drawn from `seed`; tracked on an autodiff device.
    pub fn new(design: &'static CnnDesign, seed: u64, device: &Device) -> Self {
        let mut architecture = Architecture::default();
        let (blocks, output) = design.describe(&mut architecture);
        let parameters = Parameters::initial(architecture, seed, device);
        Self { design, blocks, output, parameters, kernels: Kernels::for_device(device) }
    }

    /// The same with other operations: in another precision.
    pub fn with_kernels(self, kernels: Kernels) -> Self {
        Self { kernels, ..self }
    }

    pub fn design(&self) -> &'static CnnDesign {
        self.design
    }

    /// `images` `[batch, 1, side, side]` in [-1, 1]; `[batch, feature_count]`.
    pub fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let batch = images.dims()[0];
        self.kernels.plane_means(self.planes(images), batch)
    }

    /// What [`Self::features`] are the means of: `[batch, feature_count, side, side]`, of a side of a quarter or half of the images'.
    pub fn last_planes(&self, images: Tensor<4>) -> Tensor<4> {
        let batch = images.dims()[0];
        self.kernels.leave(self.planes(images), batch)
    }

    /// Unnormalised log-probabilities of the classes, `[batch, 10]`.
    pub fn logits(&self, images: Tensor<4>) -> Tensor<2> {
        let batch = images.dims()[0];
        let features = self.kernels.plane_means(self.planes(images), batch);
        let logits = self.output.forward(self.pass(), self.kernels.enter_vectors(features));
        self.kernels.leave(logits, batch).reshape([batch, Self::CLASSES])
    }

    pub fn layout(&self) -> &[ParameterLayout] {
        self.parameters.layout()
    }

    /// All parameters concatenated in layout order, not tracked.
    pub fn weights(&self) -> Tensor<1> {
        self.parameters.flat()
    }

    /// Replaces all parameters.
    pub fn set_weights(&mut self, weights: Tensor<1>) {
        self.parameters.set_flat(weights);
    }

    /// The gradient of `loss` in layout order, not tracked.
    pub fn gradients(&self, loss: Tensor<1>) -> Tensor<1> {
        self.parameters.gradients(&loss)
    }

    fn planes(&self, images: Tensor<4>) -> Tensor<4> {
        let pass = self.pass();
        self.blocks.iter().fold(self.kernels.enter(images), |hidden, (convolution, norm)| {
            norm.forward(pass, convolution.forward(pass, hidden), true)
        })
    }

    fn pass(&self) -> Pass<'_> {
        Pass { kernels: self.kernels, parameters: self.parameters.views() }
    }
}
