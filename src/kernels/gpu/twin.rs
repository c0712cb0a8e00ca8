//! The operations in plain loops on the host.

use burn::backend::ops::FloatTensorOps;
use burn::backend::{DType, Flex, TensorMetadata};
use burn::tensor::{Bytes, Shape};
use burn_flex::{FlexTensor, Layout};

use super::super::planes::{contiguous, numbers};
use super::autodiff::DeviceNorms;
use super::images::DeviceImages;
use super::linear::{DeviceLinear, of_factor, rounded};
use super::mask::{DrawnMask, MaskKernels};
use super::norm::{Norm, NormKernels, Over};
use super::parts::{Part, PartKernels};
use super::sums::ImageKernels;
use super::tensors::Tensors;
use super::update::UpdateKernels;
use crate::random::{Draws, Stream};

pub fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape.into()), DType::F32)
}

/// Where a value of images `[batch, channels, pixels]` lies.
struct Place {
    /// Among all values.
    index: usize,
    /// Of its mean among the means.
    mean: usize,
    /// Among `[batch, channels]`.
    channel: usize,
}

impl Norm {
    fn places(self, [batch, channels, height, width]: [usize; 4]) -> impl Iterator<Item = Place> {
        let pixels = height * width;
        (0..batch * channels * pixels).map(move |index| {
            let (channel, pixel) = (index / pixels, index % pixels);
            let (image, of_image) = (channel / channels, channel % channels);
            let mean = match self.over {
                Over::Groups(groups) => image * groups + of_image / (channels / groups),
                Over::Channels => image * pixels + pixel,
            };
            Place { index, mean, channel }
        })
    }
}

/// One number of each channel and image, from `[batch or 1, channels]`.
fn of_channels(tensor: &FlexTensor, batch: usize) -> Vec<f32> {
    let tensor = contiguous(tensor);
    let times = if tensor.shape()[0] == 1 { batch } else { 1 };
    numbers(&tensor).repeat(times)
}

/// In f32.
pub fn whole(tensor: FlexTensor) -> FlexTensor {
    of_factor::<Flex>(tensor, false)
}

fn sigmoid(value: f32) -> f32 {
    1.0 / (1.0 + (-value).exp())
}

impl NormKernels for Flex {
    fn norm_forward(input: FlexTensor, scale: FlexTensor, shift: FlexTensor, norm: Norm) -> (FlexTensor, FlexTensor) {
        let shape = input.shape().dims();
        let (input, scale, shift) = (contiguous(&input), of_channels(&scale, shape[0]), of_channels(&shift, shape[0]));
        let input = numbers(&input);
        let means = norm.means(shape);
        let count = (input.len() / means) as f64;
        let mut sums = vec![0.0; means];
        norm.places(shape).for_each(|place| sums[place.mean] += f64::from(input[place.index]) / count);
        let mut variances = vec![0.0; means];
        norm.places(shape).for_each(|place| {
            variances[place.mean] += (f64::from(input[place.index]) - sums[place.mean]).powi(2) / count;
        });
        let inverse = |variance: f64| (1.0 / (variance + f64::from(norm.epsilon)).sqrt()) as f32;
        let statistics: Vec<f32> =
            sums.iter().zip(variances).flat_map(|(&mean, variance)| [mean as f32, inverse(variance)]).collect();
        let output = norm.places(shape).map(|Place { index, mean, channel }| {
            let normalized = (input[index] - statistics[2 * mean]) * statistics[2 * mean + 1];
            let value = normalized * scale[channel] + shift[channel];
            if norm.silu { value * sigmoid(value) } else { value }
        });
        let output = rounded::<Self>(tensor(output.collect(), shape), norm.factor_of);
        (output, tensor(statistics, [means, 2]))
    }

    fn norm_backward(
        gradient: FlexTensor,
        input: FlexTensor,
        scale: FlexTensor,
        shift: FlexTensor,
        statistics: FlexTensor,
        norm: Norm,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let shape: [usize; 4] = input.shape().dims();
        let [gradient, input, statistics] = [whole(gradient), input, statistics].map(|tensor| contiguous(&tensor));
        let (gradient, input, statistics) = (numbers(&gradient), numbers(&input), numbers(&statistics));
        // `[batch, channels]`, or `[1, channels]`, whose gradient is the sum over the batch.
        let given: [usize; 2] = scale.shape().dims();
        let (scale, shift) = (of_channels(&scale, shape[0]), of_channels(&shift, shape[0]));
        let normalized =
            |place: &Place| (input[place.index] - statistics[2 * place.mean]) * statistics[2 * place.mean + 1];
        // Before SiLU.
        let before = |place: &Place| {
            if !norm.silu {
                return gradient[place.index];
            }
            let value = normalized(place) * scale[place.channel] + shift[place.channel];
            let share = sigmoid(value);
            gradient[place.index] * share * (1.0 + value * (1.0 - share))
        };
        let count = input.len() / norm.means(shape);
        let mut sums = vec![[0.0; 2]; norm.means(shape)];
        let mut of_channels = vec![[0.0; 2]; scale.len()];
        for place in norm.places(shape) {
            let products = [before(&place), before(&place) * normalized(&place)].map(f64::from);
            for (index, product) in products.into_iter().enumerate() {
                of_channels[place.channel][index] += product;
                sums[place.mean][index] += product * f64::from(scale[place.channel]) / count as f64;
            }
        }
        let of_input = norm.places(shape).map(|place| {
            let [mean, along] = sums[place.mean].map(|sum| sum as f32);
            statistics[2 * place.mean + 1] * (before(&place) * scale[place.channel] - mean - normalized(&place) * along)
        });
        let of_input = tensor(of_input.collect(), shape);
        let [shifts, scales] = [0, 1].map(|index| {
            let mut totals = vec![0.0; given[0] * given[1]];
            let count = totals.len();
            for (place, sums) in of_channels.iter().enumerate() {
                totals[place % count] += sums[index];
            }
            tensor(totals.into_iter().map(|total| total as f32).collect(), given)
        });
        (of_input, scales, shifts)
    }
}

