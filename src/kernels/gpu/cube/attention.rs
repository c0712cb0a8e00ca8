//! Heads apart and together, and the softmax of rows.

use burn::backend::TensorMetadata;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::super::super::Products;
use super::super::attention::{AttentionKernels, DeviceAttention, forward};
use super::super::tensors::Tensors;
use super::norm_kernels::sum_of_workgroup;
use super::{Images, UNITS, rows, rows_of_type, small, unwritten, unwritten_factor, workgroups};

/// Where a number of a part lies in the images, of which it is part `part` of `parts`. `index` is its place in `[batch, heads, pixels, of_head]`.
#[cube]
fn place(
    index: usize,
    heads: usize,
    pixels: usize,
    of_head: usize,
    #[comptime] part: usize,
    #[comptime] parts: usize,
    #[comptime] by_pixel: bool,
) -> usize {
    let of_part = heads * of_head;
    let (row, within) = (index / of_head, index % of_head);
    let (pixel, head) = (row % pixels, row / pixels % heads);
    let image = row / pixels / heads;
    let channel = part * of_part + head * of_head + within;
    let mut place = (image * pixels + pixel) * parts * of_part + channel;
    if comptime!(!by_pixel) {
        place = (image * parts * of_part + channel) * pixels + pixel;
    }
    place
}

/// A thread for each number of a part, which takes that of all parts.
#[cube(launch)]
pub fn heads_apart<O: Numeric>(
    images: &[f32],
    parts: &mut Sequence<Box<[O]>>,
    count: u32,
    heads: u32,
    pixels: u32,
    of_head: u32,
    #[comptime] by_pixel: bool,
    #[define(O)] _element: ElemType,
) {
    let index = ABSOLUTE_POS;
    if index >= count as usize {
        terminate!();
    }
    let all = comptime!(parts.len());
    #[unroll]
    for part in 0..all {
        let values = parts.index_mut(part);
        let place = place(index, heads as usize, pixels as usize, of_head as usize, part, all, by_pixel);
        values[index] = O::cast_from(images[place]);
    }
}

/// The inverse of [`heads_apart`], into images that lie pixel by pixel.
#[cube(launch)]
pub fn heads_joined<P: Numeric>(
    images: &mut [f32],
    parts: &Sequence<Box<[P]>>,
    count: u32,
    heads: u32,
    pixels: u32,
    of_head: u32,
    #[define(P)] _element: ElemType,
) {
    let index = ABSOLUTE_POS;
    if index >= count as usize {
        terminate!();
    }
    let all = comptime!(parts.len());
    #[unroll]
    for part in 0..all {
        let values = parts.index(part);
        let place = place(index, heads as usize, pixels as usize, of_head as usize, part, all, true);
        images[place] = f32::cast_from(values[index]);
    }
}

/// A workgroup for each row.
#[cube(launch)]
pub fn softmax<S: Numeric>(
    scores: &[S],
    output: &mut [f32],
    rows: u32,
    columns: u32,
    scale: f32,
    #[comptime] units: usize,
    #[define(S)] _element: ElemType,
) {
    let mut shared = Shared::<[f32]>::new_slice(units);
    if CUBE_POS >= rows as usize {
        terminate!();
    }
    let start = CUBE_POS * columns as usize;
    let columns = columns as usize;
    let unit = UNIT_POS as usize;
    let mut largest = f32::cast_from(scores[start]) * scale;
    for column in range_stepped(unit, columns, units) {
        largest = max(largest, f32::cast_from(scores[start + column]) * scale);
    }
    shared[unit] = largest;
    sync_cube();
    let mut half = CUBE_DIM / 2;
    while half >= 1 {
        if UNIT_POS < half {
            let other = shared[unit + half as usize];
            shared[unit] = max(shared[unit], other);
        }
        half /= 2;
        sync_cube();
    }
    let largest = shared[0];
    let mut sum = 0.0f32;
    for column in range_stepped(unit, columns, units) {
        sum += (f32::cast_from(scores[start + column]) * scale - largest).exp();
    }
    let inverse = 1.0f32 / sum_of_workgroup(&mut shared, sum, 1u32);
    for column in range_stepped(unit, columns, units) {
        output[start + column] = (f32::cast_from(scores[start + column]) * scale - largest).exp() * inverse;
    }
}

