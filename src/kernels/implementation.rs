use std::sync::OnceLock;

use burn::backend::DispatchDevice;
use burn::tensor::{Device, FloatDType, Tensor};

use super::lanes::{LANES, multiplies_bf16};

/// Which implementation of the operations a network uses. Its tensors between [`Kernels::enter`] and
/// [`Kernels::leave`] are in the layout of the implementation, and only to be given back to it (or to
/// elementwise operations between tensors of equal shape).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// burn's own operations, on any device. Layout `[batch, channels, height, width]`.
    ///
    /// With products of bf16, the inputs and weights of convolutions, linear maps and attention's two products are
    /// rounded to bf16, and so are their results before they are f32 again; everything else is f32.
    Plain(Products),
    /// As [`Self::Plain`], with kernels of our own where burn's operations are many or rearrange images: for GPUs.
    Gpu(Products),
    /// Our own operations, on burn's Flex device. Layout `[height, width, channels, batch]`, the batch padded with
    /// zero images to a multiple of 16: sixteen images are computed at once, so that the smallest planes are as fast
    /// as large ones, and nothing is rearranged between operations.
    ///
    /// With products of bf16, the factors of linear maps, of attention's products and of Winograd's products (3x3 convolutions that keep or
    /// double the sides, with 8 channels and more: planes and kernels after their transforms), forwards and backwards, are rounded to bf16;
    /// sums and everything else are f32, except that LayerNorm, [`Kernels::branch_map`], attention and GELU give planes of bf16 where
    /// channels come in pairs, to be taken by each other, by linear maps and by [`Kernels::gated_sum`]: [`Kernels::whole`] makes them f32.
    Fused(Products),
}

/// What is multiplied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Products {
    #[default]
    F32,
    Bf16,
}

/// Why a device is not to multiply in a precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPrecision {
    /// TF32 is a format of tensor cores.
    #[error("the CPU has no tf32")]
    CpuTf32,
    /// Without its instructions, bf16 would be slower than f32.
    #[error("this processor has no instructions for products of bf16 (AVX512-BF16)")]
    CpuBf16,
    #[error("this device has no bf16")]
    NoBf16,
    #[error("this device has no tf32")]
    NoTf32,
}

impl Kernels {
    /// The best implementation for `device`, in f32. This and its siblings for bf16 and tf32 are the one place where a device
    /// chooses.
    pub fn for_device(device: &Device) -> Self {
        match device.clone().without_autodiff().as_dispatch() {
            DispatchDevice::Flex(_) => Self::Fused(Products::F32),
            _ if has_own_gpu_kernels() => Self::Gpu(Products::F32),
            _ => Self::Plain(Products::F32),
        }
    }

    /// The best implementation for `device` whose products are of bf16.
    pub fn bf16_for_device(device: &Device) -> Result<Self, NoPrecision> {
        match Self::for_device(device) {
            Self::Fused(_) if multiplies_bf16() => Ok(Self::Fused(Products::Bf16)),
            Self::Fused(_) => Err(NoPrecision::CpuBf16),
            Self::Gpu(_) | Self::Plain(_) if !device.clone().without_autodiff().supports_dtype(FloatDType::BF16) => {
                Err(NoPrecision::NoBf16)
            }
            Self::Gpu(_) => Ok(Self::Gpu(Products::Bf16)),
            Self::Plain(_) => Ok(Self::Plain(Products::Bf16)),
        }
    }

    /// The best implementation for `device` whose products are of tf32: where a device has it, burn's tuning takes it for the
    /// products of f32.
    pub fn tf32_for_device(device: &Device) -> Result<Self, NoPrecision> {
        match Self::for_device(device) {
            Self::Fused(_) => Err(NoPrecision::CpuTf32),
            kernels if has_tf32(&device.clone().without_autodiff()) => Ok(kernels),
            _ => Err(NoPrecision::NoTf32),
        }
    }

    /// Brings images `[batch, channels, height, width]` into the layout.
    pub fn enter(self, images: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Plain(_) | Self::Gpu(_) => images,
            Self::Fused(_) => {
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

    /// The side of square planes.
    pub fn side(self, activations: &Tensor<4>) -> usize {
        match self {
            Self::Plain(_) | Self::Gpu(_) => activations.dims()[2],
            Self::Fused(_) => activations.dims()[0],
        }
    }

    /// Back to `[batch, channels, height, width]`.
    pub fn leave(self, activations: Tensor<4>, batch: usize) -> Tensor<4> {
        match self {
            Self::Plain(_) | Self::Gpu(_) => activations,
            Self::Fused(_) => activations.narrow(3, 0, batch).permute([3, 2, 0, 1]),
        }
    }
}

/// Set to `0` in a process's environment, GPUs compute by burn's kernels alone.
pub const OWN_KERNELS_VARIABLE: &str = "SPEEDLAB_OWN_KERNELS";

/// Whether GPUs compute by kernels of our own where there are some; the same all the time that a process lives.
pub fn has_own_gpu_kernels() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| std::env::var_os(OWN_KERNELS_VARIABLE).is_none_or(|value| value != "0"))
}

/// Whether a device, without automatic differentiation, has tensor cores that multiply in TF32.
#[cfg(feature = "cuda")]
pub fn has_tf32(device: &Device) -> bool {
    device.identity().is_some_and(|identity| is_ampere_or_later(&identity.fingerprint))
}

/// Whether kernels are compiled for NVIDIA's compute capability 8.0 or later, such as `ptx_sm90`: cubecl-cuda 0.11.3 offers TF32
/// from there on.
#[cfg(any(test, feature = "cuda"))]
fn is_ampere_or_later(compiled_for: &str) -> bool {
    let capability = compiled_for.strip_prefix("ptx_sm").and_then(|number| number.parse::<u32>().ok());
    capability.is_some_and(|capability| capability >= 80)
}

#[cfg(not(feature = "cuda"))]
pub fn has_tf32(_: &Device) -> bool {
    false
}

#[cfg(test)]
pub mod tests;