impl DeviceNorms for Flex {
    fn device_norm(input: FlexTensor, scale: FlexTensor, shift: FlexTensor, norm: Norm) -> FlexTensor {
        Self::norm_forward(input, scale, shift, norm).0
    }
}

impl ImageKernels for Flex {
    fn channel_totals(images: FlexTensor, of_each: bool) -> FlexTensor {
        let [batch, channels, height, width] = images.shape().dims();
        let images = contiguous(&images);
        let rows = if of_each { batch } else { 1 };
        let mut totals = vec![0.0; rows * channels];
        for (plane, values) in numbers(&images).chunks_exact(height * width).enumerate() {
            let total: f64 = values.iter().copied().map(f64::from).sum();
            totals[if of_each { plane } else { plane % channels }] += total;
        }
        tensor(totals.into_iter().map(|total| total as f32).collect(), [rows, channels])
    }

    fn channel_products(images: FlexTensor, factors: FlexTensor) -> FlexTensor {
        Self::channel_totals(Self::float_mul(images, factors), true)
    }

    fn with_bias(product: FlexTensor, bias: FlexTensor) -> FlexTensor {
        let channels = bias.shape()[1];
        Self::float_add(whole(product), Self::float_reshape(bias, [1, channels, 1, 1].into()))
    }

    fn channels_apart(images: FlexTensor, channels: usize) -> (FlexTensor, FlexTensor) {
        let [batch, all, height, width] = images.shape().dims();
        let images = contiguous(&images);
        let [mut first, mut second] = [Vec::new(), Vec::new()];
        for image in numbers(&images).chunks_exact(all * height * width) {
            let (of_first, of_second) = image.split_at(channels * height * width);
            first.extend_from_slice(of_first);
            second.extend_from_slice(of_second);
        }
        (tensor(first, [batch, channels, height, width]), tensor(second, [batch, all - channels, height, width]))
    }
}

impl DeviceImages for Flex {
    fn device_concatenate(first: FlexTensor, second: FlexTensor) -> FlexTensor {
        Self::float_cat(vec![first, second], 1)
    }
}

impl DeviceLinear for Flex {}

impl MaskKernels for Flex {
    fn device_dropout_mask(step: FlexTensor, mask: DrawnMask) -> FlexTensor {
        let step = contiguous(&step);
        let [remainder, quotient] = [0, 1].map(|index| numbers(&step)[index] as u64);
        let step = (quotient << 16) + remainder;
        let mut draws = Draws::new(mask.seed, Stream::Dropout, (step << 16) + u64::from(mask.layer));
        let mut values = vec![0.0; mask.shape.iter().product()];
        draws.fill_of_words(&mut values, |word| if word < mask.threshold { 0.0 } else { mask.kept });
        tensor(values, mask.shape)
    }
}

impl UpdateKernels for Flex {
    fn device_update(
        weights: FlexTensor,
        first: FlexTensor,
        second: FlexTensor,
        average: FlexTensor,
        gradient: FlexTensor,
        factors: FlexTensor,
        clipped: FlexTensor,
        rates: FlexTensor,
        scaled: [bool; 2],
    ) -> (FlexTensor, FlexTensor, FlexTensor, FlexTensor) {
        let values = |tensor: FlexTensor| numbers(&contiguous(&tensor)).to_vec();
        let [mut weights, mut first, mut second, mut average] = [weights, first, second, average].map(values);
        let [gradient, factors, clipped, rates] = [gradient, factors, clipped, rates].map(values);
        for index in 0..weights.len() {
            let value = if scaled[0] { gradient[index] * clipped[0] } else { gradient[index] };
            let step_size = if scaled[1] { rates[index] * factors[4] } else { factors[4] };
            first[index] = first[index] * factors[0] + value * factors[1];
            second[index] = second[index] * factors[2] + value * factors[3] * value;
            weights[index] = weights[index] * factors[7]
                - first[index] * step_size / (second[index].sqrt() * factors[5] + factors[6]);
            average[index] += (weights[index] - average[index]) * factors[8];
        }
        let count = weights.len();
        let [weights, first, second, average] = [weights, first, second, average].map(|values| tensor(values, [count]));
        (weights, first, second, average)
    }
}

impl PartKernels for Flex {
    fn device_apart(row: FlexTensor, parts: Vec<Part>) -> Tensors<Self> {
        let mut start = 0;
        let part = |Part { values, factor_of }| {
            let part = Self::float_slice(row.clone(), &[(start..start + values).into()]);
            start += values;
            rounded::<Self>(part, factor_of)
        };
        Tensors(parts.into_iter().map(part).collect())
    }

    fn device_joined(parts: Tensors<Self>) -> FlexTensor {
        Self::float_cat(parts.0.into_iter().map(whole).collect(), 0)
    }
}
