//! Operations of GPUs that burn needs many launches for, or rearranges images for, as kernels of our own: norms with what follows them, attention,
//! sums, masks of dropout, parameters in a row and apart, the update of
//! Adam. Each is compiled by CubeCL for whatever GPU there is, and has a twin in plain loops on the host, which the tests of the
//! derivatives run on. A GPU's kernels are compared with the CPU by each run before it trains (`train/comparison.rs`).
//!
//! Activations are `[batch, channels, height, width]`, as those of [`super::Kernels::Plain`]. They are f32. With products of bf16 the outputs of norms and of
//! GELU, which are factors of products alone, are rounded as they are written, and so are the gradients that products have for them.

mod activation;
mod attention;
mod autodiff;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod cube;
mod images;
mod linear;
mod mask;
mod norm;
mod parts;
mod sums;
mod tensors;
mod token_twin;
mod twin;
mod update;

use burn::backend::Dispatch;
use burn::tensor::Tensor;

pub use self::activation::{Curve, activate};
pub use self::attention::attention;
use self::autodiff::DeviceNorms;
pub use self::images::{added, concatenate, convolution, gated_sum};
pub use self::mask::DrawnMask;
use self::mask::MaskKernels;
use self::norm::{Norm, Over};
pub use self::parts::{Part, apart, joined};
pub use self::update::update;
use super::Products;
use super::group_norm::GroupNorm;

/// See [`super::Kernels::group_norm`].
pub fn group_norm(
    products: Products,
    input: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    norm: GroupNorm,
) -> Tensor<4> {
    normalize(input, scale.unsqueeze(), shift.unsqueeze(), of_groups(norm, products))
}

/// See [`super::Kernels::group_norm_modulated`].
pub fn group_norm_modulated(
    products: Products,
    input: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    modulation: Tensor<4>,
    norm: GroupNorm,
) -> Tensor<4> {
    let [batch, channels, ..] = input.dims();
    let modulation = modulation.reshape([batch, 2 * channels]);
    let factor = modulation.clone().narrow(1, 0, channels) + 1.0;
    let scale = factor.clone() * scale.unsqueeze();
    let shift = factor * shift.unsqueeze() + modulation.narrow(1, channels, channels);
    normalize(input, scale, shift, of_groups(norm, products))
}

/// See [`super::Kernels::layer_norm`].
pub fn layer_norm(products: Products, input: Tensor<4>, scale: Tensor<1>, shift: Tensor<1>, epsilon: f32) -> Tensor<4> {
    normalize(input, scale.unsqueeze(), shift.unsqueeze(), of_channels(epsilon, products))
}

/// See [`super::Kernels::modulated_norm`].
pub fn modulated_norm(
    products: Products,
    input: Tensor<4>,
    scale: Tensor<4>,
    shift: Tensor<4>,
    epsilon: f32,
) -> Tensor<4> {
    let [batch, channels, ..] = input.dims();
    let (scale, shift) = (scale.reshape([batch, channels]) + 1.0, shift.reshape([batch, channels]));
    normalize(input, scale, shift, of_channels(epsilon, products))
}

fn of_groups(GroupNorm { groups, silu, epsilon }: GroupNorm, factor_of: Products) -> Norm {
    Norm { over: Over::Groups(groups), silu, epsilon, factor_of }
}

fn of_channels(epsilon: f32, factor_of: Products) -> Norm {
    Norm { over: Over::Channels, silu: false, epsilon, factor_of }
}

/// `scale` and `shift` are `[batch, channels]`, or `[1, channels]` where all images have the same.
fn normalize(input: Tensor<4>, scale: Tensor<2>, shift: Tensor<2>, norm: Norm) -> Tensor<4> {
    norm.check(input.dims());
    let output = Dispatch::device_norm(input.into_dispatch(), scale.into_dispatch(), shift.into_dispatch(), norm);
    Tensor::from_dispatch(output)
}

/// The pixels of images as planes of another height and width. Those that lie pixel by pixel are not rearranged, and so lies the result.
pub fn as_planes(images: Tensor<4>, height: usize, width: usize) -> Tensor<4> {
    let [batch, channels, ..] = images.dims();
    by_channel(by_pixel(images).reshape([batch, height, width, channels]))
}

/// See [`super::Kernels::join_rows`].
pub fn join_rows(rows: Vec<Tensor<4>>) -> Tensor<4> {
    by_channel(Tensor::cat(rows.into_iter().map(by_pixel).collect(), 2))
}

/// The last `count` pixels of a row.
pub fn end_of_row(row: Tensor<4>, count: usize) -> Tensor<4> {
    let pixels = row.dims()[3];
    if count == pixels { row } else { by_channel(by_pixel(row).narrow(2, pixels - count, count)) }
}

/// `[batch, height, width, channels]`.
fn by_pixel(images: Tensor<4>) -> Tensor<4> {
    images.permute([0, 2, 3, 1])
}

/// The inverse of [`by_pixel`].
fn by_channel(pixels: Tensor<4>) -> Tensor<4> {
    pixels.permute([0, 3, 1, 2])
}

/// The mask, of the host's bits; `step` is `[2]`: see [`DrawnMask`].
pub fn dropout_mask(step: Tensor<1>, mask: DrawnMask) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::device_dropout_mask(step.into_dispatch(), mask))
}
