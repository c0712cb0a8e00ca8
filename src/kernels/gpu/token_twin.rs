//! The operations of attention and of curves in plain loops on the host.

use burn::backend::{Flex, TensorMetadata};
use burn_flex::FlexTensor;

use super::super::Products;
use super::super::planes::{contiguous, numbers};
use super::activation::{ActivationKernels, Curve, DeviceActivation};
use super::attention::{AttentionKernels, DeviceAttention, forward};
use super::linear::rounded;
use super::tensors::Tensors;
use super::twin::{tensor, whole};

impl Curve {
    fn of(self, value: f32) -> f32 {
        match self {
            Self::Silu => value / (1.0 + (-value).exp()),
            Self::GeluTanh => 0.5 * value * (1.0 + inner(value).tanh()),
        }
    }

    fn slope(self, value: f32) -> f32 {
        match self {
            Self::Silu => {
                let share = 1.0 / (1.0 + (-value).exp());
                share * (1.0 + value * (1.0 - share))
            }
            Self::GeluTanh => {
                let inner_slope = ROOT * (1.0 + 3.0 * 0.044_715 * value.powi(2));
                let tanh = inner(value).tanh();
                0.5 * (1.0 + tanh) + 0.5 * value * (1.0 - tanh.powi(2)) * inner_slope
            }
        }
    }
}

/// The root of 2 / pi.
const ROOT: f32 = 0.797_884_6;

fn inner(value: f32) -> f32 {
    ROOT * (value + 0.044_715 * value.powi(3))
}

impl DeviceActivation for Flex {
    fn device_activate(input: FlexTensor, curve: Curve, factor_of: Products) -> FlexTensor {
        let input = contiguous(&input);
        let output = tensor(numbers(&input).iter().map(|&value| curve.of(value)).collect(), input.shape());
        rounded::<Self>(output, factor_of)
    }
}

impl ActivationKernels for Flex {
    fn activate_backward(gradient: FlexTensor, input: FlexTensor, curve: Curve) -> FlexTensor {
        let (gradient, input) = (contiguous(&whole(gradient)), contiguous(&input));
        let pairs = numbers(&gradient).iter().zip(numbers(&input));
        tensor(pairs.map(|(gradient, &value)| gradient * curve.slope(value)).collect(), input.shape())
    }
}

/// The places in images `[batch, parts, heads, of_head, pixels]` of the numbers of a part, in the order of `[batch, heads, pixels, of_head]`.
fn places(part: usize, parts: usize, [batch, heads, pixels, of_head]: [usize; 4]) -> impl Iterator<Item = usize> {
    let heads = (0..batch).flat_map(move |image| (0..heads).map(move |head| (image * parts + part) * heads + head));
    heads.flat_map(move |head| {
        (0..pixels).flat_map(move |pixel| (0..of_head).map(move |within| (head * of_head + within) * pixels + pixel))
    })
}

impl AttentionKernels for Flex {
    fn heads_apart(images: FlexTensor, parts: usize, heads: usize, factor_of: Products) -> Tensors<Self> {
        let [batch, channels, height, width] = images.shape().dims();
        let images = contiguous(&images);
        let shape = [batch, heads, height * width, channels / parts / heads];
        let of_part = |part| {
            let values = places(part, parts, shape).map(|place| numbers(&images)[place]).collect();
            rounded::<Self>(tensor(values, shape), factor_of)
        };
        Tensors((0..parts).map(of_part).collect())
    }

    fn heads_joined(parts: Tensors<Self>, [height, width]: [usize; 2]) -> FlexTensor {
        let shape: [usize; 4] = parts.0[0].shape().dims();
        let [batch, heads, pixels, of_head] = shape;
        let all = parts.0.len();
        let mut values = vec![0.0; all * batch * heads * pixels * of_head];
        for (part, of_part) in parts.0.iter().enumerate() {
            let of_part = contiguous(&whole(of_part.clone()));
            for (place, &value) in places(part, all, shape).zip(numbers(&of_part)) {
                values[place] = value;
            }
        }
        tensor(values, [batch, all * heads * of_head, height, width])
    }

    fn scaled_softmax(scores: FlexTensor, scale: f32) -> FlexTensor {
        let shape: [usize; 4] = scores.shape().dims();
        let scores = contiguous(&whole(scores));
        let rows = numbers(&scores).chunks_exact(shape[3]).flat_map(|row| {
            let largest = row.iter().map(|score| score * scale).fold(f32::NEG_INFINITY, f32::max);
            let powers: Vec<f32> = row.iter().map(|score| (score * scale - largest).exp()).collect();
            let sum: f32 = powers.iter().sum();
            powers.into_iter().map(move |power| power / sum)
        });
        tensor(rows.collect(), shape)
    }

    fn scaled_softmax_backward(
        gradient: FlexTensor,
        shares: FlexTensor,
        scale: f32,
        factor_of: Products,
    ) -> FlexTensor {
        let shape: [usize; 4] = shares.shape().dims();
        let (gradient, shares) = (contiguous(&whole(gradient)), contiguous(&shares));
        let rows = numbers(&gradient).chunks_exact(shape[3]).zip(numbers(&shares).chunks_exact(shape[3]));
        let of_scores = rows.flat_map(|(gradient, shares)| {
            let mean: f32 = gradient.iter().zip(shares).map(|(gradient, share)| gradient * share).sum();
            gradient.iter().zip(shares).map(move |(gradient, share)| scale * share * (gradient - mean))
        });
        rounded::<Self>(tensor(of_scores.collect(), shape), factor_of)
    }
}

impl DeviceAttention for Flex {
    fn device_attention(input: FlexTensor, heads: usize, products: Products) -> FlexTensor {
        forward::<Self>(input, heads, products)
    }
}
