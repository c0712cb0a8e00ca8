//! Layers of frozen networks, as files of weights hold them.

use super::tensors::WeightsError;
use crate::kernels::Products;
use crate::kernels::frozen::{Activation, FrozenConvolution, FrozenDepthwise, Window};

/// The source of a network's weights: it gives the tensor with this name and this shape.
pub type TensorSource<'s> = &'s dyn Fn(&str, &[usize]) -> Result<Vec<f32>, WeightsError>;

/// All batch norms of both networks.
const EPSILON: f64 = 1e-3;

/// A convolution without bias, then a batch norm, then an activation.
pub struct Normalised<'s> {
    pub source: TensorSource<'s>,
    /// What the convolution multiplies; a depthwise one multiplies f32.
    pub products: Products,
    /// The names of the convolution and of the norm.
    pub convolution: String,
    pub norm: String,
    pub window: Window,
    pub activation: Activation,
}

impl Normalised<'_> {
    /// A convolution from `inputs` to `outputs` channels.
    pub fn convolution(self, inputs: usize, outputs: usize) -> Result<FrozenConvolution, WeightsError> {
        let Window { height, width, .. } = self.window;
        let (weight, bias) = self.folded(&[outputs, inputs, height, width])?;
        Ok(FrozenConvolution::new(self.window, inputs, self.products, &weight, bias, self.activation))
    }

    /// A convolution of each of `channels` channels on its own.
    pub fn depthwise(self, channels: usize) -> Result<FrozenDepthwise, WeightsError> {
        let Window { height, width, .. } = self.window;
        let (weight, bias) = self.folded(&[channels, 1, height, width])?;
        Ok(FrozenDepthwise::new(self.window, &weight, bias, self.activation))
    }

    /// Weights and bias that do what the convolution and the norm do together (Ioffe and Szegedy 2015, arXiv 1502.03167,
    /// section 3.1).
    fn folded(&self, shape: &[usize]) -> Result<(Vec<f32>, Vec<f32>), WeightsError> {
        let outputs = shape[0];
        let mut weight = (self.source)(&format!("{}.weight", self.convolution), shape)?;
        let norm = |name: &str| (self.source)(&format!("{}.{name}", self.norm), &[outputs]);
        let (scale, shift) = (norm("weight")?, norm("bias")?);
        let (mean, variance) = (norm("running_mean")?, norm("running_var")?);
        let mut bias = Vec::with_capacity(outputs);
        for (output, weight) in weight.chunks_exact_mut(shape[1..].iter().product()).enumerate() {
            let factor = f64::from(scale[output]) / (f64::from(variance[output]) + EPSILON).sqrt();
            weight.iter_mut().for_each(|weight| *weight = (f64::from(*weight) * factor) as f32);
            bias.push((f64::from(shift[output]) - f64::from(mean[output]) * factor) as f32);
        }
        Ok((weight, bias))
    }
}
