//! Networks: parameters, shapes and forward passes.
//!
//! Every network keeps its parameters as one flat vector in a fixed, named order, and draws its initial weights on
//! the host, so that optimiser, average, checkpoint and comparison between devices need to know nothing of layers.

mod adm;
mod adm_block;
mod architecture;
mod attention_block;
pub mod autoencoder;
mod captured;
mod class_embedding;
mod constant;
mod crops;
mod dit;
mod dropout;
mod feed_forward;
mod levels;
mod network;
mod parameters;
mod patches;
mod projection;
mod residual_block;
mod self_attention;
mod sinusoids;
mod small_cnn;
mod time_embedding;
mod token_route;
mod unet;
mod uvit;
pub mod vit;
mod weights_file;
mod width;

use crate::spec::{self, DataShape, PatchSchedule, RunSpec};
use architecture::Architecture;
use network::Body;
use projection::Projection;

pub use captured::{Buffer, CapturedPass, Graph, NotCaptured, flat, values};
pub use class_embedding::{Classes, one_hot};
pub use crops::{coordinates, seen_side};
pub use dropout::{DeviceDraws, Dropout, Masks};
pub use network::{InTraining, Network, build, build_for};
pub use parameters::ParameterLayout;
pub use small_cnn::{CnnDesign, DIGITS_CNN, MNIST_CNN, SmallCnn};
pub use token_route::{Detour, TokenRoute};
pub use weights_file::{WeightsFileError, from_safetensors, to_safetensors};
pub use width::{WidthScale, width_scales};

/// Why a model cannot be built for images of a given shape.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ModelError {
    #[error("model.{field} is 0")]
    Zero { field: &'static str },
    #[error("model.norm_groups: {groups} groups do not divide the {channels} channels of level {level}")]
    Groups { groups: usize, channels: usize, level: usize },
    #[error("model.attention_heads: {heads} heads do not divide the {channels} channels of level {level}")]
    Heads { heads: usize, channels: usize, level: usize },
    #[error("model.head_channels: heads of {size} channels do not divide the {channels} channels of level {level}")]
    HeadChannels { size: usize, channels: usize, level: usize },
    #[error(
        "model.channel_multipliers: {levels} levels halve the side {times} times, which images of side {side} do not allow"
    )]
    Side { levels: usize, times: usize, side: usize },
    #[error("model.dropout is {dropout}, which is not in [0, 1)")]
    Dropout { dropout: String },
    #[error("model.patch: patches of {patch} pixels do not divide images of side {side}")]
    Patch { patch: usize, side: usize },
    #[error("model.{field} is {value}, which is no multiple of {of}")]
    Multiple { field: &'static str, value: usize, of: usize },
    #[error("model.class_conditional is true, but the images have no classes")]
    NoClasses,
    #[error("model.class_dropout is {share}, which is not in [0, 1)")]
    ClassDropout { share: String },
}

/// Checks that `model` can be built for such images.
pub fn check(model: &spec::Model, data_shape: impl Into<DataShape>) -> Result<(), ModelError> {
    let data_shape = data_shape.into();
    if !(0.0..1.0).contains(&model.class_dropout()) {
        return Err(ModelError::ClassDropout { share: model.class_dropout().to_string() });
    }
    if model.class_conditional() && data_shape.classes.is_none() {
        return Err(ModelError::NoClasses);
    }
    match model {
        spec::Model::Unet(unet) => unet::check(unet, (data_shape.channels, data_shape.side)),
        spec::Model::Adm(adm) => adm::check(adm, (data_shape.channels, data_shape.side)),
        spec::Model::Dit(dit) => dit::check(dit, data_shape.side),
        spec::Model::Uvit(uvit) => uvit::check(uvit, data_shape.side),
    }
}

/// Number of parameters of `model` for such images, without making any tensor.
pub fn parameter_count(model: &spec::Model, data_shape: impl Into<DataShape>) -> usize {
    describe(model, data_shape.into(), None).parameter_count()
}

/// The same with what a run's training adds to its network: see [`build_for`].
pub fn parameter_count_for(spec: &RunSpec) -> usize {
    describe_for(spec).parameter_count()
}

