//! Tokens taken out of a row and put back, as burn operations, for Flex and for Flex under autodiff.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
use burn_flex::FlexTensor;

use super::planes::{Planes, planes_tensor};
use super::token_choice::TokenChoice;

/// Operations that burn does not have. Their contract is that of the methods of [`super::Kernels`] with these names.
#[backend_extension(Autodiff, Flex)]
pub trait TokenChoiceOperations: Backend {
    fn fused_take_tokens(row: FloatTensor<Self>, choice: TokenChoice) -> FloatTensor<Self>;

    fn fused_put_tokens(row: FloatTensor<Self>, taken: FloatTensor<Self>, choice: TokenChoice) -> FloatTensor<Self>;
}

impl TokenChoiceOperations for Flex {
    fn fused_take_tokens(row: FlexTensor, choice: TokenChoice) -> FlexTensor {
        let row = Planes::new(&row);
        planes_tensor(choice.take(&row), 1, choice.count(), row.channels)
    }

    fn fused_put_tokens(row: FlexTensor, taken: FlexTensor, choice: TokenChoice) -> FlexTensor {
        let row = Planes::new(&row);
        row.tensor_of_shape(choice.put(&row, &Planes::new(&taken)))
    }
}

impl<C: CheckpointStrategy> TokenChoiceOperations for Autodiff<Flex, C> {
    fn fused_take_tokens(row: FloatTensor<Self>, choice: TokenChoice) -> FloatTensor<Self> {
        let output = Flex::fused_take_tokens(row.primitive().clone(), choice.clone());
        match TakeBackward.prepare::<C>([row.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(choice, output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn fused_put_tokens(row: FloatTensor<Self>, taken: FloatTensor<Self>, choice: TokenChoice) -> FloatTensor<Self> {
        let output = Flex::fused_put_tokens(row.primitive().clone(), taken.primitive().clone(), choice.clone());
        match PutBackward.prepare::<C>([row.node(), taken.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(choice, output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }
}

#[derive(Debug)]
struct TakeBackward;

impl Backward<Flex, 1> for TakeBackward {
    type State = TokenChoice;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = Planes::new(&gradients.consume::<Flex>(&ops.node));
        if let [Some(node)] = ops.parents {
            let values = ops.state.put_in_zeros(&gradient);
            gradients.register::<Flex>(node.id, planes_tensor(values, 1, ops.state.tokens(), gradient.channels));
        }
    }
}

#[derive(Debug)]
struct PutBackward;

impl Backward<Flex, 2> for PutBackward {
    type State = TokenChoice;

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = Planes::new(&gradients.consume::<Flex>(&ops.node));
        let [row_node, taken_node] = ops.parents;
        if let Some(node) = row_node {
            gradients.register::<Flex>(node.id, gradient.tensor_of_shape(ops.state.put_zeros(&gradient)));
        }
        if let Some(node) = taken_node {
            let values = ops.state.take(&gradient);
            gradients.register::<Flex>(node.id, planes_tensor(values, 1, ops.state.count(), gradient.channels));
        }
    }
}
