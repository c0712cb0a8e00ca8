//! The operations in burn's own terms, for any device. Activations are `[batch, channels, height, width]`.

use burn::tensor::activation::{gelu as exact_gelu, sigmoid, silu, softmax};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{FloatDType, Int, Tensor, TensorData};

use super::group_norm::GroupNorm;
use super::{Convolution, Gelu, Resample, TokenChoice};

/// See [`super::Kernels::convolution`].
pub fn convolution(shape: Convolution, input: Tensor<4>, weight: Tensor<1>, bias: Tensor<1>) -> Tensor<4> {
    let (input, weight, options) = convolved(shape, input, weight);
    conv2d(input, weight, Some(bias), options)
}

/// [`convolution`] of bf16; the bias is added in f32.
pub fn convolution_bf16(shape: Convolution, input: Tensor<4>, weight: Tensor<1>, bias: Tensor<1>) -> Tensor<4> {
    let (input, weight, options) = convolved(shape, input, weight);
    let product = conv2d(input.cast(FloatDType::BF16), weight.cast(FloatDType::BF16), None, options);
    product.cast(FloatDType::F32) + bias.reshape([1, shape.outputs, 1, 1])
}

/// The input and the weights of the convolution, and its options.
pub fn convolved(shape: Convolution, input: Tensor<4>, weight: Tensor<1>) -> (Tensor<4>, Tensor<4>, ConvOptions<2>) {
    let weight = weight.reshape([shape.outputs, shape.inputs, shape.kernel, shape.kernel]);
    let (input, stride) = match shape.resample {
        Resample::Keep => (input, 1),
        Resample::Halve => (input, 2),
        Resample::Double => (double(input), 1),
    };
    let padding = shape.kernel / 2;
    (input, weight, ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1))
}

/// See [`super::Kernels::group_norm`].
pub fn group_norm(input: Tensor<4>, scale: Tensor<1>, shift: Tensor<1>, norm: GroupNorm) -> Tensor<4> {
    let GroupNorm { groups, silu: activate, epsilon } = norm;
    let [batch, channels, height, width] = input.dims();
    assert!(channels.is_multiple_of(groups), "{groups} groups do not divide {channels} channels");
    let grouped = input.reshape([batch, groups, channels / groups * height * width]);
    let centered = grouped.clone() - grouped.mean_dim(2);
    let variance = centered.clone().square().mean_dim(2);
    let normalized = (centered / (variance + epsilon).sqrt()).reshape([batch, channels, height, width]);
    let output = normalized * scale.reshape([1, channels, 1, 1]) + shift.reshape([1, channels, 1, 1]);
    if activate { silu(output) } else { output }
}

/// See [`super::Kernels::group_norm_modulated`].
pub fn group_norm_modulated(
    input: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    modulation: Tensor<4>,
    norm: GroupNorm,
) -> Tensor<4> {
    let channels = input.dims()[1];
    let normalized = group_norm(input, scale, shift, GroupNorm { silu: false, ..norm });
    let modulating_scale = modulation.clone().narrow(1, 0, channels);
    let output = normalized * (modulating_scale + 1.0) + modulation.narrow(1, channels, channels);
    if norm.silu { silu(output) } else { output }
}

/// See [`super::Kernels::halve`].
pub fn halve(input: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = input.dims();
    assert!(height.is_multiple_of(2) && width.is_multiple_of(2), "planes of {height}x{width} pixels cannot be halved");
    let squares = input.reshape([batch * channels, height / 2, 2, width / 2, 2]);
    squares.mean_dim(4).mean_dim(2).reshape([batch, channels, height / 2, width / 2])
}

/// See [`super::Kernels::layer_norm`].
pub fn layer_norm(input: Tensor<4>, scale: Tensor<1>, shift: Tensor<1>, epsilon: f32) -> Tensor<4> {
    let channels = input.dims()[1];
    normalized(input, epsilon) * scale.reshape([1, channels, 1, 1]) + shift.reshape([1, channels, 1, 1])
}

/// See [`super::Kernels::modulated_norm`].
pub fn modulated_norm(input: Tensor<4>, scale: Tensor<4>, shift: Tensor<4>, epsilon: f32) -> Tensor<4> {
    normalized(input, epsilon) * (scale + 1.0) + shift
}

