//! Group normalization as burn operations, for Flex and for Flex under autodiff. Activations are [`Planes`].

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
use burn_flex::FlexTensor;

use super::group_norm::{Affine, GroupNorm, Statistics};
use super::planes::{Planes, contiguous, numbers, vector_tensor};

/// Operations that burn does not have. Their contract is that of the methods of [`super::Kernels`] with these names.
#[backend_extension(Autodiff, Flex)]
pub trait GroupNormOperations: Backend {
    fn fused_group_norm(
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        norm: GroupNorm,
    ) -> FloatTensor<Self>;

    fn fused_group_norm_modulated(
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        modulation: FloatTensor<Self>,
        norm: GroupNorm,
    ) -> FloatTensor<Self>;
}

impl GroupNormOperations for Flex {
    fn fused_group_norm(input: FlexTensor, scale: FlexTensor, shift: FlexTensor, norm: GroupNorm) -> FlexTensor {
        normalize(&input, &scale, &shift, None, norm).0
    }

    fn fused_group_norm_modulated(
        input: FlexTensor,
        scale: FlexTensor,
        shift: FlexTensor,
        modulation: FlexTensor,
        norm: GroupNorm,
    ) -> FlexTensor {
        normalize(&input, &scale, &shift, Some(&modulation), norm).0
    }
}

fn normalize(
    input: &FlexTensor,
    scale: &FlexTensor,
    shift: &FlexTensor,
    modulation: Option<&FlexTensor>,
    norm: GroupNorm,
) -> (FlexTensor, Statistics) {
    let (input, scale, shift) = (Planes::new(input), contiguous(scale), contiguous(shift));
    let modulation = modulation.map(Planes::new);
    let modulation = modulation.as_ref().map(Planes::values);
    let affine = Affine { scale: numbers(&scale), shift: numbers(&shift), modulation };
    let (output, statistics) = norm.forward(&input, affine);
    (input.tensor_of_shape(output), statistics)
}

impl<C: CheckpointStrategy> GroupNormOperations for Autodiff<Flex, C> {
    fn fused_group_norm(
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        norm: GroupNorm,
    ) -> FloatTensor<Self> {
        let (output, statistics) = normalize(input.primitive(), scale.primitive(), shift.primitive(), None, norm);
        let parents = [input.node(), scale.node(), shift.node()];
        match GroupNormBackward.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let [input, scale, shift] = [input, scale, shift].map(|tensor| tensor.primitive().clone());
                prepared.finish((input, scale, shift, statistics, norm), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn fused_group_norm_modulated(
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        modulation: FloatTensor<Self>,
        norm: GroupNorm,
    ) -> FloatTensor<Self> {
        let tensors = [&input, &scale, &shift, &modulation].map(|tensor| tensor.primitive());
        let (output, statistics) = normalize(tensors[0], tensors[1], tensors[2], Some(tensors[3]), norm);
        let parents = [input.node(), scale.node(), shift.node(), modulation.node()];
        match GroupNormBackward.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((tensors.map(Clone::clone), statistics, norm), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }
}

#[derive(Debug)]
struct GroupNormBackward;

impl Backward<Flex, 3> for GroupNormBackward {
    type State = (FlexTensor, FlexTensor, FlexTensor, Statistics, GroupNorm);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = Planes::new(&gradients.consume::<Flex>(&ops.node));
        let (input, scale, shift, statistics, norm) = ops.state;
        let (input, scale, shift) = (Planes::new(&input), contiguous(&scale), contiguous(&shift));
        let affine = Affine { scale: numbers(&scale), shift: numbers(&shift), modulation: None };
        let result = norm.backward(&input, affine, &statistics, &gradient);
        let [input_node, scale_node, shift_node] = ops.parents;
        if let Some(node) = input_node {
            gradients.register::<Flex>(node.id, input.tensor_of_shape(result.input));
        }
        if let Some(node) = scale_node {
            gradients.register::<Flex>(node.id, vector_tensor(result.scale));
        }
        if let Some(node) = shift_node {
            gradients.register::<Flex>(node.id, vector_tensor(result.shift));
        }
    }
}

impl Backward<Flex, 4> for GroupNormBackward {
    /// Input, scale, shift and modulation.
    type State = ([FlexTensor; 4], Statistics, GroupNorm);

    fn backward(self, ops: Ops<Self::State, 4>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = Planes::new(&gradients.consume::<Flex>(&ops.node));
        let ([input, scale, shift, modulation], statistics, norm) = ops.state;
        let (input, scale, shift) = (Planes::new(&input), contiguous(&scale), contiguous(&shift));
        let modulation = Planes::new(&modulation);
        let affine = Affine { scale: numbers(&scale), shift: numbers(&shift), modulation: Some(modulation.values()) };
        let result = norm.backward(&input, affine, &statistics, &gradient);
        let [input_node, scale_node, shift_node, modulation_node] = ops.parents;
        if let Some(node) = input_node {
            gradients.register::<Flex>(node.id, input.tensor_of_shape(result.input));
        }
        if let Some(node) = scale_node {
            gradients.register::<Flex>(node.id, vector_tensor(result.scale));
        }
        if let Some(node) = shift_node {
            gradients.register::<Flex>(node.id, vector_tensor(result.shift));
        }
        if let Some(node) = modulation_node {
            gradients.register::<Flex>(node.id, modulation.tensor_of_shape(result.modulation));
        }
    }
}