/// The gradient of the scores of each row: a workgroup for it.
#[cube(launch)]
pub fn softmax_backward<G: Numeric, O: Numeric>(
    gradient: &[G],
    shares: &[f32],
    output: &mut [O],
    rows: u32,
    columns: u32,
    scale: f32,
    #[comptime] units: usize,
    #[define(G, O)] _element: [ElemType; 2],
) {
    let mut shared = Shared::<[f32]>::new_slice(units);
    if CUBE_POS >= rows as usize {
        terminate!();
    }
    let start = CUBE_POS * columns as usize;
    let columns = columns as usize;
    let unit = UNIT_POS as usize;
    let mut sum = 0.0f32;
    for column in range_stepped(unit, columns, units) {
        sum += f32::cast_from(gradient[start + column]) * shares[start + column];
    }
    let mean = sum_of_workgroup(&mut shared, sum, 1u32);
    for column in range_stepped(unit, columns, units) {
        let along = f32::cast_from(gradient[start + column]) - mean;
        output[start + column] = O::cast_from(scale * shares[start + column] * along);
    }
}

/// Rows, columns, and the threads of a row: enough for two numbers each, and a power of two.
fn of_rows(tensor: &CubeTensor) -> (usize, usize, usize) {
    let [batch, heads, rows, columns] = tensor.shape().dims();
    (batch * heads * rows, columns, columns.div_ceil(2).next_power_of_two().clamp(32, UNITS as usize))
}

impl AttentionKernels for CubeBackend {
    fn heads_apart(images: CubeTensor, parts: usize, heads: usize, factor_of: Products) -> Tensors<Self> {
        let (tensor, images) = Images::of(images);
        let Images { batch, channels, pixels, by_pixel } = images;
        let of_head = channels / parts / heads;
        let shape = [batch, heads, pixels, of_head];
        let apart = (0..parts).map(|_| unwritten_factor(&tensor, shape, factor_of));
        let (apart, elements): (Vec<CubeTensor>, Vec<ElemType>) = apart.unzip();
        let count = batch * heads * pixels * of_head;
        heads_apart::launch(
            &tensor.client.clone(),
            workgroups(count.div_ceil(UNITS as usize)),
            CubeDim::new_1d(UNITS),
            tensor.into_buffer_arg(),
            apart.iter().map(|part| part.clone().into_buffer_arg()).collect(),
            small(count),
            small(heads),
            small(pixels),
            small(of_head),
            by_pixel,
            elements[0],
        );
        Tensors(apart)
    }

    fn heads_joined(parts: Tensors<Self>, [height, width]: [usize; 2]) -> CubeTensor {
        let (parts, elements): (Vec<CubeTensor>, Vec<ElemType>) = parts.0.into_iter().map(rows_of_type).unzip();
        let [batch, heads, pixels, of_head] = parts[0].shape().dims();
        let channels = parts.len() * heads * of_head;
        let images = Images { batch, channels, pixels, by_pixel: true };
        let output = images.unwritten(&parts[0], [batch, channels, height, width]);
        let count = batch * heads * pixels * of_head;
        heads_joined::launch(
            &output.client,
            workgroups(count.div_ceil(UNITS as usize)),
            CubeDim::new_1d(UNITS),
            output.clone().into_buffer_arg(),
            parts.into_iter().map(CubeTensor::into_buffer_arg).collect(),
            small(count),
            small(heads),
            small(pixels),
            small(of_head),
            elements[0],
        );
        images.seen(output)
    }

    fn scaled_softmax(scores: CubeTensor, scale: f32) -> CubeTensor {
        let (scores, element) = rows_of_type(scores);
        let (count, columns, units) = of_rows(&scores);
        let output = unwritten(&scores, scores.shape());
        softmax::launch(
            &output.client,
            workgroups(count),
            CubeDim::new_1d(units as u32),
            scores.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            small(count),
            small(columns),
            scale,
            units,
            element,
        );
        output
    }

    fn scaled_softmax_backward(
        gradient: CubeTensor,
        shares: CubeTensor,
        scale: f32,
        factor_of: Products,
    ) -> CubeTensor {
        let ((gradient, of_gradient), shares) = (rows_of_type(gradient), rows(shares));
        let (count, columns, units) = of_rows(&shares);
        let (output, of_output) = unwritten_factor(&shares, shares.shape(), factor_of);
        softmax_backward::launch(
            &output.client,
            workgroups(count),
            CubeDim::new_1d(units as u32),
            gradient.into_buffer_arg(),
            shares.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            small(count),
            small(columns),
            scale,
            units,
            [of_gradient, of_output],
        );
        output
    }
}

impl DeviceAttention for CubeBackend {
    fn device_attention(input: CubeTensor, heads: usize, products: Products) -> CubeTensor {
        forward::<Self>(input, heads, products)
    }
}
