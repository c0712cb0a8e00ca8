use burn::tensor::{Device, Tensor};

use super::{Convolution, plain};

/// Which implementation of the operations a network uses. Its tensors between [`Kernels::enter`] and
/// [`Kernels::leave`] are in the layout of the implementation, and only to be given back to it (or to
/// elementwise operations between tensors of equal shape).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// burn's own operations, on any device. Layout `[batch, channels, height, width]`.
    Plain,
}

impl Kernels {
    /// The best implementation for `device`.
    pub fn for_device(_device: &Device) -> Self {
        Self::Plain
    }

    /// Brings images `[batch, channels, height, width]` into the layout.
    pub fn enter(self, images: Tensor<4>) -> Tensor<4> {
        images
    }

    /// Brings vectors `[batch, channels]` into the layout, as planes of one pixel.
    pub fn enter_vectors(self, vectors: Tensor<2>) -> Tensor<4> {
        let [batch, channels] = vectors.dims();
        self.enter(vectors.reshape([batch, channels, 1, 1]))
    }

    /// Back to `[batch, channels, height, width]`.
    pub fn leave(self, activations: Tensor<4>, batch: usize) -> Tensor<4> {
        let _ = batch;
        activations
    }

    /// Convolution with bias; weights and bias flat as [`Convolution`] says.
    pub fn convolution(self, shape: Convolution, input: Tensor<4>, weight: Tensor<1>, bias: Tensor<1>) -> Tensor<4> {
        plain::convolution(shape, input, weight, bias)
    }

    /// [`Kernels::convolution`] plus `added`, which has the shape of the output or one pixel per plane (which is
    /// then added to every pixel).
    pub fn convolution_added(
        self,
        shape: Convolution,
        input: Tensor<4>,
        weight: Tensor<1>,
        bias: Tensor<1>,
        added: Tensor<4>,
    ) -> Tensor<4> {
        plain::convolution(shape, input, weight, bias) + added
    }

    /// GroupNorm with `scale` and `shift` per channel (Wu and He 2018, epsilon 1e-5), then SiLU if `silu`.
    pub fn group_norm(
        self,
        input: Tensor<4>,
        scale: Tensor<1>,
        shift: Tensor<1>,
        groups: usize,
        silu: bool,
    ) -> Tensor<4> {
        plain::group_norm(input, scale, shift, groups, silu)
    }

    /// x * sigmoid(x).
    pub fn silu(self, input: Tensor<4>) -> Tensor<4> {
        burn::tensor::activation::silu(input)
    }

    /// Self-attention between the pixels of each image: softmax(q k^T / sqrt(head channels)) v per head.
    /// `input` holds 3 * channels: queries, keys, values, and within each the heads one after the other.
    pub fn attention(self, input: Tensor<4>, heads: usize) -> Tensor<4> {
        plain::attention(input, heads)
    }

    /// The channels of `first`, then those of `second`.
    pub fn concatenate(self, first: Tensor<4>, second: Tensor<4>) -> Tensor<4> {
        Tensor::cat(vec![first, second], 1)
    }

    /// The mean of each plane, `[batch, channels]`.
    pub fn plane_means(self, input: Tensor<4>, batch: usize) -> Tensor<2> {
        let _ = batch;
        let [batch, channels, height, width] = input.dims();
        input.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels])
    }
}
