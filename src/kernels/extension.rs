//! The fused operations without weights as burn operations, for Flex and for Flex under autodiff. Activations are
//! [`Planes`].

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
use burn_flex::FlexTensor;

use super::attention::{Attention, Normalizers};
use super::planes::{Planes, Storage, planes_tensor, stored_tensor};
use super::{concatenate, resize, silu, storage};

/// Operations that burn does not have. Their contract is that of the methods of [`super::Kernels`] with these names.
#[backend_extension(Autodiff, Flex)]
pub trait FusedOperations: Backend {
    fn fused_halve(input: FloatTensor<Self>) -> FloatTensor<Self>;

    fn fused_double(input: FloatTensor<Self>) -> FloatTensor<Self>;

    fn fused_silu(input: FloatTensor<Self>) -> FloatTensor<Self>;

    fn fused_attention(input: FloatTensor<Self>, attention: Attention) -> FloatTensor<Self>;

    fn fused_whole(input: FloatTensor<Self>) -> FloatTensor<Self>;

    fn fused_concatenate(first: FloatTensor<Self>, second: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl FusedOperations for Flex {
    fn fused_halve(input: FlexTensor) -> FlexTensor {
        halve(&input, 1.0)
    }

    fn fused_double(input: FlexTensor) -> FlexTensor {
        double(&input, 1.0)
    }

    fn fused_silu(input: FlexTensor) -> FlexTensor {
        let input = Planes::new(&input);
        input.tensor_of_shape(silu::forward(input.values()))
    }

    fn fused_attention(input: FlexTensor, attention: Attention) -> FlexTensor {
        attend(&input, attention).0
    }

    fn fused_whole(input: FlexTensor) -> FlexTensor {
        let input = Planes::stored(&input);
        stored_tensor(storage::to_f32(&input), [input.height, input.width, input.channels], Storage::F32)
    }

    fn fused_concatenate(first: FlexTensor, second: FlexTensor) -> FlexTensor {
        let (first, second) = (Planes::new(&first), Planes::new(&second));
        let output = concatenate::forward(&first, &second);
        planes_tensor(output, first.height, first.width, first.channels + second.channels)
    }
}

fn halve(input: &FlexTensor, factor: f32) -> FlexTensor {
    let input = Planes::new(input);
    planes_tensor(resize::halve(&input, factor), input.height / 2, input.width / 2, input.channels)
}

fn double(input: &FlexTensor, factor: f32) -> FlexTensor {
    let input = Planes::new(input);
    planes_tensor(resize::double(&input, factor), 2 * input.height, 2 * input.width, input.channels)
}

fn attend(input: &FlexTensor, attention: Attention) -> (FlexTensor, Normalizers) {
    let input = Planes::stored(input);
    let (output, normalizers) = attention.forward(&input);
    (stored_tensor(output, [input.height, input.width, input.channels / 3], input.storage), normalizers)
}

impl<C: CheckpointStrategy> FusedOperations for Autodiff<Flex, C> {
    fn fused_halve(input: FloatTensor<Self>) -> FloatTensor<Self> {
        let output = halve(input.primitive(), 1.0);
        match HalveBackward.prepare::<C>([input.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn fused_double(input: FloatTensor<Self>) -> FloatTensor<Self> {
        let output = double(input.primitive(), 1.0);
        match DoubleBackward.prepare::<C>([input.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn fused_silu(input: FloatTensor<Self>) -> FloatTensor<Self> {
        let output = Flex::fused_silu(input.primitive().clone());
        match SiluBackward.prepare::<C>([input.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(input.primitive().clone(), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn fused_attention(input: FloatTensor<Self>, attention: Attention) -> FloatTensor<Self> {
        let (output, normalizers) = attend(input.primitive(), attention);
        match AttentionBackward.prepare::<C>([input.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((input.primitive().clone(), normalizers, attention), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn fused_whole(input: FloatTensor<Self>) -> FloatTensor<Self> {
        let output = Flex::fused_whole(input.primitive().clone());
        match WholeBackward.prepare::<C>([input.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn fused_concatenate(first: FloatTensor<Self>, second: FloatTensor<Self>) -> FloatTensor<Self> {
        let output = Flex::fused_concatenate(first.primitive().clone(), second.primitive().clone());
        match ConcatenateBackward.prepare::<C>([first.node(), second.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(Planes::new(first.primitive()).channels, output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }
}

#[derive(Debug)]
struct HalveBackward;

impl Backward<Flex, 1> for HalveBackward {
    type State = ();

    fn backward(self, ops: Ops<(), 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node);
        if let [Some(node)] = ops.parents {
            gradients.register::<Flex>(node.id, double(&gradient, 0.25));
        }
    }
}

#[derive(Debug)]
struct DoubleBackward;

impl Backward<Flex, 1> for DoubleBackward {
    type State = ();

    fn backward(self, ops: Ops<(), 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node);
        if let [Some(node)] = ops.parents {
            gradients.register::<Flex>(node.id, halve(&gradient, 4.0));
        }
    }
}

#[derive(Debug)]
struct SiluBackward;

impl Backward<Flex, 1> for SiluBackward {
    type State = FlexTensor;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = Planes::new(&gradients.consume::<Flex>(&ops.node));
        let input = Planes::new(&ops.state);
        if let [Some(node)] = ops.parents {
            let values = silu::backward(input.values(), gradient.values());
            gradients.register::<Flex>(node.id, input.tensor_of_shape(values));
        }
    }
}

#[derive(Debug)]
struct AttentionBackward;

impl Backward<Flex, 1> for AttentionBackward {
    type State = (FlexTensor, Normalizers, Attention);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = Planes::stored(&gradients.consume::<Flex>(&ops.node));
        let (input, normalizers, attention) = ops.state;
        let input = Planes::stored(&input);
        if let [Some(node)] = ops.parents {
            let values = attention.backward(&input, &normalizers, &gradient);
            gradients.register::<Flex>(node.id, input.tensor_of_shape(values));
        }
    }
}

#[derive(Debug)]
struct WholeBackward;

impl Backward<Flex, 1> for WholeBackward {
    type State = ();

    fn backward(self, ops: Ops<(), 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = Planes::new(&gradients.consume::<Flex>(&ops.node));
        if let [Some(node)] = ops.parents {
            let shape = [gradient.height, gradient.width, gradient.channels];
            let words = storage::to_bf16(&gradient);
            gradients.register::<Flex>(node.id, stored_tensor(words, shape, Storage::Bf16));
        }
    }
}

#[derive(Debug)]
struct ConcatenateBackward;

impl Backward<Flex, 2> for ConcatenateBackward {
    /// Channels of the first.
    type State = usize;

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = Planes::new(&gradients.consume::<Flex>(&ops.node));
        let (first_channels, &Planes { height, width, channels, .. }) = (ops.state, &gradient);
        let (first, second) = concatenate::backward(&gradient, first_channels);
        let [first_node, second_node] = ops.parents;
        if let Some(node) = first_node {
            gradients.register::<Flex>(node.id, planes_tensor(first, height, width, first_channels));
        }
        if let Some(node) = second_node {
            gradients.register::<Flex>(node.id, planes_tensor(second, height, width, channels - first_channels));
        }
    }
}
