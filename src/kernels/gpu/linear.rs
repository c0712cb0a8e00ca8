//! Linear maps of the channels of each pixel, as products of matrices in all three passes. burn's convolutions of one pixel are products only where tuning
//! found them to be the fastest of up to thirteen kernels, for each pass and shape.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{FloatDType, Shape, Tensor};

use super::super::{Convolution, Products};
use super::sums::ImageKernels;
use super::{by_channel, by_pixel};

/// A convolution of one pixel. Images that lie pixel by pixel are not rearranged, and so lies the output.
pub fn linear(
    products: Products,
    shape: Convolution,
    input: Tensor<4>,
    weight: Tensor<1>,
    bias: Tensor<1>,
) -> Tensor<4> {
    let [batch, _, height, width] = input.dims();
    let rows = by_pixel(input).reshape([batch * height * width, shape.inputs]);
    let weight = weight.reshape([shape.outputs, shape.inputs]);
    let bias = bias.reshape([1, shape.outputs]);
    let (rows, weight, bias) = (rows.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    let output = Tensor::<2>::from_dispatch(Dispatch::device_linear(rows, weight, bias, products));
    by_channel(output.reshape([batch, height, width, shape.outputs]))
}

/// The map and its derivative.
#[backend_extension(
    Autodiff,
    Flex,
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    Fusion: cfg(any(feature = "wgpu", feature = "cuda"))
)]
pub trait DeviceLinear: Backend {
    /// `rows` `[rows, inputs]` times the transpose of `weight` `[outputs, inputs]`, and `bias` `[1, outputs]` in f32.
    #[fusion(default)]
    fn device_linear(
        rows: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        products: Products,
    ) -> FloatTensor<Self> {
        let [rows, weight] = [rows, weight].map(|factor| rounded::<Self>(factor, products));
        mapped::<Self>(rows, weight, bias, products)
    }
}

/// The map by factors that are [`rounded`].
fn mapped<B: Backend>(
    rows: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
    products: Products,
) -> FloatTensor<B> {
    B::float_add(product::<B>(rows, B::float_transpose(weight), products), bias)
}

/// A factor as it is multiplied.
pub fn rounded<B: Backend>(factor: FloatTensor<B>, products: Products) -> FloatTensor<B> {
    match products {
        Products::F32 => factor,
        Products::Bf16 => B::float_cast(factor, FloatDType::BF16),
    }
}

/// The product in f32 of two factors that are [`rounded`].
pub fn product<B: Backend>(left: FloatTensor<B>, right: FloatTensor<B>, products: Products) -> FloatTensor<B> {
    let product = B::float_matmul(left, right);
    match products {
        Products::F32 => product,
        Products::Bf16 => B::float_cast(product, FloatDType::F32),
    }
}

impl<B: ImageKernels, C: CheckpointStrategy> DeviceLinear for Autodiff<B, C> {
    fn device_linear(
        rows: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        products: Products,
    ) -> FloatTensor<Self> {
        let parents = [rows.node(), weight.node(), bias.node()];
        let bias = bias.primitive().clone();
        let [rows, weight] = [rows, weight].map(|factor| rounded::<B>(factor.primitive().clone(), products));
        let output = mapped::<B>(rows.clone(), weight.clone(), bias, products);
        match LinearBackward.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((rows, weight, products), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }
}

#[derive(Debug)]
struct LinearBackward;

impl<B: ImageKernels> Backward<B, 3> for LinearBackward {
    /// The factors as they were multiplied.
    type State = (FloatTensor<B>, FloatTensor<B>, Products);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (rows, weight, products) = ops.state;
        let [rows_node, weight_node, bias_node] = ops.parents;
        if let Some(node) = bias_node {
            let [count, outputs] = gradient.shape().dims();
            let pixels = B::float_reshape(gradient.clone(), Shape::from([count, outputs, 1, 1]));
            gradients.register::<B>(node.id, B::channel_totals(pixels, false));
        }
        let gradient = rounded::<B>(gradient, products);
        if let Some(node) = weight_node {
            let of_weight = product::<B>(B::float_transpose(gradient.clone()), rows, products);
            gradients.register::<B>(node.id, of_weight);
        }
        if let Some(node) = rows_node {
            gradients.register::<B>(node.id, product::<B>(gradient, weight, products));
        }
    }
}
