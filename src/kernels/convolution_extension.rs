//! Convolutions as burn operations, for Flex and for Flex under autodiff. Activations are [`Planes`].

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
use burn_flex::FlexTensor;

use super::convolution::ParameterGradients;
use super::lanes::Chunk;
use super::planes::{Planes, Storage, contiguous, numbers, planes_tensor, stored_tensor, vector_tensor};
use super::sums::image_sums;
use super::{Convolution, Products, convolution};

/// Operations that burn does not have. Their contract is that of the methods of [`super::Kernels`] with these names.
#[backend_extension(Autodiff, Flex)]
pub trait ConvolutionOperations: Backend {
    fn fused_convolution(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        shape: Convolution,
        means: (Products, Storage),
    ) -> FloatTensor<Self>;

    fn fused_convolution_added(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        added: FloatTensor<Self>,
        shape: Convolution,
        products: Products,
    ) -> FloatTensor<Self>;
}

impl ConvolutionOperations for Flex {
    fn fused_convolution(
        input: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        shape: Convolution,
        means: (Products, Storage),
    ) -> FlexTensor {
        convolve(&input, &weight, &bias, None, (shape, means))
    }

    fn fused_convolution_added(
        input: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        added: FlexTensor,
        shape: Convolution,
        products: Products,
    ) -> FlexTensor {
        convolve(&input, &weight, &bias, Some(&added), (shape, (products, Storage::F32)))
    }
}

/// What is computed, of which products, and how the output is stored.
type By = (Convolution, (Products, Storage));

fn convolve(
    input: &FlexTensor,
    weight: &FlexTensor,
    bias: &FlexTensor,
    added: Option<&FlexTensor>,
    (shape, means): By,
) -> FlexTensor {
    let (input, weight, bias) = (Planes::stored(input), contiguous(weight), contiguous(bias));
    let added = added.map(Planes::new);
    let output = convolution::forward(shape, means, &input, numbers(&weight), numbers(&bias), added.as_ref());
    let (height, width) = (shape.output_side(input.height), shape.output_side(input.width));
    stored_tensor(output, [height, width, shape.outputs], means.1)
}

impl<C: CheckpointStrategy> ConvolutionOperations for Autodiff<Flex, C> {
    fn fused_convolution(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        shape: Convolution,
        means: (Products, Storage),
    ) -> FloatTensor<Self> {
        let by = (shape, means);
        let output = convolve(input.primitive(), weight.primitive(), bias.primitive(), None, by);
        let parents = [input.node(), weight.node(), bias.node()];
        match ConvolutionBackward.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                prepared.finish((input.primitive().clone(), weight.primitive().clone(), by), output)
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
        products: Products,
    ) -> FloatTensor<Self> {
        let by = (shape, (products, Storage::F32));
        let output = convolve(input.primitive(), weight.primitive(), bias.primitive(), Some(added.primitive()), by);
        let parents = [input.node(), weight.node(), bias.node(), added.node()];
        match ConvolutionBackward.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let added_whole = added.primitive().layout().shape() == output.layout().shape();
                let state = (input.primitive().clone(), weight.primitive().clone(), by, added_whole);
                prepared.finish(state, output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }
}

#[derive(Debug)]
struct ConvolutionBackward;

impl ConvolutionBackward {
    /// Registers the gradients of input, weight and bias; gives what is to be registered for what was added to each pixel.
    fn register(
        (input, weight, (shape, (products, _))): (FlexTensor, FlexTensor, By),
        gradient: &Planes,
        [input_node, weight_node, bias_node]: [Option<NodeId>; 3],
        gradients: &mut Gradients,
    ) -> Vec<Chunk> {
        let (input, weight) = (Planes::stored(&input), contiguous(&weight));
        if let Some(node) = input_node {
            let values = convolution::input_gradient(shape, products, &input, numbers(&weight), gradient);
            gradients.register::<Flex>(node, input.tensor_of_shape(values));
        }
        let ParameterGradients { weights, pixel_sums } =
            convolution::parameter_gradients(shape, products, &input, gradient);
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
    type State = (FlexTensor, FlexTensor, By);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = Planes::stored(&gradients.consume::<Flex>(&ops.node));
        let nodes = ops.parents.map(|node| Some(node?.id));
        Self::register(ops.state, &gradient, nodes, gradients);
    }
}

impl Backward<Flex, 4> for ConvolutionBackward {
    /// The last: whether what was added had the shape of the output, rather than one pixel.
    type State = (FlexTensor, FlexTensor, By, bool);

    fn backward(self, ops: Ops<Self::State, 4>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient_tensor = gradients.consume::<Flex>(&ops.node);
        let (input, weight, by, added_whole) = ops.state;
        let [input_node, weight_node, bias_node, added_node] = ops.parents.map(|node| Some(node?.id));
        let nodes = [input_node, weight_node, bias_node];
        let sums = Self::register((input, weight, by), &Planes::new(&gradient_tensor), nodes, gradients);
        if let Some(node) = added_node {
            let added = if added_whole { gradient_tensor } else { planes_tensor(sums, 1, 1, by.0.outputs) };
            gradients.register::<Flex>(node, added);
        }
    }
}
