use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use super::super::Products;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
use super::linear::rounded_spec;

/// A function of each number by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// x / (1 + e^-x).
    Silu,
    /// x times about the share of a standard normal below x (Hendrycks and Gimpel 2016, arXiv 1606.08415, section 2).
    GeluTanh,
}

/// The curve of each number of images, rounded as a factor of such products.
pub fn activate(factor_of: Products, input: Tensor<4>, curve: Curve) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::device_activate(input.into_dispatch(), curve, factor_of))
}

/// The derivative's pass.
#[backend_extension(
    Flex,
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    Fusion: cfg(any(feature = "wgpu", feature = "cuda"))
)]
pub trait ActivationKernels: Backend {
    /// `gradient`, in f32 or rounded, times the slope of the curve at each number of `input`, both `[batch, channels, height, width]`.
    #[fusion(dtype = input, shape = input)]
    fn activate_backward(gradient: FloatTensor<Self>, input: FloatTensor<Self>, curve: Curve) -> FloatTensor<Self>;
}

/// The curve and its derivative.
#[backend_extension(
    Autodiff,
    Flex,
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    Fusion: cfg(any(feature = "wgpu", feature = "cuda"))
)]
pub trait DeviceActivation: Backend {
    /// See [`activate`].
    #[fusion(meta = |input, _, factor_of| rounded_spec(input, *factor_of))]
    fn device_activate(input: FloatTensor<Self>, curve: Curve, factor_of: Products) -> FloatTensor<Self>;
}

impl<B: DeviceActivation + ActivationKernels, C: CheckpointStrategy> DeviceActivation for Autodiff<B, C> {
    fn device_activate(input: FloatTensor<Self>, curve: Curve, factor_of: Products) -> FloatTensor<Self> {
        let node = input.node();
        let input = input.primitive().clone();
        let output = B::device_activate(input.clone(), curve, factor_of);
        match ActivationBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((input, curve), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }
}

#[derive(Debug)]
struct ActivationBackward;

impl<B: ActivationKernels> Backward<B, 1> for ActivationBackward {
    type State = (FloatTensor<B>, Curve);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (input, curve) = ops.state;
        if let [Some(node)] = ops.parents {
            gradients.register::<B>(node.id, B::activate_backward(gradient, input, curve));
        }
    }
}
