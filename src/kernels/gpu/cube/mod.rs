//! The kernels, in CubeCL, and how they are launched. Their numbers are f32, but for factors of products and the gradients of these, which may be bf16.

// The attribute `cube` makes a module and a generic of its own of each function.
#![allow(clippy::too_many_arguments, clippy::cast_lossless, missing_docs)]

mod activation;
mod attention;
mod images;
mod images_kernels;
mod mask;
mod norm;
mod norm_kernels;
mod parts;
mod update;

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn::tensor::{DType, Shape};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_dtype;
use burn_cubecl::ops::{permute_nchw_to_nhwc, permute_nhwc_to_nchw};
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use crate::kernels::Products;

/// Threads of a workgroup where that is not a matter of what they do together.
const UNITS: u32 = 256;

/// Rows of numbers, one after the other, at the tensor's own place in memory.
fn rows(tensor: CubeTensor) -> CubeTensor {
    assert_eq!(tensor.dtype, DType::F32, "this kernel is of f32");
    into_contiguous(tensor)
}

/// [`rows`] of a tensor that may be rounded, and its type as a kernel is given it.
fn rows_of_type(tensor: CubeTensor) -> (CubeTensor, ElemType) {
    assert!(matches!(tensor.dtype, DType::F32 | DType::BF16), "our kernels are of f32 and bf16");
    let element = dtype_to_storage_type(tensor.dtype);
    (into_contiguous(tensor), element)
}

/// A tensor that a kernel is about to write.
fn unwritten(like: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    unwritten_factor(like, shape, Products::F32).0
}

/// A factor of products that a kernel is about to write, and its type as the kernel is given it.
fn unwritten_factor(like: &CubeTensor, shape: impl Into<Shape>, factor_of: Products) -> (CubeTensor, ElemType) {
    let dtype = match factor_of {
        Products::F32 => DType::F32,
        Products::Bf16 => DType::BF16,
    };
    let tensor = empty_device_dtype(like.client.clone(), like.device.clone(), shape.into(), dtype);
    (tensor, dtype_to_storage_type(dtype))
}

/// `count` workgroups or a few more, in two dimensions: none may have 2^16 or more.
fn workgroups(count: usize) -> CubeCount {
    let columns = count.clamp(1, 1 << 15);
    CubeCount::Static(small(columns), small(count.div_ceil(columns).max(1)), 1)
}

/// How images `[batch, channels, height, width]` lie in memory.
#[derive(Clone, Copy)]
struct Images {
    batch: usize,
    channels: usize,
    pixels: usize,
    /// Pixel by pixel, with all channels of a pixel together, as convolutions leave them; else channel by channel.
    by_pixel: bool,
}

impl Images {
    /// `tensor` in one of the two orders: its own, if it has one of them. What is given back has the shape of its order.
    fn of(tensor: CubeTensor) -> (CubeTensor, Self) {
        assert_eq!(tensor.dtype, DType::F32, "this kernel is of f32");
        let (tensor, _, images) = Self::of_type(tensor);
        (tensor, images)
    }

    /// [`Self::of`] a tensor that may be rounded, and its type.
    fn of_type(tensor: CubeTensor) -> (CubeTensor, ElemType, Self) {
        let [batch, channels, height, width] = tensor.shape().dims();
        let pixels = height * width;
        // Of one pixel both orders are the same, and that of pixels has beside each other what is read beside each other.
        let mut images = Self { batch, channels, pixels, by_pixel: pixels == 1 };
        let mut ordered = tensor;
        if !ordered.is_contiguous() {
            let by_pixel = permute_nchw_to_nhwc(ordered.clone());
            images.by_pixel = by_pixel.is_contiguous();
            ordered = if images.by_pixel { by_pixel } else { ordered };
        }
        let (tensor, element) = rows_of_type(ordered);
        (tensor, element, images)
    }

    /// Another tensor of the shape, in this order.
    fn like(self, tensor: CubeTensor) -> CubeTensor {
        rows(if self.by_pixel { permute_nchw_to_nhwc(tensor) } else { tensor })
    }

    /// [`Self::like`] of a tensor that may be rounded, and its type.
    fn like_of_type(self, tensor: CubeTensor) -> (CubeTensor, ElemType) {
        rows_of_type(if self.by_pixel { permute_nchw_to_nhwc(tensor) } else { tensor })
    }

    /// A tensor in this order that a kernel is about to write.
    fn unwritten(self, like: &CubeTensor, shape: [usize; 4]) -> CubeTensor {
        self.unwritten_factor(like, shape, Products::F32).0
    }

    /// A factor of products in this order that a kernel is about to write, and its type.
    fn unwritten_factor(
        self,
        like: &CubeTensor,
        [batch, channels, height, width]: [usize; 4],
        factor_of: Products,
    ) -> (CubeTensor, ElemType) {
        let shape = if self.by_pixel { [batch, height, width, channels] } else { [batch, channels, height, width] };
        unwritten_factor(like, shape, factor_of)
    }

    /// A tensor in this order as everybody else sees it: `[batch, channels, height, width]`.
    fn seen(self, tensor: CubeTensor) -> CubeTensor {
        if self.by_pixel { permute_nhwc_to_nchw(tensor) } else { tensor }
    }
}

/// `number` as kernels are given it.
fn small(number: usize) -> u32 {
    u32::try_from(number).expect("tensors on a device have fewer than 2^32 values")
}

/// x / (1 + e^-x).
#[cube]
fn silu(value: f32) -> f32 {
    value / (1.0f32 + (-value).exp())
}

/// The derivative of [`silu`].
#[cube]
fn silu_slope(value: f32) -> f32 {
    let share = 1.0f32 / (1.0f32 + (-value).exp());
    share * (1.0f32 + value * (1.0f32 - share))
}
