//! What sums and parts of images are, in CubeCL. Sums are in f32, in an order that depends on the sizes alone.

use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::norm_kernels::sum_of_workgroup;

/// The sums of the channels of rows of pixels, or of their products with `factors`: a workgroup for every `lanes` channels (x) of each chunk of each row (y). Its threads are that many
/// beside each other, as often as there are for the pixels. `output` has the channels of each chunk together.
#[cube(launch)]
pub fn totals(
    input: &[f32],
    factors: &[f32],
    output: &mut [f32],
    channels: u32,
    pixels_of_image: u32,
    row: u32,
    chunk: u32,
    chunks: u32,
    #[comptime] units: usize,
    #[comptime] lanes: u32,
    #[comptime] by_pixel: bool,
    #[comptime] are_products: bool,
) {
    let mut shared = Shared::<[f32]>::new_slice(units);
    let channel = (CUBE_POS_X * lanes + UNIT_POS % lanes) as usize;
    let (channels, of_image) = (channels as usize, pixels_of_image as usize);
    let start = (CUBE_POS_Y % chunks * chunk) as usize;
    let end = start + chunk as usize;
    let before = (CUBE_POS_Y / chunks) as usize * row as usize;
    let mut sum = 0.0f32;
    if channel < channels {
        for pixel in range_stepped(start + (UNIT_POS / lanes) as usize, end, units / lanes as usize) {
            if pixel < row as usize {
                let pixel = before + pixel;
                let mut index = pixel * channels + channel;
                if comptime!(!by_pixel) {
                    index = (pixel / of_image * channels + channel) * of_image + pixel % of_image;
                }
                let mut value = input[index];
                if comptime!(are_products) {
                    value *= factors[index];
                }
                sum += value;
            }
        }
    }
    let sum = sum_of_workgroup(&mut shared, sum, lanes);
    if UNIT_POS < lanes && channel < channels {
        output[CUBE_POS_Y as usize * channels + channel] = sum;
    }
}

/// A thread for each number of images of `channels`, to which that of its channel is added. Of a channel `pixels` numbers lie together: 1 where images lie pixel by
/// pixel.
#[cube(launch)]
pub fn add_bias<P: Numeric>(
    product: &[P],
    bias: &[f32],
    output: &mut [f32],
    channels: u32,
    pixels: u32,
    #[define(P)] _element: ElemType,
) {
    let index = ABSOLUTE_POS;
    if index >= output.len() {
        terminate!();
    }
    output[index] = f32::cast_from(product[index]) + bias[index / pixels as usize % channels as usize];
}

/// A thread for each value of `joined`. `first` and `second` are the values of an image that one has and the other has, or of a pixel.
#[cube(launch)]
pub fn join(one: &[f32], other: &[f32], joined: &mut [f32], first: u32, second: u32) {
    let index = ABSOLUTE_POS;
    if index >= joined.len() {
        terminate!();
    }
    let (first, second) = (first as usize, second as usize);
    let (row, place) = (index / (first + second), index % (first + second));
    if place < first {
        joined[index] = one[row * first + place];
    } else {
        joined[index] = other[row * second + place - first];
    }
}

/// The inverse of [`join`].
#[cube(launch)]
pub fn take_apart(joined: &[f32], one: &mut [f32], other: &mut [f32], first: u32, second: u32) {
    let index = ABSOLUTE_POS;
    if index >= joined.len() {
        terminate!();
    }
    let (first, second) = (first as usize, second as usize);
    let (row, place) = (index / (first + second), index % (first + second));
    if place < first {
        one[row * first + place] = joined[index];
    } else {
        other[row * second + place - first] = joined[index];
    }
}
