//! Encoders of images with frozen weights: DINOv2 and CLIP's tower for images, which are vision transformers (Dosovitskiy et al. 2020,
//! arXiv 2010.11929). Their features say how alike images are, and their patches' tokens are what networks may be aligned with.
//!
//! [`VitWeights::open`] finds out which encoder a file holds; [`Vit::new`] makes it for images of one size, on a device.

mod design;
mod positions;
mod tensor_file;
mod weights;

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};

use super::ParameterLayout;
use super::architecture::{Architecture, ConvolutionLayer, Initial, LayerNormLayer, Pass};
use super::feed_forward::FeedForward;
use super::patches::Patches;
use super::self_attention::SelfAttention;
use crate::kernels::{Gelu, Kernels};

pub use design::{VitDesign, VitFamily};
pub use positions::{Resampling, resampled};
use positions::{around_registers, moved_positions};
pub use weights::VitWeights;

/// Why a file is not the weights of an encoder: what is wrong with which file, and the cure.
#[derive(Debug, thiserror::Error)]
#[error("the weights of an encoder: {problem}\nhint: {hint}")]
pub struct VitError {
    pub problem: String,
    pub hint: &'static str,
}

impl VitError {
    /// `problem` goes on after the file's name.
    fn new(path: &Path, problem: String, hint: &'static str) -> Self {
        Self { problem: format!("{} {problem}", path.display()), hint }
    }
}

/// What an encoder computes for one image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VitCost {
    /// Floating-point operations: two for a multiplication and an addition.
    pub flops: f64,
    pub parameters: usize,
    /// About the most bytes of activations that are alive at a time.
    pub live_bytes: usize,
}

/// An encoder for images of one size, with its weights on a device, in f32.
pub struct Vit {
    design: VitDesign,
    layers: Layers,
    side: usize,
    parameters: Vec<Tensor<1>>,
    kernels: Kernels,
    device: Device,
}

impl Vit {
    /// For images of `side` pixels, which whole patches fill. Positions of patches are found between those of the training as
    /// the code of its authors finds them, unless `positions` says how.
    ///
    /// # Errors
    /// If the file cannot be read.
    ///
    /// # Panics
    /// If patches do not fill the images.
    pub fn new(
        weights: &VitWeights,
        side: usize,
        positions: Option<Resampling>,
        device: &Device,
    ) -> Result<Self, VitError> {
        let design = weights.design().clone();
        assert!(side > 0 && side.is_multiple_of(design.patch), "patches of {} pixels fill images", design.patch);
        let mut architecture = Architecture::default();
        let layers = Layers::describe(&mut architecture, &design, side / design.patch);
        let device = device.clone().without_autodiff();
        // The layout of the file has the positions of the training.
        let parameters = layout(&design).into_iter().map(|parameter| {
            let values = weights.parameter(&parameter)?;
            let values = Tensor::from_data(TensorData::new(values, [parameter.size()]), &device);
            Ok(match parameter.name.as_str() {
                "positions" => {
                    let moved = moved_positions(values, &design, side / design.patch, positions, &device);
                    around_registers(moved, &design, &device)
                }
                _ => values,
            })
        });
        let parameters = parameters.collect::<Result<_, VitError>>()?;
        let kernels = Kernels::for_device(&device);
        Ok(Self { design, layers, side, parameters, kernels, device })
    }

    /// The same encoder on another device.
    pub fn on(&self, device: &Device) -> Self {
        let device = device.clone().without_autodiff();
        Self {
            design: self.design.clone(),
            layers: self.layers.clone(),
            side: self.side,
            parameters: self.parameters.iter().map(|values| values.clone().to_device(&device)).collect(),
            kernels: Kernels::for_device(&device),
            device,
        }
    }

    /// The same with other operations, to compare them.
    pub fn with_kernels(self, kernels: Kernels) -> Self {
        Self { kernels, ..self }
    }

