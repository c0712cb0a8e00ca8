use burn::tensor::{Device, Tensor, TensorData};

use super::ModelError;
use super::architecture::{Architecture, ConvolutionLayer, Initial, Pass, variance_scaling};
use super::class_embedding::{ClassEmbedding, Classes};
use super::constant::Constant;
use super::feed_forward::FeedForward;
use super::patches::{self, Patches};
use super::self_attention::SelfAttention;
use super::sinusoids::{cosines_and_sines, some_positions, square_positions};
use super::token_route::{Detour, TokenRoute};
use crate::kernels::{Convolution, Gelu};
use crate::spec::{DataShape, DitModel};

/// The diffusion transformer with adaLN-Zero blocks (Peebles and Xie 2023, arXiv 2212.09748, section 3.2), as its authors'
/// code has it.
#[derive(Clone, Debug)]
pub struct Dit {
    patches: Patches,
    input: ConvolutionLayer,
    dim: usize,
    /// Flat `[side, side, dim]` of patches.
    positions: Constant,
    frequencies: Constant,
    time: (ConvolutionLayer, ConvolutionLayer),
    class: Option<ClassEmbedding>,
    blocks: Vec<Block>,
    output_modulation: [ConvolutionLayer; 2],
    output: ConvolutionLayer,
    /// `[dim]`.
    mask_token: Option<usize>,
}

/// Numbers that tell a timestep.
const TIME_LENGTH: usize = 256;
/// The epsilon of every LayerNorm.
const EPSILON: f32 = 1e-6;

impl Dit {
    /// For such images; it gives out `output_channels` for each pixel. Blocks cost less where patches go around them.
    pub fn describe(
        model: &DitModel,
        data_shape: DataShape,
        output_channels: usize,
        detour: Option<Detour>,
        architecture: &mut Architecture,
    ) -> Self {
        let DataShape { channels, side, classes } = data_shape;
        let dim = model.dim;
        let patches = Patches::new(side, model.patch);
        let input = patches.embedding(architecture, channels, dim, |shape| (variance_scaling(shape), Initial::Zeros));
        architecture.activations += patches.count() * dim; // the sum with the positions
        let (small, zeros) = (Initial::Normal { deviation: 0.02 }, Initial::Zeros);
        let mut linear = |name: &str, inputs, outputs, tokens, initial| {
            architecture.token_linear(name, Convolution::pointwise(inputs, outputs), tokens, initial, Some(zeros))
        };
        let time = (linear("time.linear1", TIME_LENGTH, dim, 1, small), linear("time.linear2", dim, dim, 1, small));
        let class = classes
            .filter(|_| model.class_conditional)
            .map(|classes| ClassEmbedding::describe(architecture, "class", classes, model.class_dropout, dim, small));
        let blocks = (0..model.depth)
            .map(|index| {
                let tokens = Detour::patches_of(detour, index + 1, patches.count());
                Block::describe(architecture, &format!("blocks.{index}"), model, tokens)
            })
            .collect();
        architecture.activations += patches.count() * dim; // the last norm
        let output_modulation = ["shift", "scale"].map(|part| modulation(architecture, "output", part, dim));
        let shape = Convolution::pointwise(dim, patches.area() * output_channels);
        let output = architecture.token_linear("output.linear", shape, patches.count(), zeros, Some(zeros));
        // The last, so that all others are those of a network without it.
        let mask_token = model.mask_token.then(|| architecture.parameter("mask_token".to_owned(), vec![dim], small));
        let (positions, frequencies) = (Constant::default(), Constant::default());
        Self { patches, input, dim, positions, frequencies, time, class, blocks, output_modulation, output, mask_token }
    }