/// (outputs, inputs of each) of the weights of hidden layers of a run's network: see [`ParameterLayout::hidden_matrix`].
pub fn hidden_matrices(spec: &RunSpec) -> Vec<(usize, usize)> {
    describe_for(spec).layout.iter().filter_map(ParameterLayout::hidden_matrix).collect()
}

/// Floating-point operations of the forward pass of one image: twice the multiply-adds of its convolutions, linear
/// maps and attention. A training step costs about three times as much.
pub fn forward_flops(model: &spec::Model, data_shape: impl Into<DataShape>) -> f64 {
    describe(model, data_shape.into(), None).flops
}

/// The same in a run's training after `step` steps, where tokens may go around blocks, or be aligned with a frozen network's features.
pub fn training_forward_flops(spec: &RunSpec, step: u64) -> f64 {
    describe_training(spec, step, seen_side(spec, step)).flops
}

/// Bytes of the outputs of all layers for one image.
pub fn activation_bytes(model: &spec::Model, data_shape: impl Into<DataShape>) -> usize {
    describe(model, data_shape.into(), None).activations * size_of::<f32>()
}

/// The mean of [`training_forward_flops`] over what the step after `step` steps may draw: the size of its crops.
pub fn mean_training_forward_flops(spec: &RunSpec, step: u64) -> f64 {
    let of_parts = drawn_sides(spec, step);
    of_parts.into_iter().map(|(side, share)| share * describe_training(spec, step, side).flops).sum()
}

/// Bytes that a run's training keeps for the backward pass of a batch, at most: the outputs of all layers.
pub fn training_activation_bytes(spec: &RunSpec) -> usize {
    let sizes = spec.train.batch_sizes();
    let at = |step: u64| {
        let sides = drawn_sides(spec, step).into_iter();
        sides.map(|(side, _)| describe_training(spec, step, side).activations * sizes.at(step)).max().unwrap_or(0)
    };
    spec.phases().into_iter().map(at).max().unwrap_or(0) * size_of::<f32>()
}

/// (side of what the network sees in the step after `step` steps, its probability).
fn drawn_sides(spec: &RunSpec, step: u64) -> Vec<(usize, f64)> {
    match spec.patch_diffusion.schedule {
        PatchSchedule::Progressive => vec![(seen_side(spec, step), 1.0)],
        PatchSchedule::Stochastic => {
            let parts = spec.patch_diffusion.parts();
            parts.into_iter().map(|(size, share)| (crops::crop_side(spec.side_at(step), size), share)).collect()
        }
    }
}

/// The network as the step after `step` steps of a run trains it, for each image, of which it sees `side` pixels in a row.
fn describe_training(spec: &RunSpec, step: u64, side: usize) -> Architecture {
    let data_shape = spec.data.shape();
    let model = spec.model.at_side(data_shape.side, side);
    let (alignment, detour) = (&spec.auxiliary_losses.alignment, Detour::at(spec, step));
    let mut architecture = describe(&model, DataShape { side, ..data_shape }, detour);
    if step < alignment.steps(spec.train.steps) {
        let tokens = Detour::patches_after(detour, alignment.block, model.patches(side));
        describe_projection(spec, tokens, &mut architecture);
    }
    architecture
}

/// The network of [`build_for`], as it is without a detour.
fn describe_for(spec: &RunSpec) -> Architecture {
    let data_shape = spec.data.shape();
    let mut architecture = describe(&spec.model, data_shape, None);
    describe_projection(spec, spec.model.patches(data_shape.side), &mut architecture);
    architecture
}

/// What aligns so many tokens of each image, where a run aligns them.
fn describe_projection(spec: &RunSpec, tokens: usize, architecture: &mut Architecture) {
    if let Some(widths) = Projection::widths(spec) {
        Projection::describe(architecture, widths, tokens);
    }
}

fn describe(model: &spec::Model, data_shape: DataShape, detour: Option<Detour>) -> Architecture {
    let mut architecture = Architecture::default();
    Body::describe(model, data_shape, detour, &mut architecture);
    architecture
}
