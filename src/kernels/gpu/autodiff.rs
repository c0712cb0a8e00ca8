use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, backend_extension};

#[cfg(any(feature = "wgpu", feature = "cuda"))]
use super::linear::rounded_spec;
use super::norm::{Norm, NormKernels};

/// A norm and its derivative.
#[backend_extension(
    Autodiff,
    Flex,
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    Fusion: cfg(any(feature = "wgpu", feature = "cuda"))
)]
pub trait DeviceNorms: Backend {
    /// The shapes are those of [`NormKernels`].
    #[fusion(meta = |input, _, _, norm| rounded_spec(input, norm.factor_of))]
    fn device_norm(
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        norm: Norm,
    ) -> FloatTensor<Self>;
}

impl<B: NormKernels, C: CheckpointStrategy> DeviceNorms for Autodiff<B, C> {
    fn device_norm(
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        norm: Norm,
    ) -> FloatTensor<Self> {
        let parents = [input.node(), scale.node(), shift.node()];
        let [input, scale, shift] = [input, scale, shift].map(|tensor| tensor.primitive().clone());
        let (output, statistics) = B::norm_forward(input.clone(), scale.clone(), shift.clone(), norm);
        match NormBackward.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(([input, scale, shift, statistics], norm), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }
}

#[derive(Debug)]
struct NormBackward;

impl<B: NormKernels> Backward<B, 3> for NormBackward {
    /// Input, scale, shift and statistics.
    type State = ([FloatTensor<B>; 4], Norm);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let ([input, scale, shift, statistics], norm) = ops.state;
        let (input, scale, shift) = B::norm_backward(gradient, input, scale, shift, statistics, norm);
        for (node, gradient) in ops.parents.into_iter().zip([input, scale, shift]) {
            if let Some(node) = node {
                gradients.register::<B>(node.id, gradient);
            }
        }
    }
}