/// Mean 0 and variance 1 over the channels of each pixel.
fn normalized(input: Tensor<4>, epsilon: f32) -> Tensor<4> {
    let centered = input.clone() - input.mean_dim(1);
    let variance = centered.clone().square().mean_dim(1);
    centered / (variance + epsilon).sqrt()
}

/// See [`super::Kernels::gelu`].
pub fn gelu(input: Tensor<4>, gelu: Gelu) -> Tensor<4> {
    match gelu {
        Gelu::Exact => exact_gelu(input),
        Gelu::Tanh => {
            let cubic = input.clone() + input.clone().square() * input.clone() * 0.044_715;
            input * ((cubic * (2.0 / std::f64::consts::PI).sqrt()).tanh() + 1.0) * 0.5
        }
        Gelu::Quick => input.clone() * sigmoid(input * 1.702),
    }
}

/// See [`super::Kernels::add_image`].
pub fn add_image(input: Tensor<4>, image: Tensor<1>) -> Tensor<4> {
    let [_, channels, height, width] = input.dims();
    input + image.reshape([1, height, width, channels]).permute([0, 3, 1, 2])
}

/// See [`super::Kernels::take_tokens`].
pub fn take_tokens(row: Tensor<4>, choice: &TokenChoice) -> Tensor<4> {
    assert_eq!([row.dims()[0], row.dims()[3]], [choice.images(), choice.tokens()], "a choice of these tokens");
    let places = of_all_channels(choice.places(), &row);
    row.gather(3, places)
}

/// See [`super::Kernels::put_tokens`].
pub fn put_tokens(row: Tensor<4>, taken: Tensor<4>, choice: &TokenChoice) -> Tensor<4> {
    assert_eq!([row.dims()[0], row.dims()[3]], [choice.images(), choice.tokens()], "a choice of these tokens");
    let sources = of_all_channels(&choice.sources(), &row);
    Tensor::cat(vec![row, taken], 3).gather(3, sources)
}

/// `[images, places]` as `[images, channels, 1, places]`, with the channels of `row`.
fn of_all_channels(places: &[u32], row: &Tensor<4>) -> Tensor<4, Int> {
    let [images, channels, ..] = row.dims();
    let count = places.len() / images;
    let places: Vec<i32> = places.iter().map(|&place| place as i32).collect();
    let device = row.device().without_autodiff();
    Tensor::<4, Int>::from_data(TensorData::new(places, [images, 1, 1, count]), &device)
        .expand([images, channels, 1, count])
}

/// See [`super::Kernels::attention`].
pub fn attention(input: Tensor<4>, heads: usize) -> Tensor<4> {
    attention_by(|left, right| left.matmul(right), input, heads)
}

/// [`attention`] of bf16; the softmax is f32.
pub fn attention_bf16(input: Tensor<4>, heads: usize) -> Tensor<4> {
    let product = |left: Tensor<4>, right: Tensor<4>| {
        left.cast(FloatDType::BF16).matmul(right.cast(FloatDType::BF16)).cast(FloatDType::F32)
    };
    attention_by(product, input, heads)
}

fn attention_by(product: impl Fn(Tensor<4>, Tensor<4>) -> Tensor<4>, input: Tensor<4>, heads: usize) -> Tensor<4> {
    let [batch, channels, height, width] = input.dims();
    let (pixels, outputs) = (height * width, channels / 3);
    assert!(channels == 3 * outputs && outputs.is_multiple_of(heads), "{heads} heads do not divide {channels} / 3");
    // [batch, (q, k, v) and heads, channels of a head, pixels]
    let parts = input.reshape([batch, 3 * heads, outputs / heads, pixels]);
    let part = |index: usize| parts.clone().narrow(1, index * heads, heads);
    let (queries, keys, values) = (part(0), part(1), part(2));
    let scores = product(queries.swap_dims(2, 3), keys) / ((outputs / heads) as f64).sqrt();
    let attended = product(values, softmax(scores, 3).swap_dims(2, 3));
    attended.reshape([batch, outputs, height, width])
}

/// See [`super::Kernels::double`].
pub fn double(input: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = input.dims();
    input.reshape([batch * channels, height, 1, width, 1]).repeat(&[1, 1, 2, 1, 2]).reshape([
        batch,
        channels,
        2 * height,
        2 * width,
    ])
}
