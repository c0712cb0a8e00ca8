use burn::tensor::activation::relu;
use burn::tensor::module::{avg_pool2d, conv2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, TensorData};

use super::layer::{Activation, FrozenConvolution, FrozenDepthwise};
use super::window::Window;
use super::{FrozenKernels, Operation, Part};

/// Frozen networks in burn's own operations. Planes are `[images, channels, height, width]`.
#[derive(Clone, Debug)]
pub struct PlainFrozen {
    pub device: Device,
}

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
        let weight = self.tensor(&layer.weight, [outputs, window.height, window.width, inputs]);
        self.convolved(window, input, weight.permute([0, 3, 1, 2]), &layer.bias, 1)
    }

    fn depthwise(&self, layer: &FrozenDepthwise, input: Tensor<4>) -> Tensor<4> {
        let FrozenDepthwise { window, channels, .. } = *layer;
        let weight = self.tensor(&layer.weight, [window.height, window.width, channels, 1]);
        self.convolved(window, input, weight.permute([2, 3, 0, 1]), &layer.bias, channels)
    }

    fn convolved(&self, window: Window, input: Tensor<4>, weight: Tensor<4>, bias: &[f32], groups: usize) -> Tensor<4> {
        let options = ConvOptions::new_with_padding([window.stride; 2], padding(window, &input), [1; 2], groups);
        let bias = Tensor::from_data(TensorData::new(bias.to_vec(), [bias.len()]), &self.device);
        conv2d(input, weight, Some(bias), options)
    }

    fn tensor(&self, values: &[f32], shape: [usize; 4]) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &self.device)
    }
}

fn padding(window: Window, input: &Tensor<4>) -> [(usize, usize); 2] {
    let [_, _, height, width] = input.dims();
    window.padding(height, width)
}
