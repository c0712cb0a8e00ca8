//! Linear maps of the channels of each pixel, as products of matrices in all three passes. burn's convolutions of one pixel are products only where tuning
//! found them to be the fastest of up to thirteen kernels, for each pass and shape.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
#[cfg(any(feature = "wgpu", feature = "cuda"))]
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, DType, Dispatch, TensorMetadata, backend_extension};
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
    /// `rows` `[rows, inputs]`, which may be [`rounded`], times the transpose of `weight` `[outputs, inputs]`, and `bias` `[1, outputs]`, in f32.
    #[fusion(default)]
    fn device_linear(
        rows: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        products: Products,
    ) -> FloatTensor<Self> {
        let [rows, weight] = [rows, weight].map(|factor| rounded::<Self>(factor, products));
        let product = Self::float_matmul(rows, Self::float_transpose(weight));
        Self::float_add(of_factor::<Self>(product, false), bias)
    }
}

/// The map by factors that are [`rounded`], in fewer launches.
fn mapped<B: ImageKernels>(
    rows: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
    products: Products,
) -> FloatTensor<B> {
    let product = B::float_matmul(rows, B::float_transpose(weight));
    match products {
        Products::F32 => B::float_add(product, bias),
        Products::Bf16 => {
            let [rows, outputs] = product.shape().dims();
            let product = B::float_reshape(product, Shape::from([rows, outputs, 1, 1]));
            B::float_reshape(B::with_bias(product, bias), Shape::from([rows, outputs]))
        }
    }
}

/// A factor as it is multiplied.
pub fn rounded<B: Backend>(factor: FloatTensor<B>, products: Products) -> FloatTensor<B> {
    match products {
        Products::Bf16 if factor.dtype() != DType::BF16 => B::float_cast(factor, FloatDType::BF16),
        Products::F32 | Products::Bf16 => factor,
    }
}

/// What is true of a tensor once it is [`rounded`].
#[cfg(any(feature = "wgpu", feature = "cuda"))]
pub fn rounded_spec(of: &TensorSpec, products: Products) -> TensorSpec {
    match products {
        Products::F32 => of.clone(),
        Products::Bf16 => TensorSpec::new(of.shape.clone(), DType::BF16),
    }
}

/// A product, or the gradient of a factor: as it is where it is of something that was rounded, else in f32.
pub fn of_factor<B: Backend>(product: FloatTensor<B>, was_rounded: bool) -> FloatTensor<B> {
    if was_rounded || product.dtype() == DType::F32 { product } else { B::float_cast(product, FloatDType::F32) }
}

impl<B: ImageKernels, C: CheckpointStrategy> DeviceLinear for Autodiff<B, C> {
    fn device_linear(
        rows: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        products: Products,
    ) -> FloatTensor<Self> {
        let parents = [rows.node(), weight.node(), bias.node()];
        let was_rounded = rows.dtype() == DType::BF16;
        let bias = bias.primitive().clone();
        let [rows, weight] = [rows, weight].map(|factor| rounded::<B>(factor.primitive().clone(), products));
        let output = mapped::<B>(rows.clone(), weight.clone(), bias, products);
        match LinearBackward.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((rows, weight, products, was_rounded), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }
}

#[derive(Debug)]
struct LinearBackward;

impl<B: ImageKernels> Backward<B, 3> for LinearBackward {
    /// The factors as they were multiplied, and whether the rows had been rounded before.
    type State = (FloatTensor<B>, FloatTensor<B>, Products, bool);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (rows, weight, products, was_rounded) = ops.state;
        let [rows_node, weight_node, bias_node] = ops.parents;
        if let Some(node) = bias_node {
            let [count, outputs] = gradient.shape().dims();
            let pixels = B::float_reshape(gradient.clone(), Shape::from([count, outputs, 1, 1]));
            gradients.register::<B>(node.id, B::channel_totals(pixels, false));
        }
        let gradient = rounded::<B>(gradient, products);
        if let Some(node) = weight_node {
            let of_weight = B::float_matmul(B::float_transpose(gradient.clone()), rows);
            // It is joined with those of all parameters, whatever their type.
            gradients.register::<B>(node.id, of_weight);
        }
        if let Some(node) = rows_node {
            let of_rows = B::float_matmul(gradient, weight);
            gradients.register::<B>(node.id, of_factor::<B>(of_rows, was_rounded));
        }
    }
}
