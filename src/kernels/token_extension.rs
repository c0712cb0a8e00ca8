//! The fused operations of transformers as burn operations, for Flex and for Flex under autodiff.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
use burn_flex::FlexTensor;

use super::gelu::Gelu;
use super::lanes::{Chunk, LANES};
use super::layer_norm::{LayerNorm, Statistics};
use super::planes::{Planes, contiguous, numbers, planes_tensor, stored_tensor, vector_tensor};
use super::{gated_sum, gelu, image_sum, sums};

/// Operations that burn does not have. Their contract is that of the methods of [`super::Kernels`] with these names.
#[backend_extension(Autodiff, Flex)]
pub trait TokenOperations: Backend {
    fn fused_layer_norm(
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        norm: LayerNorm,
    ) -> FloatTensor<Self>;

    fn fused_modulated_norm(
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        norm: LayerNorm,
    ) -> FloatTensor<Self>;

    fn fused_gated_sum(
        kept: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        branch: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    fn fused_gelu(input: FloatTensor<Self>, gelu: Gelu) -> FloatTensor<Self>;

    fn fused_add_image(input: FloatTensor<Self>, image: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl TokenOperations for Flex {
    fn fused_layer_norm(input: FlexTensor, scale: FlexTensor, shift: FlexTensor, norm: LayerNorm) -> FlexTensor {
        let chunks = Planes::new(&input).chunks;
        normalize_layer(&input, &per_image(&scale, chunks), &per_image(&shift, chunks), norm).0
    }

    fn fused_modulated_norm(input: FlexTensor, scale: FlexTensor, shift: FlexTensor, norm: LayerNorm) -> FlexTensor {
        normalize_layer(&input, &one_plus(&Planes::new(&scale)), Planes::new(&shift).values(), norm).0
    }

    fn fused_gated_sum(kept: FlexTensor, gate: FlexTensor, branch: FlexTensor) -> FlexTensor {
        let (kept, gate, branch) = (Planes::new(&kept), Planes::new(&gate), Planes::stored(&branch));
        kept.tensor_of_shape(gated_sum::forward(&kept, &gate, &branch))
    }

    fn fused_gelu(input: FlexTensor, gelu: Gelu) -> FlexTensor {
        let input = Planes::stored(&input);
        input.tensor_of_shape(gelu::forward(&input, gelu))
    }

    fn fused_add_image(input: FlexTensor, image: FlexTensor) -> FlexTensor {
        let (input, image) = (Planes::new(&input), contiguous(&image));
        input.tensor_of_shape(image_sum::forward(&input, numbers(&image)))
    }
}

/// `[channels, chunks]` of one number for each channel.
fn per_image(vector: &FlexTensor, chunks: usize) -> Vec<Chunk> {
    numbers(&contiguous(vector)).iter().flat_map(|&number| std::iter::repeat_n([number; LANES], chunks)).collect()
}

/// 1 + scale.
fn one_plus(scale: &Planes) -> Vec<Chunk> {
    scale.values().iter().map(|chunk| chunk.map(|value| 1.0 + value)).collect()
}

fn normalize_layer(
    input: &FlexTensor,
    slopes: &[Chunk],
    shifts: &[Chunk],
    norm: LayerNorm,
) -> (FlexTensor, Statistics) {
    let input = Planes::new(input);
    let (output, statistics) = norm.forward(&input, slopes, shifts);
    (stored_tensor(output, [input.height, input.width, input.channels], norm.storage), statistics)
}

impl<C: CheckpointStrategy> TokenOperations for Autodiff<Flex, C> {
    fn fused_layer_norm(
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        norm: LayerNorm,
    ) -> FloatTensor<Self> {
        let chunks = Planes::new(input.primitive()).chunks;
        let slopes = per_image(scale.primitive(), chunks);
        let shifts = per_image(shift.primitive(), chunks);
        let (output, statistics) = normalize_layer(input.primitive(), &slopes, &shifts, norm);
        let parents = [input.node(), scale.node(), shift.node()];
        match (LayerNormBackward { per_image: false }).prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                prepared.finish((input.primitive().clone(), slopes, statistics, norm), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn fused_modulated_norm(
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        norm: LayerNorm,
    ) -> FloatTensor<Self> {
        let slopes = one_plus(&Planes::new(scale.primitive()));
        let shifts = Planes::new(shift.primitive());
        let (output, statistics) = normalize_layer(input.primitive(), &slopes, shifts.values(), norm);
        let parents = [input.node(), scale.node(), shift.node()];
        match (LayerNormBackward { per_image: true }).prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                prepared.finish((input.primitive().clone(), slopes, statistics, norm), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn fused_gated_sum(
        kept: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        branch: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let [kept_values, gate_values, branch_values] =
            [&kept, &gate, &branch].map(|tensor| tensor.primitive().clone());
        let output = Flex::fused_gated_sum(kept_values, gate_values.clone(), branch_values.clone());
        let parents = [kept.node(), gate.node(), branch.node()];
        match GatedSumBackward.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((gate_values, branch_values), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn fused_gelu(input: FloatTensor<Self>, gelu: Gelu) -> FloatTensor<Self> {
        let output = Flex::fused_gelu(input.primitive().clone(), gelu);
        match GeluBackward.prepare::<C>([input.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((input.primitive().clone(), gelu), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn fused_add_image(input: FloatTensor<Self>, image: FloatTensor<Self>) -> FloatTensor<Self> {
        let output = Flex::fused_add_image(input.primitive().clone(), image.primitive().clone());
        match ImageSumBackward.prepare::<C>([input.node(), image.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }
}

#[derive(Debug)]
struct LayerNormBackward {
    /// Whether scale and shift are planes of one pixel, rather than a number for each channel.
    per_image: bool,
}

impl Backward<Flex, 3> for LayerNormBackward {
    /// The third: the slopes.
    type State = (FlexTensor, Vec<Chunk>, Statistics, LayerNorm);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = Planes::stored(&gradients.consume::<Flex>(&ops.node));
        let (input, slopes, statistics, norm) = ops.state;
        let input = Planes::new(&input);
        let result = norm.backward(&input, &slopes, &statistics, &gradient);
        let [input_node, scale_node, shift_node] = ops.parents;
        if let Some(node) = input_node {
            gradients.register::<Flex>(node.id, input.tensor_of_shape(result.input));
        }
        let reduced = |sums: Vec<Chunk>| match self.per_image {
            true => planes_tensor(sums, 1, 1, input.channels),
            false => vector_tensor(sums::image_sums(&sums, input.chunks)),
        };
        if let Some(node) = scale_node {
            gradients.register::<Flex>(node.id, reduced(result.slopes));
        }
        if let Some(node) = shift_node {
            gradients.register::<Flex>(node.id, reduced(result.shifts));
        }
    }
}

#[derive(Debug)]
struct GatedSumBackward;

impl Backward<Flex, 3> for GatedSumBackward {
    /// Gate and branch.
    type State = (FlexTensor, FlexTensor);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient_tensor = gradients.consume::<Flex>(&ops.node);
        let (gate, branch) = (Planes::new(&ops.state.0), Planes::stored(&ops.state.1));
        let (gate_gradient, branch_gradient) = gated_sum::backward(&gate, &branch, &Planes::new(&gradient_tensor));
        let [kept_node, gate_node, branch_node] = ops.parents;
        if let Some(node) = kept_node {
            gradients.register::<Flex>(node.id, gradient_tensor);
        }
        if let Some(node) = gate_node {
            gradients.register::<Flex>(node.id, gate.tensor_of_shape(gate_gradient));
        }
        if let Some(node) = branch_node {
            gradients.register::<Flex>(node.id, branch.tensor_of_shape(branch_gradient));
        }
    }
}

#[derive(Debug)]
struct GeluBackward;

impl Backward<Flex, 1> for GeluBackward {
    type State = (FlexTensor, Gelu);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = Planes::stored(&gradients.consume::<Flex>(&ops.node));
        let (input, gelu) = ops.state;
        let input = Planes::stored(&input);
        if let [Some(node)] = ops.parents {
            let values = gelu::backward(&input, &gradient, gelu);
            gradients.register::<Flex>(node.id, input.tensor_of_shape(values));
        }
    }
}

#[derive(Debug)]
struct ImageSumBackward;

impl Backward<Flex, 2> for ImageSumBackward {
    type State = ();

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient_tensor = gradients.consume::<Flex>(&ops.node);
        let [input_node, image_node] = ops.parents;
        if let Some(node) = image_node {
            let gradient = Planes::new(&gradient_tensor);
            let sums = sums::image_sums(gradient.values(), gradient.chunks);
            gradients.register::<Flex>(node.id, vector_tensor(sums));
        }
        if let Some(node) = input_node {
            gradients.register::<Flex>(node.id, gradient_tensor);
        }
    }
}