    /// Its cost for one image of `side` pixels, known without any weights.
    pub fn cost(design: &VitDesign, side: usize) -> VitCost {
        let mut architecture = Architecture::default();
        Layers::describe(&mut architecture, design, side / design.patch);
        let tokens = (side / design.patch).pow(2) + 1 + design.registers;
        // A block's input; queries, keys and values and what is attended to, or a hidden layer before and after its activation.
        let live = design.dim + (4 * design.dim).max(2 * design.hidden);
        VitCost {
            flops: architecture.flops,
            parameters: architecture.parameter_count(),
            live_bytes: tokens * live * size_of::<f32>(),
        }
    }

    pub fn design(&self) -> &VitDesign {
        &self.design
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Pixels of each side of the images that it sees.
    pub fn side(&self) -> usize {
        self.side
    }

    /// Patches of an image.
    pub fn patches(&self) -> usize {
        self.layers.patches.count()
    }

    /// The features of images `[images, 3, side, side]` whose colours have the means and deviations of [`VitDesign::colours`] taken away:
    /// the class token after the last norm, of CLIP mapped into the space that texts share. `[images, features]`
    pub fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let (count, dim) = (images.dims()[0], self.design.dim);
        let class = self.tokens(images).narrow(1, 0, 1).reshape([count, dim]);
        match (self.layers.projection, self.design.projection) {
            (Some(projection), Some(outputs)) => {
                let weight = self.parameters[projection].clone().reshape([outputs, dim]);
                class.matmul(weight.swap_dims(0, 1))
            }
            _ => class,
        }
    }

    /// The tokens of patches after the last norm, `[images, patches, dim]`, row by row, of the same images: without class token and registers.
    pub fn patch_tokens(&self, images: Tensor<4>) -> Tensor<3> {
        self.tokens(images).narrow(1, 1 + self.design.registers, self.patches())
    }

    /// Images `[images, 3, side, side]` in [-1, 1] of any side as it sees them: bicubically resized as PyTorch does, their colours' means
    /// and deviations taken away.
    pub fn prepared(&self, images: Tensor<4>) -> Tensor<4> {
        let [count, channels, side, _] = images.dims();
        assert_eq!(channels, COLOURS, "red, green and blue");
        let planes = images.reshape([count * COLOURS, side, side]);
        let planes = match side == self.side {
            true => planes,
            false => resampled(planes, self.side, Resampling::to_size(side, self.side), &self.device),
        };
        let (means, deviations) = self.design.colours();
        let of_colours = |values: [f32; COLOURS]| {
            Tensor::<4>::from_data(TensorData::new(values.to_vec(), [1, COLOURS, 1, 1]), &self.device)
        };
        let (slopes, shifts) =
            (deviations.map(|deviation| 0.5 / deviation), std::array::from_fn(|i| (0.5 - means[i]) / deviations[i]));
        planes.reshape([count, COLOURS, self.side, self.side]) * of_colours(slopes) + of_colours(shifts)
    }

    /// All tokens after the last norm, the class token first, then registers: `[images, 1 + registers + patches, dim]`.
    fn tokens(&self, images: Tensor<4>) -> Tensor<3> {
        let count = images.dims()[0];
        assert_eq!(images.dims(), [count, COLOURS, self.side, self.side], "images of the size that it was made for");
        let pass = Pass { kernels: self.kernels, parameters: &self.parameters };
        let tokens = self.layers.forward(pass, images);
        let tokens = self.kernels.leave(tokens, count);
        tokens.reshape([count, self.design.dim, 1 + self.design.registers + self.patches()]).swap_dims(1, 2)
    }
}

const COLOURS: usize = 3;

/// The name and shape of every parameter, with the positions of the training.
fn layout(design: &VitDesign) -> Vec<ParameterLayout> {
    let mut architecture = Architecture::default();
    Layers::describe(&mut architecture, design, design.grid);
    architecture.layout
}

/// The layers of an encoder, in the order in which they are computed.
#[derive(Clone)]
struct Layers {
    patches: Patches,
    input: ConvolutionLayer,
    /// `[dim]`
    class: usize,
    /// `[registers, dim]`
    registers: Option<usize>,
    /// `[1 + patches, dim]`; what is computed with has zeros for registers.
    positions: usize,
    first_norm: Option<LayerNormLayer>,
    blocks: Vec<Block>,
    norm: LayerNormLayer,
    /// `[features, dim]`
    projection: Option<usize>,
}

