use burn::backend::{Dispatch, DispatchDevice};
use burn::tensor::{Device, Tensor};

use super::attention::Attention;
use super::extension::FusedOperations;
use super::group_norm::GroupNorm;
use super::lanes::LANES;
use super::{Convolution, plain};

/// Which implementation of the operations a network uses. Its tensors between [`Kernels::enter`] and
/// [`Kernels::leave`] are in the layout of the implementation, and only to be given back to it (or to
/// elementwise operations between tensors of equal shape).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// burn's own operations, on any device. Layout `[batch, channels, height, width]`.
    Plain,
    /// Our own operations, on burn's Flex device. Layout `[height, width, channels, batch]`, the batch padded with
    /// zero images to a multiple of 16: sixteen images are computed at once, so that the smallest planes are as fast
    /// as large ones, and nothing is rearranged between operations.
    Fused,
}

impl Kernels {
    /// The best implementation for `device`. This is the one place where a device chooses.
    pub fn for_device(device: &Device) -> Self {
        match device.clone().without_autodiff().as_dispatch() {
            DispatchDevice::Flex(_) => Self::Fused,
            _ => Self::Plain,
        }
    }

    /// Brings images `[batch, channels, height, width]` into the layout.
    pub fn enter(self, images: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Plain => images,
            Self::Fused => {
                let [batch, channels, height, width] = images.dims();
                let planes = images.permute([2, 3, 1, 0]);
                let missing = batch.next_multiple_of(LANES) - batch;
                if missing == 0 {
                    return planes;
                }
                let padding = Tensor::zeros([height, width, channels, missing], &planes.device().without_autodiff());
                Tensor::cat(vec![planes, padding], 3)
            }
        }
    }

    /// Brings vectors `[batch, channels]` into the layout, as planes of one pixel.
    pub fn enter_vectors(self, vectors: Tensor<2>) -> Tensor<4> {
        let [batch, channels] = vectors.dims();
        self.enter(vectors.reshape([batch, channels, 1, 1]))
    }

    /// Back to `[batch, channels, height, width]`.
    pub fn leave(self, activations: Tensor<4>, batch: usize) -> Tensor<4> {
        match self {
            Self::Plain => activations,
            Self::Fused => activations.narrow(3, 0, batch).permute([3, 2, 0, 1]),
        }
    }

    /// Convolution with bias; weights and bias flat as [`Convolution`] says.
    pub fn convolution(self, shape: Convolution, input: Tensor<4>, weight: Tensor<1>, bias: Tensor<1>) -> Tensor<4> {
        match self {
            Self::Plain => plain::convolution(shape, input, weight, bias),
            Self::Fused => Tensor::from_dispatch(Dispatch::fused_convolution(
                input.into_dispatch(),
                weight.into_dispatch(),
                bias.into_dispatch(),
                shape,
            )),
        }
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
        match self {
            Self::Plain => plain::convolution(shape, input, weight, bias) + added,
            Self::Fused => Tensor::from_dispatch(Dispatch::fused_convolution_added(
                input.into_dispatch(),
                weight.into_dispatch(),
                bias.into_dispatch(),
                added.into_dispatch(),
                shape,
            )),
        }
    }

    /// GroupNorm with `scale` and `shift` per channel (Wu and He 2018, epsilon 1e-5), then SiLU if `silu`.
    ///
    /// # Panics
    /// If the groups do not divide the channels.
    pub fn group_norm(
        self,
        input: Tensor<4>,
        scale: Tensor<1>,
        shift: Tensor<1>,
        groups: usize,
        silu: bool,
    ) -> Tensor<4> {
        match self {
            Self::Plain => plain::group_norm(input, scale, shift, groups, silu),
            Self::Fused => Tensor::from_dispatch(Dispatch::fused_group_norm(
                input.into_dispatch(),
                scale.into_dispatch(),
                shift.into_dispatch(),
                GroupNorm { groups, silu },
            )),
        }
    }

    /// x * sigmoid(x).
    pub fn silu(self, input: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Plain => burn::tensor::activation::silu(input),
            Self::Fused => Tensor::from_dispatch(Dispatch::fused_silu(input.into_dispatch())),
        }
    }

    /// Self-attention between the pixels of each image: softmax(q k^T / sqrt(head channels)) v per head.
    /// `input` holds 3 * channels: queries, keys, values, and within each the heads one after the other.
    ///
    /// # Panics
    /// If the heads do not divide the channels.
    pub fn attention(self, input: Tensor<4>, heads: usize) -> Tensor<4> {
        match self {
            Self::Plain => plain::attention(input, heads),
            Self::Fused => Tensor::from_dispatch(Dispatch::fused_attention(input.into_dispatch(), Attention { heads })),
        }
    }

    /// The channels of `first`, then those of `second`.
    pub fn concatenate(self, first: Tensor<4>, second: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Plain => Tensor::cat(vec![first, second], 1),
            Self::Fused => {
                Tensor::from_dispatch(Dispatch::fused_concatenate(first.into_dispatch(), second.into_dispatch()))
            }
        }
    }

    /// The mean of each plane, `[batch, channels]`.
    pub fn plane_means(self, input: Tensor<4>, batch: usize) -> Tensor<2> {
        match self {
            Self::Plain => {
                let [_, channels, height, width] = input.dims();
                input.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels])
            }
            Self::Fused => {
                let [height, width, channels, padded] = input.dims();
                let means = input.reshape([height * width, channels * padded]).mean_dim(0);
                means.reshape([channels, padded]).narrow(1, 0, batch).swap_dims(0, 1)
            }
        }
    }
}
