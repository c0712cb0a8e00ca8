use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, backend_extension};

use super::super::Products;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
use super::linear::rounded_spec;

/// Mean 0 and variance 1, then scale and shift per channel, then SiLU if `silu`.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    pub over: Over,
    pub silu: bool,
    /// Added to the variances.
    pub epsilon: f32,
    /// What the output is a factor of: it is rounded as such.
    pub factor_of: Products,
}

/// What has a mean and a variance of its own.
#[derive(Clone, Copy, Debug)]
pub enum Over {
    /// Each of so many groups of an image's channels, with all their pixels: GroupNorm (Wu and He 2018, arXiv 1803.08494).
    Groups(usize),
    /// Each pixel, with all its channels: LayerNorm (Ba et al. 2016, arXiv 1607.06450) of tokens.
    Channels,
}

impl Norm {
    /// How many means there are of images `[batch, channels, height, width]`.
    pub fn means(self, [batch, _, height, width]: [usize; 4]) -> usize {
        match self.over {
            Over::Groups(groups) => batch * groups,
            Over::Channels => batch * height * width,
        }
    }

    /// # Panics
    /// If the groups do not divide the channels.
    pub fn check(self, [_, channels, ..]: [usize; 4]) {
        if let Over::Groups(groups) = self.over {
            assert!(channels.is_multiple_of(groups), "{groups} groups do not divide {channels} channels");
        }
    }
}

/// The two passes of a norm. `input` is `[batch, channels, height, width]`, `scale` and `shift` are `[batch, channels]` or `[1, channels]`.
/// `statistics` are the mean and one over the standard deviation, `[means, 2]`. The gradient may be rounded as the output is; all else is f32.
#[backend_extension(
    Flex,
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    Fusion: cfg(any(feature = "wgpu", feature = "cuda"))
)]
pub trait NormKernels: Backend {
    /// The output and the statistics.
    #[fusion(meta = |input, _, _, norm| (rounded_spec(input, norm.factor_of), specs::statistics(input, norm)))]
    fn norm_forward(
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        norm: Norm,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// The gradients with respect to the input, to the scale and to the shift.
    #[fusion(meta = |_, input, scale, shift, _, _| (input.clone(), scale.clone(), shift.clone()))]
    fn norm_backward(
        gradient: FloatTensor<Self>,
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        norm: Norm,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// What fused operations are told of results that are still to be computed.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod specs {
    use burn::backend::fusion::custom::TensorSpec;
    use burn::tensor::Shape;

    use super::Norm;

    pub fn statistics(input: &TensorSpec, norm: &Norm) -> TensorSpec {
        TensorSpec::new(Shape::from([norm.means(input.shape.dims()), 2]), input.dtype)
    }
}
