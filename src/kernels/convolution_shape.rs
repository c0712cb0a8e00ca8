/// The effect of a convolution on the side of its planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resample {
    /// Stride 1: the side stays.
    Keep,
    /// Stride 2: the side halves, rounded up.
    Halve,
    /// Nearest-neighbour upsampling by 2 before a convolution of stride 1: the side doubles.
    Double,
}

/// A convolution with bias, zero-padded by `kernel / 2`.
///
/// Its weights are `[outputs, inputs, kernel, kernel]` and its bias `[outputs]`, both given flat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Convolution {
    pub inputs: usize,
    pub outputs: usize,
    /// Side of the kernel in pixels: 1 or 3.
    pub kernel: usize,
    pub resample: Resample,
}

impl Resample {
    /// Side of the output for an input of `side` pixels.
    pub fn output_side(self, side: usize) -> usize {
        match self {
            Self::Keep => side,
            Self::Halve => side.div_ceil(2),
            Self::Double => 2 * side,
        }
    }
}

impl Convolution {
    /// A 3x3 convolution.
    pub fn square(inputs: usize, outputs: usize, resample: Resample) -> Self {
        Self { inputs, outputs, kernel: 3, resample }
    }

    /// A 1x1 convolution: a linear map of the channels of each pixel.
    pub fn pointwise(inputs: usize, outputs: usize) -> Self {
        Self { inputs, outputs, kernel: 1, resample: Resample::Keep }
    }

    /// Number of weights, without the bias.
    pub fn weight_count(&self) -> usize {
        self.outputs * self.inputs * self.kernel * self.kernel
    }

    /// Side of the output for an input of `side` pixels.
    pub fn output_side(&self, side: usize) -> usize {
        self.resample.output_side(side)
    }
}
