//! Operations of images whose gradients burn would rearrange images for: the bias of a convolution, a vector for each image, channels beside
//! channels.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
#[cfg(any(feature = "wgpu", feature = "cuda"))]
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, DType, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{FloatDType, Shape, Tensor};

use super::super::{Convolution, Products, Resample, plain};
use super::linear::{linear, of_factor, rounded};
use super::sums::ImageKernels;

/// See [`super::super::Kernels::convolution`].
pub fn convolution(
    products: Products,
    shape: Convolution,
    input: Tensor<4>,
    weight: Tensor<1>,
    bias: Tensor<1>,
) -> Tensor<4> {
    if shape.kernel == 1 && shape.resample == Resample::Keep {
        return linear(products, shape, input, weight, bias);
    }
    // The gradients of what is doubled are added up in f32.
    let doubled = shape.resample == Resample::Double && products == Products::Bf16;
    let input = if doubled { input.cast(FloatDType::F32) } else { input };
    let (input, weight, options) = plain::convolved(shape, input, weight);
    let [input, weight, bias] = [input.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()];
    Tensor::from_dispatch(Dispatch::device_convolution(input, weight, bias, options, products))
}

/// See [`super::super::Kernels::convolution_added`].
pub fn added(images: Tensor<4>, added: Tensor<4>) -> Tensor<4> {
    if added.dims() == images.dims() { images + added } else { with_vectors(images, added) }
}

/// `vectors` are `[batch or 1, channels, 1, 1]`.
fn with_vectors(images: Tensor<4>, vectors: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::device_with_vectors(images.into_dispatch(), vectors.into_dispatch()))
}

/// See [`super::super::Kernels::concatenate`].
pub fn concatenate(first: Tensor<4>, second: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::device_concatenate(first.into_dispatch(), second.into_dispatch()))
}

/// See [`super::super::Kernels::gated_sum`].
pub fn gated_sum(kept: Tensor<4>, gate: Tensor<4>, branch: Tensor<4>) -> Tensor<4> {
    let [kept, gate, branch] = [kept, gate, branch].map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::device_gated_sum(kept, gate, branch))
}

/// Operations and their derivatives.
#[backend_extension(
    Autodiff,
    Flex,
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    Fusion: cfg(any(feature = "wgpu", feature = "cuda"))
)]
pub trait DeviceImages: Backend {
    /// burn's convolution, whose bias has a gradient of our own. `input` may be [`rounded`]; the result is f32.
    #[fusion(default)]
    fn device_convolution(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions<2>,
        products: Products,
    ) -> FloatTensor<Self> {
        if products == Products::F32 {
            return Self::conv2d(input, weight, Some(bias), options);
        }
        let [input, weight] = [input, weight].map(|factor| rounded::<Self>(factor, products));
        let channels = bias.shape()[0];
        let bias = Self::float_reshape(bias, Shape::from([1, channels, 1, 1]));
        Self::float_add(of_factor::<Self>(Self::conv2d(input, weight, None, options), false), bias)
    }

    /// `images`, `[batch, channels, height, width]`, and to each of its pixels `vectors`, `[batch or 1, channels, 1, 1]`.
    #[fusion(default)]
    fn device_with_vectors(images: FloatTensor<Self>, vectors: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_add(images, vectors)
    }

    /// `kept + gate * branch`; `gate` is `[batch, channels, 1, 1]`.
    #[fusion(default)]
    fn device_gated_sum(
        kept: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        branch: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        Self::float_add(kept, Self::float_mul(branch, gate))
    }

