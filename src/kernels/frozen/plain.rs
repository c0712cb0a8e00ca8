use std::sync::OnceLock;

use burn::tensor::activation::relu;
use burn::tensor::module::{avg_pool2d, conv2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, TensorData};

use super::layer::{Activation, FrozenConvolution, FrozenDepthwise, Weights};
use super::window::Window;
use super::{FrozenKernels, Operation, Part};
use crate::kernels::has_tf32;

/// Frozen networks in burn's own operations. Planes are `[images, channels, height, width]`.
#[derive(Clone, Debug)]
pub struct PlainFrozen {
    device: Device,
    /// Whether the factors of convolutions are split in two, so that rounding them to TF32 loses nothing that matters.
    splits: bool,
}

/// A layer's weights and bias on a device.
pub(super) type OnDevice = OnceLock<(Tensor<4>, Tensor<1>)>;

impl FrozenKernels for PlainFrozen {
    type Planes = Tensor<4>;

    fn enter(&self, images: &[Vec<f32>], [height, width, channels]: [usize; 3]) -> Tensor<4> {
        let data = TensorData::new(images.concat(), [images.len(), height, width, channels]);
        Tensor::<4>::from_data(data, &self.device).permute([0, 3, 1, 2])
    }

    fn join(&self, parts: &[Part<'_, Tensor<4>>]) -> Tensor<4> {
        Tensor::cat(parts.iter().map(|part| self.result(part)).collect(), 1)
    }

    fn means(&self, planes: &Tensor<4>, count: usize) -> Vec<f32> {
        let means = planes.clone().narrow(0, 0, count).mean_dim(3).mean_dim(2);
        means.into_data().try_into_vec::<f32>().expect("features are computed in f32")
    }

    fn values(&self, planes: &Tensor<4>, count: usize, channels: usize) -> Vec<f32> {
        let first = planes.clone().narrow(0, 0, count).narrow(1, 0, channels).permute([0, 2, 3, 1]);
        first.into_data().try_into_vec::<f32>().expect("features are computed in f32")
    }
}

impl PlainFrozen {
    /// For `device`, of layers with products of f32. They keep their weights there: a network is for one device.
    pub fn new(device: &Device) -> Self {
        Self { device: device.clone(), splits: has_tf32(device) }
    }

    #[cfg(test)]
    pub fn that_splits(device: &Device) -> Self {
        Self { splits: true, ..Self::new(device) }
    }

    fn result(&self, part: &Part<'_, Tensor<4>>) -> Tensor<4> {
        let input = part.input.clone();
        let (output, activation) = match part.operation {
            Operation::Convolution(layer) => (self.convolution(layer, input), layer.activation),
            Operation::Depthwise(layer) => (self.depthwise(layer, input), layer.activation),
            Operation::MaxPool(window) => {
                let options = MaxPoolOptions::new([window.height, window.width]).with_stride([window.stride; 2]);
                let options = options.with_padding_pairs(padding(window, &input));
                (max_pool2d(input, options), Activation::None)
            }
            Operation::AveragePool(window) => {
                let mut options = AvgPoolOptions::new([window.height, window.width]).with_stride([window.stride; 2]);
                options.padding = padding(window, &input);
                options.count_include_pad = false;
                (avg_pool2d(input, options), Activation::None)
            }
        };
        let output = match part.added {
            Some(added) => output + added.clone(),
            None => output,
        };
        match activation {
            Activation::None => output,
            Activation::Relu => relu(output),
            Activation::Relu6 => output.clamp(0.0, 6.0),
        }
    }

    fn convolution(&self, layer: &FrozenConvolution, input: Tensor<4>) -> Tensor<4> {
        let FrozenConvolution { window, inputs, outputs, .. } = *layer;
        let make = || {
            let Weights::F32(words) = &layer.weights else { panic!("frozen networks in bf16 are the CPU's") };
            let weight = self.tensor(&words.taps, [outputs, window.height, window.width, inputs]);
            let weight = weight.permute([0, 3, 1, 2]);
            let weight = if self.splits { split_weights(weight) } else { weight };
            (weight, self.vector(&layer.bias))
        };
        let (weight, bias) = layer.on_device.get_or_init(make);
        let padding = padding(window, &input);
        let input = if self.splits { split_input(input) } else { input };
        let options = ConvOptions::new_with_padding([window.stride; 2], padding, [1; 2], 1);
        conv2d(input, weight.clone(), Some(bias.clone()), options)
    }

    fn depthwise(&self, layer: &FrozenDepthwise, input: Tensor<4>) -> Tensor<4> {
        let FrozenDepthwise { window, channels, .. } = *layer;
        let make = || {
            let weight = self.tensor(&layer.weight, [window.height, window.width, channels, 1]);
            (weight.permute([2, 3, 0, 1]), self.vector(&layer.bias))
        };
        let (weight, bias) = layer.on_device.get_or_init(make);
        let options = ConvOptions::new_with_padding([window.stride; 2], padding(window, &input), [1; 2], channels);
        conv2d(input, weight.clone(), Some(bias.clone()), options)
    }

    fn tensor(&self, values: &[f32], shape: [usize; 4]) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &self.device)
    }

    fn vector(&self, values: &[f32]) -> Tensor<1> {
        Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), &self.device)
    }
}

/// Tensor cores round the factors of a product to the 11 bits of TF32, and add up in f32. So x = high + low, both of so many bits:
/// x w = high w_high + high w_low + low w_high, and what is left out is 2^-22 of it. The three are one sum over three times the
/// channels: those of [`split_input`] times those of [`split_weights`].
fn split(values: Tensor<4>) -> [Tensor<4>; 2] {
    // Dekker 1971 (doi 10.1007/BF01397083): 2^13 + 1 leaves the upper 11 of 24 bits.
    let scaled = values.clone() * 8193.0;
    let high = scaled.clone() - (scaled - values.clone());
    [high.clone(), values - high]
}

/// `[images, 3 channels, height, width]`
fn split_input(input: Tensor<4>) -> Tensor<4> {
    let [high, low] = split(input);
    Tensor::cat(vec![high.clone(), high, low], 1)
}

/// `[outputs, 3 inputs, height, width]`
fn split_weights(weight: Tensor<4>) -> Tensor<4> {
    let [high, low] = split(weight);
    Tensor::cat(vec![high.clone(), low, high], 1)
}

fn padding(window: Window, input: &Tensor<4>) -> [(usize, usize); 2] {
    let [_, _, height, width] = input.dims();
    window.padding(height, width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Draws, Stream};

    #[test]
    fn halves_of_a_split_are_exact_and_fit_into_tf32() {
        let mut values = vec![0.0; 4096];
        Draws::new(5, Stream::Noise, 0).fill_normal(&mut values);
        values.extend([0.0, 1.0, -1.0, 6.0, 255.0, 1e-20, 3e4]);
        let shape = [1, 1, 1, values.len()];
        let halves = split(Tensor::from_data(TensorData::new(values.clone(), shape), &Device::flex()));
        let [high, low] = halves.map(|half| half.into_data().try_into_vec::<f32>().unwrap());
        let mut has_low = 0;
        for ((value, high), low) in values.iter().zip(&high).zip(&low) {
            assert_eq!(high + low, *value);
            assert_eq!(high.to_bits() & 0x1fff, 0, "{value}: the lower 13 of 23 bits of {high}");
            // What TF32 loses of the rest.
            assert!(low.abs() <= value.abs() * 2f32.powi(-11), "{value} = {high} + {low}");
            has_low += usize::from(*low != 0.0);
        }
        assert!(has_low > 4000);
    }
}
