use burn::tensor::Tensor;

use super::ModelError;
use super::architecture::{Architecture, ConvolutionLayer, Initial, LayerNormLayer, Pass};
use super::class_embedding::{ClassEmbedding, Classes};
use super::constant::Constant;
use super::feed_forward::FeedForward;
use super::patches::{self, Patches};
use super::self_attention::SelfAttention;
use super::sinusoids::cosines_and_sines;
use super::token_route::{Detour, TokenRoute};
use crate::kernels::{Convolution, Gelu, Resample};
use crate::spec::{DataShape, UvitModel};

/// U-ViT (Bao et al. 2023, arXiv 2209.12152, section 3), as its authors' code has it: time, class and patches are all tokens,
/// and each block of the second half is given the output of its counterpart in the first.
#[derive(Clone, Debug)]
pub struct Uvit {
    patches: Patches,
    input: ConvolutionLayer,
    dim: usize,
    frequencies: Constant,
    class: Option<ClassEmbedding>,
    /// `[tokens, dim]`: class if there is one, time, patches.
    positions: usize,
    first: Vec<Block>,
    middle: Block,
    second: Vec<Block>,
    norm: LayerNormLayer,
    output: ConvolutionLayer,
    /// Between the pixels of the image, across the edges of patches.
    smoothing: ConvolutionLayer,
}

impl Uvit {
    /// For such images; it gives out `output_channels` for each pixel. Blocks cost less where patches go around them.
    pub fn describe(
        model: &UvitModel,
        data_shape: DataShape,
        output_channels: usize,
        detour: Option<Detour>,
        architecture: &mut Architecture,
    ) -> Self {
        let DataShape { channels, side, classes } = data_shape;
        let dim = model.dim;
        let patches = Patches::new(side, model.patch);
        let input =
            patches.embedding(architecture, channels, dim, |shape| (torch_default(shape), torch_default(shape)));
        let class = classes.filter(|_| model.class_conditional).map(|classes| {
            let initial = Initial::Normal { deviation: 1.0 };
            ClassEmbedding::describe(architecture, "class", classes, model.class_dropout, dim, initial)
        });
        let tokens = patches.count() + 1 + usize::from(class.is_some());
        architecture.activations += tokens * dim;
        let positions =
            architecture.parameter("positions".to_owned(), vec![tokens, dim], small(Convolution::pointwise(1, 1)));
        let others = tokens - patches.count();
        let mut block = |name: String, number: usize, skip| {
            let tokens = others + Detour::patches_of(detour, number, patches.count());
            Block::describe(architecture, &name, model, tokens, skip)
        };
        let half = model.depth / 2;
        let first = (0..half).map(|index| block(format!("first.{index}"), index + 1, false)).collect();
        let middle = block("middle".to_owned(), half + 1, false);
        let second = (0..half).map(|index| block(format!("second.{index}"), half + 2 + index, true)).collect();
        let norm = architecture.layer_norm("norm", dim, patches.count(), EPSILON);
        let shape = Convolution::pointwise(dim, patches.area() * output_channels);
        let output = architecture.token_linear("output", shape, patches.count(), small(shape), Some(Initial::Zeros));
        let shape = Convolution::square(output_channels, output_channels, Resample::Keep);
        let weight_shape = vec![output_channels, output_channels, 3, 3];
        let (weight, bias) = (torch_default(shape), Some(torch_default(shape)));
        let smoothing = architecture.layer("smoothing", shape, weight_shape, side * side, (weight, bias));
        let frequencies = Constant::default();
        Self { patches, input, dim, frequencies, class, positions, first, middle, second, norm, output, smoothing }
    }

    /// See [`super::Network::forward`].
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
        let mut rows = Vec::new();
        if let Some(class) = &self.class {
            rows.push(class.forward(pass, classes, batch, &device));
        }
        rows.push(kernels.enter_vectors(cosines_and_sines(timesteps, self.dim, &self.frequencies)));
        rows.push(kernels.as_row(self.input.forward(pass, kernels.enter(self.patches.cut(noisy)))));
        let tokens = kernels.join_rows(rows);
        let mut tokens = kernels.add_image(tokens, pass.parameters[self.positions].clone());