    /// The channels of `first`, then those of `second`, of images of one size.
    #[fusion(meta = |first, second| joined(first, second))]
    fn device_concatenate(first: FloatTensor<Self>, second: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The convolution of factors that are [`rounded`], in fewer launches.
fn convolved<B: ImageKernels>(
    input: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
    options: ConvOptions<2>,
    products: Products,
) -> FloatTensor<B> {
    match products {
        Products::F32 => B::conv2d(input, weight, Some(bias), options),
        Products::Bf16 => {
            let channels = bias.shape()[0];
            let bias = B::float_reshape(bias, Shape::from([1, channels]));
            B::with_bias(B::conv2d(input, weight, None, options), bias)
        }
    }
}

/// What fused operations are told of images that are still to be joined.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn joined(first: &TensorSpec, second: &TensorSpec) -> TensorSpec {
    let [batch, channels, height, width] = first.shape.dims();
    let others = second.shape.dims::<4>()[1];
    TensorSpec::new(Shape::from([batch, channels + others, height, width]), first.dtype)
}

impl<B: DeviceImages + ImageKernels, C: CheckpointStrategy> DeviceImages for Autodiff<B, C> {
    fn device_convolution(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions<2>,
        products: Products,
    ) -> FloatTensor<Self> {
        let parents = [input.node(), weight.node(), bias.node()];
        let was_rounded = input.dtype() == DType::BF16;
        let [input, weight, bias] = [input, weight, bias].map(|tensor| tensor.primitive().clone());
        let [input, weight] = [input, weight].map(|factor| rounded::<B>(factor, products));
        let output = convolved::<B>(input.clone(), weight.clone(), bias, options.clone(), products);
        match ConvolutionBackward.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((input, weight, options, products, was_rounded), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn device_with_vectors(images: FloatTensor<Self>, vectors: FloatTensor<Self>) -> FloatTensor<Self> {
        let parents = [images.node(), vectors.node()];
        let [images, vectors] = [images, vectors].map(|tensor| tensor.primitive().clone());
        let of_each = vectors.shape()[0] != 1;
        let output = B::device_with_vectors(images, vectors);
        match WithVectorsBackward.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(of_each, output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn device_gated_sum(
        kept: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        branch: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let parents = [kept.node(), gate.node(), branch.node()];
        let [kept, gate, branch] = [kept, gate, branch].map(|tensor| tensor.primitive().clone());
        let output = B::device_gated_sum(kept, gate.clone(), branch.clone());
        match GatedSumBackward.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((gate, branch), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn device_concatenate(first: FloatTensor<Self>, second: FloatTensor<Self>) -> FloatTensor<Self> {
        let parents = [first.node(), second.node()];
        let [first, second] = [first, second].map(|tensor| tensor.primitive().clone());
        let channels = first.shape()[1];
        let output = B::device_concatenate(first, second);
        match ConcatenateBackward.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(channels, output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }
}

#[derive(Debug)]
struct ConvolutionBackward;

impl<B: ImageKernels> Backward<B, 3> for ConvolutionBackward {
    /// Input and weight as they were multiplied, and whether the input had been rounded before.
    type State = (FloatTensor<B>, FloatTensor<B>, ConvOptions<2>, Products, bool);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (input, weight, options, products, was_rounded) = ops.state;
        let [input_node, weight_node, bias_node] = ops.parents;
        if let Some(node) = bias_node {
            let channels = gradient.shape()[1];
            let totals = B::channel_totals(gradient.clone(), false);
            gradients.register::<B>(node.id, B::float_reshape(totals, Shape::from([channels])));
        }
        let gradient = rounded::<B>(gradient, products);
        if let Some(node) = input_node {
            let of_input = B::conv2d_x_backward(input.clone(), weight.clone(), gradient.clone(), options.clone());
            gradients.register::<B>(node.id, of_factor::<B>(of_input, was_rounded));
        }
        if let Some(node) = weight_node {
            let of_weight = B::conv2d_weight_backward(input, weight, gradient, options);
            gradients.register::<B>(node.id, of_weight);
        }
    }
}

#[derive(Debug)]
struct WithVectorsBackward;

impl<B: ImageKernels> Backward<B, 2> for WithVectorsBackward {
    /// Whether each image had a vector of its own.
    type State = bool;

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let [images_node, vectors_node] = ops.parents;
        if let Some(node) = vectors_node {
            let totals = B::channel_totals(gradient.clone(), ops.state);
            let [images, channels] = totals.shape().dims();
            gradients.register::<B>(node.id, B::float_reshape(totals, Shape::from([images, channels, 1, 1])));
        }
        if let Some(node) = images_node {
            gradients.register::<B>(node.id, gradient);
        }
    }
}

#[derive(Debug)]
struct GatedSumBackward;

impl<B: ImageKernels> Backward<B, 3> for GatedSumBackward {
    /// Gate and branch.
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (gate, branch) = ops.state;
        let [kept_node, gate_node, branch_node] = ops.parents;
        if let Some(node) = gate_node {
            let products = B::channel_products(gradient.clone(), branch);
            gradients.register::<B>(node.id, B::float_reshape(products, gate.shape()));
        }
        if let Some(node) = branch_node {
            gradients.register::<B>(node.id, B::float_mul(gradient.clone(), gate));
        }
        if let Some(node) = kept_node {
            gradients.register::<B>(node.id, gradient);
        }
    }
}

#[derive(Debug)]
struct ConcatenateBackward;

impl<B: ImageKernels> Backward<B, 2> for ConcatenateBackward {
    /// The channels of the first.
    type State = usize;

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (first, second) = B::channels_apart(gradient, ops.state);
        for (node, gradient) in ops.parents.into_iter().zip([first, second]) {
            if let Some(node) = node {
                gradients.register::<B>(node.id, gradient);
            }
        }
    }
}