/// x + attention(norm(x)), then x + mlp(norm(x)).
#[derive(Clone)]
struct Block {
    norms: [LayerNormLayer; 2],
    attention: SelfAttention,
    mlp: FeedForward,
}

impl Layers {
    /// For images with `grid` patches in a row.
    fn describe(architecture: &mut Architecture, design: &VitDesign, grid: usize) -> Self {
        let VitDesign { family, dim, depth, hidden, patch, projection, .. } = *design;
        let epsilon = design.epsilon();
        let patches = Patches::new(grid * patch, patch);
        let tokens = patches.count() + 1 + design.registers;
        let input = patches.embedding(architecture, COLOURS, dim, |_| (Initial::Zeros, Initial::Zeros));
        let class = architecture.parameter("class".to_owned(), vec![dim], Initial::Zeros);
        let registers = (design.registers > 0)
            .then(|| architecture.parameter("registers".to_owned(), vec![design.registers, dim], Initial::Zeros));
        let positions = architecture.parameter("positions".to_owned(), vec![patches.count() + 1, dim], Initial::Zeros);
        let first_norm =
            (family == VitFamily::Clip).then(|| architecture.layer_norm("first_norm", dim, tokens, epsilon));
        let gelu = match family {
            VitFamily::Dinov2 => Gelu::Exact,
            VitFamily::Clip => Gelu::Quick,
        };
        let block = |index: usize| {
            let name = format!("blocks.{index}");
            let mut norm = |part: &str| architecture.layer_norm(&format!("{name}.{part}"), dim, tokens, epsilon);
            let norms = [norm("norm1"), norm("norm2")];
            let (attention, mlp) = (format!("{name}.attention"), format!("{name}.mlp"));
            let zeros = |_| Initial::Zeros;
            Block {
                norms,
                attention: SelfAttention::describe(architecture, &attention, dim, design.heads(), tokens, true, zeros),
                mlp: FeedForward::describe(architecture, &mlp, dim, hidden, tokens, gelu, zeros),
            }
        };
        let blocks = (0..depth).map(block).collect();
        let norm = architecture.layer_norm("norm", dim, tokens, epsilon);
        let projection = projection.map(|outputs| {
            architecture.flops += 2.0 * (outputs * dim) as f64;
            architecture.parameter("projection.weight".to_owned(), vec![outputs, dim], Initial::Zeros)
        });
        Self { patches, input, class, registers, positions, first_norm, blocks, norm, projection }
    }

    /// All tokens as a row, the class token first, then registers.
    fn forward(&self, pass: Pass, images: Tensor<4>) -> Tensor<4> {
        let (count, kernels) = (images.dims()[0], pass.kernels);
        let class = pass.parameters[self.class].clone();
        let dim = class.dims()[0];
        let class = kernels.enter_vectors(class.reshape([1, dim]).expand([count, dim]));
        let patches = self.input.forward(pass, kernels.enter(self.patches.cut(images)));
        let registers = self.registers.map(|registers| {
            let registers = pass.parameters[registers].clone();
            let each = registers.dims()[0] / dim;
            (0..each).map(move |index| {
                let register = registers.clone().narrow(0, index * dim, dim).reshape([1, dim]);
                kernels.enter_vectors(register.expand([count, dim]))
            })
        });
        let first = std::iter::once(class).chain(registers.into_iter().flatten());
        let tokens = kernels.join_rows(first.chain([kernels.as_row(patches)]).collect());
        let tokens = kernels.add_image(tokens, pass.parameters[self.positions].clone());
        let tokens = self.first_norm.iter().fold(tokens, |tokens, norm| kernels.whole(norm.forward(pass, tokens)));
        let tokens = self.blocks.iter().fold(tokens, |tokens, block| block.forward(pass, tokens));
        kernels.whole(self.norm.forward(pass, tokens))
    }
}

impl Block {
    fn forward(&self, pass: Pass, tokens: Tensor<4>) -> Tensor<4> {
        let [first, second] = &self.norms;
        let tokens = self.attention.forward_added(pass, first.forward(pass, tokens.clone()), tokens);
        self.mlp.forward_added(pass, second.forward(pass, tokens.clone()), tokens)
    }
}