        // Each block is joined to one that sees the same tokens: a detour's ends are counterparts.
        let others = 1 + usize::from(self.class.is_some());
        let mut kept = Vec::with_capacity(self.first.len());
        for block in &self.first {
            tokens = route.pass(kernels, tokens, others, batch, |tokens| block.forward(pass, tokens, None));
            kept.push(tokens.clone());
        }
        tokens = route.pass(kernels, tokens, others, batch, |tokens| self.middle.forward(pass, tokens, None));
        for block in &self.second {
            tokens = route.pass(kernels, tokens, others, batch, |tokens| block.forward(pass, tokens, kept.pop()));
        }

        // What follows looks at each token alone, so the others need not go through it.
        let tokens = kernels.end_of_row(tokens, self.patches.side, self.patches.side);
        let tokens = self.output.forward(pass, self.norm.forward(pass, tokens));
        let images = kernels.enter(self.patches.join(kernels.leave(tokens, batch)));
        kernels.leave(self.smoothing.forward(pass, images), batch)
    }
}

/// The epsilon of every LayerNorm: PyTorch's default.
const EPSILON: f32 = 1e-5;

/// Weights of linear maps and positions. The authors' code cuts the normal off at 100 standard deviations.
fn small(_: Convolution) -> Initial {
    Initial::Normal { deviation: 0.02 }
}

/// PyTorch's for weights and bias of a convolution, which the authors' code leaves as they are: uniform within 1 over the
/// root of the number of inputs.
fn torch_default(shape: Convolution) -> Initial {
    Initial::Uniform { bound: 1.0 / ((shape.inputs * shape.kernel * shape.kernel) as f64).sqrt() }
}

/// x + attention(norm(x)), then x + feed_forward(norm(x)); before both, where there is a long skip, a linear map of x and
/// what was kept.
#[derive(Clone, Debug)]
struct Block {
    skip: Option<ConvolutionLayer>,
    norms: [LayerNormLayer; 2],
    attention: SelfAttention,
    feed_forward: FeedForward,
}

impl Block {
    fn describe(architecture: &mut Architecture, name: &str, model: &UvitModel, tokens: usize, skip: bool) -> Self {
        let UvitModel { dim, heads, mlp_ratio, .. } = *model;
        if skip {
            architecture.activations += 2 * tokens * dim; // the concatenation
        }
        let both = Convolution::pointwise(2 * dim, dim);
        let (attention, feed_forward) = (format!("{name}.attention"), format!("{name}.feed_forward"));
        Self {
            norms: [1, 2].map(|index| architecture.layer_norm(&format!("{name}.norm{index}"), dim, tokens, EPSILON)),
            attention: SelfAttention::describe(architecture, &attention, dim, heads, tokens, false, small),
            feed_forward: FeedForward::describe(
                architecture,
                &feed_forward,
                dim,
                mlp_ratio * dim,
                tokens,
                Gelu::Exact,
                small,
            ),
            skip: skip.then(|| {
                architecture.token_linear(&format!("{name}.skip"), both, tokens, small(both), Some(Initial::Zeros))
            }),
        }
    }

    fn forward(&self, pass: Pass, tokens: Tensor<4>, kept: Option<Tensor<4>>) -> Tensor<4> {
        let tokens = match (&self.skip, kept) {
            (Some(skip), Some(kept)) => skip.forward(pass, pass.kernels.concatenate(tokens, kept)),
            _ => tokens,
        };
        let [first, second] = &self.norms;
        let tokens = self.attention.forward_added(pass, first.forward(pass, tokens.clone()), tokens);
        self.feed_forward.forward_added(pass, second.forward(pass, tokens.clone()), tokens)
    }
}

/// Checks that `model` can be built for images of `side` pixels.
pub fn check(model: &UvitModel, side: usize) -> Result<(), ModelError> {
    let UvitModel { patch, dim, depth, heads, mlp_ratio, .. } = *model;
    patches::check([patch, dim, depth, heads, mlp_ratio], side)?;
    // Sines and cosines of the time; blocks in pairs.
    for (field, value) in [("dim", dim), ("depth", depth)] {
        if !value.is_multiple_of(2) {
            return Err(ModelError::Multiple { field, value, of: 2 });
        }
    }
    Ok(())
}
