//! Convolutional networks whose weights no longer change: those that features of images are taken from.
//!
//! Sixteen images pass through a network at a time, one in each lane. What follows a convolution (bias, residual,
//! activation) happens while its sums are in registers, and the parts of a concatenation are written where they belong.
//! [`FusedFrozen`] is for the CPU; [`PlainFrozen`] says the same in burn's own operations, on any device.

mod convolution;
mod depthwise;
mod layer;
mod plain;
mod planes;
mod pool;
mod window;

pub use layer::{Activation, FrozenConvolution, FrozenDepthwise};
pub use plain::PlainFrozen;
pub use planes::{FusedFrozen, IMAGES_AT_ONCE};
pub use window::{Edges, Window};

/// What a frozen network is made of, on some device.
pub trait FrozenKernels {
    /// Up to [`IMAGES_AT_ONCE`] images in the middle of a network.
    type Planes;

    /// Images of `[height, width, channels]` each.
    fn enter(&self, images: &[Vec<f32>], shape: [usize; 3]) -> Self::Planes;

    /// The results of all parts, one after the other as channels. Their planes have one size.
    fn join(&self, parts: &[Part<'_, Self::Planes>]) -> Self::Planes;

    /// The mean of each plane of the first `count` images: `[count, channels]`.
    fn means(&self, planes: &Self::Planes, count: usize) -> Vec<f32>;

    fn apply(&self, operation: Operation<'_>, input: &Self::Planes) -> Self::Planes {
        self.join(&[Part { operation, input, added: None }])
    }
}

/// An operation and what it is applied to.
pub struct Part<'a, P> {
    pub operation: Operation<'a>,
    pub input: &'a P,
    /// Added to the result of a convolution before its activation.
    pub added: Option<&'a P>,
}

#[derive(Clone, Copy)]
pub enum Operation<'a> {
    Convolution(&'a FrozenConvolution),
    Depthwise(&'a FrozenDepthwise),
    MaxPool(Window),
    /// The mean of the pixels inside the planes: what lies outside does not count.
    AveragePool(Window),
}
