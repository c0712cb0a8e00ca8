use burn::tensor::{Device, Tensor};

use super::ParameterLayout;
use super::architecture::{Architecture, ConvolutionLayer, NormLayer, Pass, variance_scaling};
use super::parameters::Parameters;
use crate::kernels::{Convolution, Kernels, Resample};

/// A small classifier of 8x8 digits; what it sees before its last layer are the features of `fid`.
///
/// Three times 3x3 convolution, GroupNorm and SiLU (the second of stride 2), the mean of each plane, a linear map.
#[derive(Clone)]
pub struct DigitsCnn {
    blocks: Vec<(ConvolutionLayer, NormLayer)>,
    output: ConvolutionLayer,
    parameters: Parameters,
    kernels: Kernels,
}

impl DigitsCnn {
    /// Side of the images, in pixels; they have one channel.
    pub const SIDE: usize = 8;
    /// Length of [`DigitsCnn::features`].
    pub const FEATURES: usize = 64;
    /// Number of classes.
    pub const CLASSES: usize = 10;

    /// Initial weights drawn from `seed`; tracked on an autodiff device.
    pub fn new(seed: u64, device: &Device) -> Self {
        let mut architecture = Architecture::default();
        let mut side = Self::SIDE;
        let shapes = [
            Convolution::square(1, 32, Resample::Keep),
            Convolution::square(32, Self::FEATURES, Resample::Halve),
            Convolution::square(Self::FEATURES, Self::FEATURES, Resample::Keep),
        ];
        let mut blocks = Vec::new();
        for (index, shape) in shapes.into_iter().enumerate() {
            let name = format!("conv{}", index + 1);
            let convolution = architecture.convolution(&name, shape, side, variance_scaling(shape));
            side = shape.output_side(side);
            blocks.push((convolution, architecture.norm(&format!("norm{}", index + 1), shape.outputs, GROUPS, side)));
        }
        let output = architecture.linear("output", Self::FEATURES, Self::CLASSES);
        let parameters = Parameters::initial(architecture, seed, device);
        Self { blocks, output, parameters, kernels: Kernels::for_device(device) }
    }

    /// `images` `[batch, 1, 8, 8]` in [-1, 1]; `[batch, 64]`.
    pub fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let batch = images.dims()[0];
        self.kernels.plane_means(self.planes(images), batch)
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

const GROUPS: usize = 8;
