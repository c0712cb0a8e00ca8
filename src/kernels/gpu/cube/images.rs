//! Sums of channels, and channels beside channels, of images in whichever order they lie.

use burn::backend::TensorMetadata;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::super::images::DeviceImages;
use super::super::linear::DeviceLinear;
use super::super::sums::ImageKernels;
use super::images_kernels::{add_bias, join, take_apart, totals};
use super::norm::CHANNEL_LANES;
use super::{Images, UNITS, rows, small, unwritten, workgroups};

/// Pixels that a workgroup adds up.
const CHUNK: usize = 1024;
/// Rows of workgroups that a device has at least.
const MOST_ROWS: usize = 65_535;

/// The sums of `rows` rows of pixels, or of their products with factors in the same order, `[rows, channels]`.
fn sums(tensor: CubeTensor, factors: Option<CubeTensor>, images: Images, rows: usize) -> CubeTensor {
    let Images { batch, channels, pixels, by_pixel } = images;
    assert!(rows <= MOST_ROWS, "{rows} images in one batch are more than a device adds up");
    let row = batch * pixels / rows;
    let chunks = row.div_ceil(CHUNK).min(MOST_ROWS / rows);
    let chunk = row.div_ceil(chunks);
    let lanes = if by_pixel { CHANNEL_LANES } else { 1 };
    let units = (chunk.div_ceil(2).next_power_of_two() * lanes as usize).clamp(32, UNITS as usize);
    let output = unwritten(&tensor, [rows * chunks, channels]);
    let are_products = factors.is_some();
    // What is not there is not read.
    let factors = factors.unwrap_or_else(|| tensor.clone());
    totals::launch(
        &tensor.client.clone(),
        CubeCount::Static(small(channels).div_ceil(lanes), small(rows * chunks), 1),
        CubeDim::new_1d(units as u32),
        tensor.into_buffer_arg(),
        factors.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        small(channels),
        small(pixels),
        small(row),
        small(chunk),
        small(chunks),
        units,
        lanes,
        by_pixel,
        are_products,
    );
    if chunks == 1 {
        return output;
    }
    sums(output, None, Images { batch: rows, channels, pixels: chunks, by_pixel: true }, rows)
}

impl ImageKernels for CubeBackend {
    fn channel_totals(images: CubeTensor, of_each: bool) -> CubeTensor {
        let (tensor, images) = Images::of(images);
        sums(tensor, None, images, if of_each { images.batch } else { 1 })
    }

    fn channel_products(images: CubeTensor, factors: CubeTensor) -> CubeTensor {
        let (tensor, images) = Images::of(images);
        let factors = images.like(factors);
        sums(tensor, Some(factors), images, images.batch)
    }

    fn with_bias(product: CubeTensor, bias: CubeTensor) -> CubeTensor {
        let shape = product.shape().dims();
        let (product, element, images) = Images::of_type(product);
        let output = images.unwritten(&product, shape);
        add_bias::launch(
            &output.client,
            workgroups(shape.iter().product::<usize>().div_ceil(UNITS as usize)),
            CubeDim::new_1d(UNITS),
            product.into_buffer_arg(),
            rows(bias).into_buffer_arg(),
            output.clone().into_buffer_arg(),
            small(images.channels),
            small(if images.by_pixel { 1 } else { images.pixels }),
            element,
        );
        images.seen(output)
    }

    fn channels_apart(images: CubeTensor, channels: usize) -> (CubeTensor, CubeTensor) {
        let [batch, all, height, width] = images.shape().dims();
        let (tensor, images) = Images::of(images);
        let [one, other] =
            [channels, all - channels].map(|channels| images.unwritten(&tensor, [batch, channels, height, width]));
        let beside = if images.by_pixel { 1 } else { images.pixels };
        take_apart::launch(
            &one.client,
            workgroups(tensor.shape().num_elements().div_ceil(UNITS as usize)),
            CubeDim::new_1d(UNITS),
            tensor.clone().into_buffer_arg(),
            one.clone().into_buffer_arg(),
            other.clone().into_buffer_arg(),
            small(channels * beside),
            small((all - channels) * beside),
        );
        (images.seen(one), images.seen(other))
    }
}

impl DeviceLinear for CubeBackend {}

impl DeviceImages for CubeBackend {
    fn device_concatenate(first: CubeTensor, second: CubeTensor) -> CubeTensor {
        let [batch, channels, height, width] = first.shape().dims();
        let others = second.shape()[1];
        assert_eq!(second.shape(), [batch, others, height, width].into(), "only images of one size are concatenated");
        let (first, images) = Images::of(first);
        let second = images.like(second);
        let output = images.unwritten(&first, [batch, channels + others, height, width]);
        let beside = if images.by_pixel { 1 } else { images.pixels };
        join::launch(
            &output.client,
            workgroups(output.shape().num_elements().div_ceil(UNITS as usize)),
            CubeDim::new_1d(UNITS),
            first.into_buffer_arg(),
            second.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            small(channels * beside),
            small(others * beside),
        );
        images.seen(output)
    }
}
