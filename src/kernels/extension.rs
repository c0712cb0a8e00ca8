//! The fused operations as burn operations, for Flex and for Flex under autodiff. Activations are [`Planes`].

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
use burn_flex::FlexTensor;

use super::attention::{Attention, Probabilities};
use super::convolution::ParameterGradients;
use super::group_norm::{Affine, GroupNorm, Statistics};
use super::lanes::Chunk;
use super::planes::{Planes, contiguous, numbers, planes_tensor, vector_tensor};
use super::sums::image_sums;
use super::{Convolution, concatenate, convolution, resize, silu};

/// Operations that burn does not have. Their contract is that of the methods of [`super::Kernels`] with these names.
#[backend_extension(Autodiff, Flex)]
pub trait FusedOperations: Backend {
    fn fused_convolution(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        shape: Convolution,
    ) -> FloatTensor<Self>;

    fn fused_convolution_added(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        added: FloatTensor<Self>,
        shape: Convolution,
    ) -> FloatTensor<Self>;

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

    fn fused_halve(input: FloatTensor<Self>) -> FloatTensor<Self>;

    fn fused_double(input: FloatTensor<Self>) -> FloatTensor<Self>;

    fn fused_silu(input: FloatTensor<Self>) -> FloatTensor<Self>;

    fn fused_attention(input: FloatTensor<Self>, attention: Attention) -> FloatTensor<Self>;

    fn fused_concatenate(first: FloatTensor<Self>, second: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl FusedOperations for Flex {
    fn fused_convolution(input: FlexTensor, weight: FlexTensor, bias: FlexTensor, shape: Convolution) -> FlexTensor {
        convolve(&input, &weight, &bias, None, shape)
    }

    fn fused_convolution_added(
        input: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        added: FlexTensor,
        shape: Convolution,
    ) -> FlexTensor {
        convolve(&input, &weight, &bias, Some(&added), shape)
    }

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

    fn fused_concatenate(first: FlexTensor, second: FlexTensor) -> FlexTensor {
        let (first, second) = (Planes::new(&first), Planes::new(&second));
        let output = concatenate::forward(&first, &second);
        planes_tensor(output, first.height, first.width, first.channels + second.channels)
    }
}

fn convolve(
    input: &FlexTensor,
    weight: &FlexTensor,
    bias: &FlexTensor,
    added: Option<&FlexTensor>,
    shape: Convolution,
) -> FlexTensor {
    let (input, weight, bias) = (Planes::new(input), contiguous(weight), contiguous(bias));
    let added = added.map(Planes::new);
    let output = convolution::forward(shape, &input, numbers(&weight), numbers(&bias), added.as_ref());
    planes_tensor(output, shape.output_side(input.height), shape.output_side(input.width), shape.outputs)
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

fn halve(input: &FlexTensor, factor: f32) -> FlexTensor {
    let input = Planes::new(input);
    planes_tensor(resize::halve(&input, factor), input.height / 2, input.width / 2, input.channels)
}

fn double(input: &FlexTensor, factor: f32) -> FlexTensor {
    let input = Planes::new(input);
    planes_tensor(resize::double(&input, factor), 2 * input.height, 2 * input.width, input.channels)
}

fn attend(input: &FlexTensor, attention: Attention) -> (FlexTensor, Probabilities) {
    let input = Planes::new(input);
    let (output, probabilities) = attention.forward(&input);
    (planes_tensor(output, input.height, input.width, input.channels / 3), probabilities)
}

impl<C: CheckpointStrategy> FusedOperations for Autodiff<Flex, C> {
    fn fused_convolution(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        shape: Convolution,
    ) -> FloatTensor<Self> {
        let output = convolve(input.primitive(), weight.primitive(), bias.primitive(), None, shape);
        let parents = [input.node(), weight.node(), bias.node()];
        match ConvolutionBackward.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                prepared.finish((input.primitive().clone(), weight.primitive().clone(), shape), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn fused_convolution_added(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        added: FloatTensor<Self>,
        shape: Convolution,
    ) -> FloatTensor<Self> {
        let output = convolve(input.primitive(), weight.primitive(), bias.primitive(), Some(added.primitive()), shape);
        let parents = [input.node(), weight.node(), bias.node(), added.node()];
        match ConvolutionBackward.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let added_whole = added.primitive().layout().shape() == output.layout().shape();
                let state = (input.primitive().clone(), weight.primitive().clone(), shape, added_whole);
                prepared.finish(state, output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

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
        let (output, probabilities) = attend(input.primitive(), attention);
        match AttentionBackward.prepare::<C>([input.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                prepared.finish((input.primitive().clone(), probabilities, attention), output)
            }
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
struct ConvolutionBackward;

impl ConvolutionBackward {
    /// Registers the gradients of input, weight and bias; gives what is to be registered for what was added to each pixel.
    fn register(
        (input, weight, shape): (FlexTensor, FlexTensor, Convolution),
        gradient: &Planes,
        [input_node, weight_node, bias_node]: [Option<NodeId>; 3],
        gradients: &mut Gradients,
    ) -> Vec<Chunk> {
        let (input, weight) = (Planes::new(&input), contiguous(&weight));
        if let Some(node) = input_node {
            let values = convolution::input_gradient(shape, &input, numbers(&weight), gradient);
            gradients.register::<Flex>(node, input.tensor_of_shape(values));
        }
        let ParameterGradients { weights, pixel_sums } = convolution::parameter_gradients(shape, &input, gradient);
        if let Some(node) = weight_node {
            gradients.register::<Flex>(node, vector_tensor(weights));
        }
        if let Some(node) = bias_node {
            gradients.register::<Flex>(node, vector_tensor(image_sums(&pixel_sums, gradient.chunks)));
        }
        pixel_sums
    }
}

impl Backward<Flex, 3> for ConvolutionBackward {
    type State = (FlexTensor, FlexTensor, Convolution);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = Planes::new(&gradients.consume::<Flex>(&ops.node));
        let nodes = ops.parents.map(|node| Some(node?.id));
        Self::register(ops.state, &gradient, nodes, gradients);
    }
}

impl Backward<Flex, 4> for ConvolutionBackward {
    /// The last: whether what was added had the shape of the output, rather than one pixel.
    type State = (FlexTensor, FlexTensor, Convolution, bool);

    fn backward(self, ops: Ops<Self::State, 4>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient_tensor = gradients.consume::<Flex>(&ops.node);
        let (input, weight, shape, added_whole) = ops.state;
        let [input_node, weight_node, bias_node, added_node] = ops.parents.map(|node| Some(node?.id));
        let nodes = [input_node, weight_node, bias_node];
        let sums = Self::register((input, weight, shape), &Planes::new(&gradient_tensor), nodes, gradients);
        if let Some(node) = added_node {
            let added = if added_whole { gradient_tensor } else { planes_tensor(sums, 1, 1, shape.outputs) };
            gradients.register::<Flex>(node, added);
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
    type State = (FlexTensor, Probabilities, Attention);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = Planes::new(&gradients.consume::<Flex>(&ops.node));
        let (input, probabilities, attention) = ops.state;
        let input = Planes::new(&input);
        if let [Some(node)] = ops.parents {
            let values = attention.backward(&input, &probabilities, &gradient);
            gradients.register::<Flex>(node.id, input.tensor_of_shape(values));
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
