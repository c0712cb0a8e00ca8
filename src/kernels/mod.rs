//! The few operations that diffusion networks spend their time in, fused for the CPU.
//!
//! [`Kernels`] is the only place where a device chooses between them and their plain-burn twins; both keep the
//! activations of a network in a layout of their own, entered and left through [`Kernels`].
//! Wrong shapes are programming errors here and panic with a message; sweeps are checked long before.

#![expect(clippy::needless_range_loop, reason = "loops over a tile's registers read as the sums that they are")]

mod attention;
mod concatenate;
mod convolution;
mod convolution_extension;
mod convolution_shape;
mod extension;
pub mod frozen;
mod gated_sum;
mod gelu;
mod gpu;
mod group_norm;
mod group_norm_extension;
mod image_operations;
mod image_sum;
mod implementation;
mod lanes;
mod layer_norm;
mod panel;
mod parallel;
mod plain;
mod planes;
mod pointwise;
mod pointwise_gradient;
mod resize;
mod scratch;
mod silu;
mod storage;
mod sums;
mod taps;
mod team;
mod token_choice;
mod token_choice_extension;
mod token_extension;
mod token_operations;
mod weight_gradient;
mod winograd;

pub use convolution_shape::{Convolution, Resample};
use frozen::Activation;
pub use gelu::Gelu;
pub use gpu::{DrawnMask, Part, apart, dropout_mask, joined, update};
pub use group_norm::GroupNorm;
pub use implementation::{Kernels, NoPrecision, OWN_KERNELS_VARIABLE, Products, has_own_gpu_kernels, has_tf32};
pub use lanes::multiplies_bf16;
#[cfg(test)]
pub use lanes::tests::without_bf16;
pub use token_choice::TokenChoice;