    /// See [`super::Network::forward`]. Images may be smaller than those that it is described for, by a whole factor: see
    /// [`some_positions`].
    pub fn forward(
        &self,
        pass: Pass,
        noisy: Tensor<4>,
        timesteps: Tensor<1>,
        classes: &Classes,
        route: &mut TokenRoute,
    ) -> Tensor<4> {
        let (batch, device) = (noisy.dims()[0], noisy.device());
        assert_eq!(timesteps.dims(), [batch], "a timestep for each image");
        let kernels = pass.kernels;

        let time = kernels.enter_vectors(cosines_and_sines(timesteps, TIME_LENGTH, &self.frequencies));
        let time = kernels.silu(self.time.0.forward(pass, time));
        let condition = match &self.class {
            Some(class) => self.time.1.forward_added(pass, time, class.forward(pass, classes, batch, &device)),
            None => self.time.1.forward(pass, time),
        };
        // Every modulation begins with it.
        let condition = kernels.silu(condition);

        let cells = self.patches.of_side(noisy.dims()[2]);
        let positions = self.positions(cells.side, &device);
        let patches = self.input.forward(pass, kernels.enter(cells.cut(noisy)));
        if route.masks() {
            let token = self.mask_token.expect("runs that mask tokens are checked to have a token for it");
            let token = pass.parameters[token].clone().reshape([1, self.dim]);
            let masks = (positions.clone().reshape([cells.count(), self.dim]) + token).reshape([-1]);
            let nothing = Tensor::zeros(patches.dims(), &patches.device().without_autodiff());
            route.set_masks(kernels, kernels.add_image(nothing, masks));
        }
        let mut tokens = kernels.add_image(patches, positions);
        for block in &self.blocks {
            tokens = route.pass(kernels, tokens, 0, batch, |tokens| block.forward(pass, tokens, condition.clone()));
        }
        let [shift, scale] = self.output_modulation.each_ref().map(|layer| layer.forward(pass, condition.clone()));
        let tokens = self.output.forward(pass, kernels.modulated_norm(tokens, scale, shift, EPSILON));
        cells.join(kernels.leave(tokens, batch))
    }
}

impl Dit {
    /// Flat `[side, side, dim]`, of the patches of an image that may be smaller than those it is described for.
    fn positions(&self, side: usize, device: &Device) -> Tensor<1> {
        let all = || square_positions(self.patches.side, self.dim);
        if side == self.patches.side {
            return self.positions.on(device, all);
        }
        let some = some_positions(&all(), self.patches.side, side, self.dim);
        let count = some.len();
        Tensor::from_data(TensorData::new(some, [count]), &device.clone().without_autodiff())
    }
}

/// x + gate * attention(modulated(norm(x))), then the same with a feed-forward network; what modulates and gates is a
/// linear map of the condition that starts at zero.
#[derive(Clone, Debug)]
struct Block {
    /// Shift, scale and gate of the attention, then of the feed-forward network.
    modulation: [ConvolutionLayer; 6],
    attention: SelfAttention,
    feed_forward: FeedForward,
}

impl Block {
    fn describe(architecture: &mut Architecture, name: &str, model: &DitModel, tokens: usize) -> Self {
        let DitModel { dim, heads, mlp_ratio, .. } = *model;
        architecture.activations += 4 * tokens * dim; // two norms and two gated sums
        let parts = ["shift1", "scale1", "gate1", "shift2", "scale2", "gate2"];
        Self {
            attention: SelfAttention::describe(
                architecture,
                &format!("{name}.attention"),
                dim,
                heads,
                tokens,
                true,
                variance_scaling,
            ),
            feed_forward: FeedForward::describe(
                architecture,
                &format!("{name}.feed_forward"),
                dim,
                mlp_ratio * dim,
                tokens,
                Gelu::Tanh,
                variance_scaling,
            ),
            modulation: parts.map(|part| modulation(architecture, name, part, dim)),
        }
    }

    fn forward(&self, pass: Pass, tokens: Tensor<4>, condition: Tensor<4>) -> Tensor<4> {
        let [shift1, scale1, gate1, shift2, scale2, gate2] =
            self.modulation.each_ref().map(|layer| layer.forward(pass, condition.clone()));
        let normalized = pass.kernels.modulated_norm(tokens.clone(), scale1, shift1, EPSILON);
        let tokens = pass.kernels.gated_sum(tokens, gate1, self.attention.branch(pass, normalized));
        let normalized = pass.kernels.modulated_norm(tokens.clone(), scale2, shift2, EPSILON);
        pass.kernels.gated_sum(tokens, gate2, self.feed_forward.branch(pass, normalized))
    }
}

/// One part of what modulates a block, apart from the others so that it is a tensor of its own.
fn modulation(architecture: &mut Architecture, name: &str, part: &str, dim: usize) -> ConvolutionLayer {
    let (shape, zeros) = (Convolution::pointwise(dim, dim), Initial::Zeros);
    architecture.token_linear(&format!("{name}.modulation.{part}"), shape, 1, zeros, Some(zeros))
}

/// Checks that `model` can be built for images of `side` pixels.
pub fn check(model: &DitModel, side: usize) -> Result<(), ModelError> {
    let DitModel { patch, dim, depth, heads, mlp_ratio, .. } = *model;
    patches::check([patch, dim, depth, heads, mlp_ratio], side)?;
    // Sines and cosines of rows and columns.
    if !dim.is_multiple_of(4) {
        return Err(ModelError::Multiple { field: "dim", value: dim, of: 4 });
    }
    Ok(())
}
