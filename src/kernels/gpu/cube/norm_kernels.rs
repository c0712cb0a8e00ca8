//! What a norm computes, in CubeCL. Sums are in f32, in an order that depends on the sizes alone.

use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::{silu, silu_slope};

/// The sums over those threads of the workgroup whose places are the same but for a multiple of `lanes`, for each of them: over all threads where
/// `lanes` is 1. `shared` has a place for each thread; both numbers are powers of two.
#[cube]
pub fn sum_of_workgroup(shared: &mut Shared<[f32]>, value: f32, #[comptime] lanes: u32) -> f32 {
    let unit = UNIT_POS as usize;
    // Whoever read the sum before has done so.
    sync_cube();
    shared[unit] = value;
    sync_cube();
    let mut half = CUBE_DIM / 2;
    while half >= lanes {
        if UNIT_POS < half {
            let other = shared[unit + half as usize];
            shared[unit] += other;
        }
        half /= 2;
        sync_cube();
    }
    shared[(UNIT_POS % lanes) as usize]
}

/// Where the values of an image lie: channel by channel, or pixel by pixel with all channels of a pixel together.
#[cube]
fn place(channel: usize, pixel: usize, channels: usize, pixels: usize, #[comptime] by_pixel: bool) -> usize {
    let mut place = channel * pixels + pixel;
    if comptime!(by_pixel) {
        place = pixel * channels + channel;
    }
    place
}

/// The channel of a group and the pixel of its `index`th value, in the order in which they lie in memory.
#[cube]
fn channel_and_pixel(index: usize, group_channels: usize, pixels: usize, #[comptime] by_pixel: bool) -> (usize, usize) {
    let mut channel = index / pixels;
    let mut pixel = index % pixels;
    if comptime!(by_pixel) {
        channel = index % group_channels;
        pixel = index / group_channels;
    }
    (channel, pixel)
}

/// A workgroup for each group of each image. Of every `scale_images` images the scales are the same, and begin `scale_stride` behind those of
/// the ones before.
#[cube(launch)]
pub fn groups_forward<O: Numeric>(
    input: &[f32],
    scale: &[f32],
    shift: &[f32],
    output: &mut [O],
    statistics: &mut [f32],
    means: u32,
    groups: u32,
    group_channels: u32,
    pixels: u32,
    scale_images: u32,
    scale_stride: u32,
    epsilon: f32,
    #[comptime] units: usize,
    #[comptime] by_pixel: bool,
    #[comptime] activate: bool,
    #[define(O)] _element: ElemType,
) {
    let mut shared = Shared::<[f32]>::new_slice(units);
    let mean_index = CUBE_POS;
    if mean_index >= means as usize {
        terminate!();
    }
    let (image, group) = (mean_index / groups as usize, mean_index % groups as usize);
    let (pixels, group_channels) = (pixels as usize, group_channels as usize);
    let channels = groups as usize * group_channels;
    let start = image * channels * pixels;
    let first_channel = group * group_channels;
    let size = group_channels * pixels;
    let mut sum = 0.0f32;
    for index in range_stepped(UNIT_POS as usize, size, units) {
        let (channel, pixel) = channel_and_pixel(index, group_channels, pixels, by_pixel);
        sum += input[start + place(first_channel + channel, pixel, channels, pixels, by_pixel)];
    }
    let mean = sum_of_workgroup(&mut shared, sum, 1u32) / f32::cast_from(size);
    let mut squares = 0.0f32;
    for index in range_stepped(UNIT_POS as usize, size, units) {
        let (channel, pixel) = channel_and_pixel(index, group_channels, pixels, by_pixel);
        let centered = input[start + place(first_channel + channel, pixel, channels, pixels, by_pixel)] - mean;
        squares += centered * centered;
    }
    let variance = sum_of_workgroup(&mut shared, squares, 1u32) / f32::cast_from(size);
    let inverse = 1.0f32 / (variance + epsilon).sqrt();
    if UNIT_POS == 0 {
        statistics[2 * mean_index] = mean;
        statistics[2 * mean_index + 1] = inverse;
    }
    let scale_start = image / scale_images as usize * scale_stride as usize + first_channel;
    for index in range_stepped(UNIT_POS as usize, size, units) {
        let (channel, pixel) = channel_and_pixel(index, group_channels, pixels, by_pixel);
        let place = start + place(first_channel + channel, pixel, channels, pixels, by_pixel);
        let value = (input[place] - mean) * inverse * scale[scale_start + channel] + shift[scale_start + channel];
        if comptime!(activate) {
            output[place] = O::cast_from(silu(value));
        } else {
            output[place] = O::cast_from(value);
        }
    }
}

/// Means over the channels of a pixel, where values lie channel by channel: a thread for each pixel of each image.
#[cube(launch)]
pub fn pixels_forward<O: Numeric>(
    input: &[f32],
    scale: &[f32],
    shift: &[f32],
    output: &mut [O],
    statistics: &mut [f32],
    images: u32,
    channels: u32,
    pixels: u32,
    scale_stride: u32,
    epsilon: f32,
    #[comptime] activate: bool,
    #[define(O)] _element: ElemType,
) {
    let (pixels, channels) = (pixels as usize, channels as usize);
    let mean_index = ABSOLUTE_POS;
    if mean_index >= images as usize * pixels {
        terminate!();
    }
    let image = mean_index / pixels;
    let start = image * channels * pixels + mean_index % pixels;
    let mut sum = 0.0f32;
    for channel in 0..channels {
        sum += input[start + channel * pixels];
    }
    let mean = sum / f32::cast_from(channels);
    let mut squares = 0.0f32;
    for channel in 0..channels {
        let centered = input[start + channel * pixels] - mean;
        squares += centered * centered;
    }
    let inverse = 1.0f32 / (squares / f32::cast_from(channels) + epsilon).sqrt();
    statistics[2 * mean_index] = mean;
    statistics[2 * mean_index + 1] = inverse;
    let scale_start = image * scale_stride as usize;
    for channel in 0..channels {
        let index = start + channel * pixels;
        let value = (input[index] - mean) * inverse * scale[scale_start + channel] + shift[scale_start + channel];
        if comptime!(activate) {
            output[index] = O::cast_from(silu(value));
        } else {
            output[index] = O::cast_from(value);
        }
    }
}

/// The gradient before SiLU, and what it is the gradient of, without scale and shift.
#[cube]
fn before_silu(
    gradient: f32,
    input: f32,
    mean: f32,
    inverse: f32,
    scale: f32,
    shift: f32,
    #[comptime] activate: bool,
) -> (f32, f32) {
    let normalized = (input - mean) * inverse;
    let mut before = gradient;
    if comptime!(activate) {
        before = gradient * silu_slope(normalized * scale + shift);
    }
    (before, normalized)
}

/// The gradients of scale and shift: a workgroup for every `lanes` channels (x) of each image (y). Its threads are that many beside each other, as often as
/// there are for the pixels.
#[cube(launch)]
pub fn channel_sums<G: Numeric>(
    gradient: &[G],
    input: &[f32],
    scale: &[f32],
    shift: &[f32],
    statistics: &[f32],
    scale_gradient: &mut [f32],
    shift_gradient: &mut [f32],
    channels: u32,
    group_channels: u32,
    pixels: u32,
    scale_stride: u32,
    #[comptime] units: usize,
    #[comptime] lanes: u32,
    #[comptime] mean_of_pixel: bool,
    #[comptime] by_pixel: bool,
    #[comptime] activate: bool,
    #[define(G)] _element: ElemType,
) {
    let mut shared = Shared::<[f32]>::new_slice(units);
    let image = CUBE_POS_Y as usize;
    let channel = (CUBE_POS_X * lanes + UNIT_POS % lanes) as usize;
    let (channels, pixels) = (channels as usize, pixels as usize);
    let start = image * channels * pixels;
    let mut sum = 0.0f32;
    let mut along = 0.0f32;
    if channel < channels {
        let scale_place = image * scale_stride as usize + channel;
        let (scale, shift) = (scale[scale_place], shift[scale_place]);
        for pixel in range_stepped((UNIT_POS / lanes) as usize, pixels, units / lanes as usize) {
            let mut mean_index = (image * channels + channel) / group_channels as usize;
            if comptime!(mean_of_pixel) {
                mean_index = image * pixels + pixel;
            }
            let (mean, inverse) = (statistics[2 * mean_index], statistics[2 * mean_index + 1]);
            let index = start + place(channel, pixel, channels, pixels, by_pixel);
            let (before, normalized) =
                before_silu(f32::cast_from(gradient[index]), input[index], mean, inverse, scale, shift, activate);
            sum += before;
            along += before * normalized;
        }
    }
    let sum = sum_of_workgroup(&mut shared, sum, lanes);
    let along = sum_of_workgroup(&mut shared, along, lanes);
    if UNIT_POS < lanes && channel < channels {
        scale_gradient[image * channels + channel] = along;
        shift_gradient[image * channels + channel] = sum;
    }
}

/// The sums over the images of two tensors `[images, channels]`: a thread for each channel.
#[cube(launch)]
pub fn totals_of_both(
    scales: &[f32],
    shifts: &[f32],
    scale: &mut [f32],
    shift: &mut [f32],
    images: u32,
    channels: u32,
) {
    let channel = ABSOLUTE_POS;
    let channels = channels as usize;
    if channel >= channels {
        terminate!();
    }
    let mut of_scale = 0.0f32;
    let mut of_shift = 0.0f32;
    for image in 0..images as usize {
        of_scale += scales[image * channels + channel];
        of_shift += shifts[image * channels + channel];
    }
    scale[channel] = of_scale;
    shift[channel] = of_shift;
}

/// The gradient of the input, from those of scale and shift: a workgroup for each group of each image.
#[cube(launch)]
pub fn groups_backward<G: Numeric>(
    gradient: &[G],
    input: &[f32],
    scale: &[f32],
    shift: &[f32],
    statistics: &[f32],
    output: &mut [f32],
    means: u32,
    groups: u32,
    group_channels: u32,
    pixels: u32,
    scale_images: u32,
    scale_stride: u32,
    #[comptime] units: usize,
    #[comptime] by_pixel: bool,
    #[comptime] activate: bool,
    #[define(G)] _element: ElemType,
) {
    let mut shared = Shared::<[f32]>::new_slice(units);
    let mean_index = CUBE_POS;
    if mean_index >= means as usize {
        terminate!();
    }
    let (image, group) = (mean_index / groups as usize, mean_index % groups as usize);
    let (pixels, group_channels) = (pixels as usize, group_channels as usize);
    let channels = groups as usize * group_channels;
    let start = image * channels * pixels;
    let first_channel = group * group_channels;
    let size = group_channels * pixels;
    let scale_start = image / scale_images as usize * scale_stride as usize + first_channel;
    let (mean, inverse) = (statistics[2 * mean_index], statistics[2 * mean_index + 1]);
    let mut sum = 0.0f32;
    let mut along = 0.0f32;
    for index in range_stepped(UNIT_POS as usize, size, units) {
        let (channel, pixel) = channel_and_pixel(index, group_channels, pixels, by_pixel);
        let place = start + place(first_channel + channel, pixel, channels, pixels, by_pixel);
        let (scale, shift) = (scale[scale_start + channel], shift[scale_start + channel]);
        let (before, normalized) =
            before_silu(f32::cast_from(gradient[place]), input[place], mean, inverse, scale, shift, activate);
        sum += before * scale;
        along += before * scale * normalized;
    }
    let sum = sum_of_workgroup(&mut shared, sum, 1u32) / f32::cast_from(size);
    let along = sum_of_workgroup(&mut shared, along, 1u32) / f32::cast_from(size);
    for index in range_stepped(UNIT_POS as usize, size, units) {
        let (channel, pixel) = channel_and_pixel(index, group_channels, pixels, by_pixel);
        let place = start + place(first_channel + channel, pixel, channels, pixels, by_pixel);
        let (scale, shift) = (scale[scale_start + channel], shift[scale_start + channel]);
        let (before, normalized) =
            before_silu(f32::cast_from(gradient[place]), input[place], mean, inverse, scale, shift, activate);
        output[place] = inverse * (before * scale - sum - normalized * along);
    }
}

/// The gradient of the input of [`pixels_forward`], in the same way.
#[cube(launch)]
pub fn pixels_backward<G: Numeric>(
    gradient: &[G],
    input: &[f32],
    scale: &[f32],
    shift: &[f32],
    statistics: &[f32],
    output: &mut [f32],
    images: u32,
    channels: u32,
    pixels: u32,
    scale_stride: u32,
    #[comptime] activate: bool,
    #[define(G)] _element: ElemType,
) {
    let (pixels, channels) = (pixels as usize, channels as usize);
    let mean_index = ABSOLUTE_POS;
    if mean_index >= images as usize * pixels {
        terminate!();
    }
    let image = mean_index / pixels;
    let start = image * channels * pixels + mean_index % pixels;
    let scale_start = image * scale_stride as usize;
    let (mean, inverse) = (statistics[2 * mean_index], statistics[2 * mean_index + 1]);
    let mut sum = 0.0f32;
    let mut along = 0.0f32;
    for channel in 0..channels {
        let index = start + channel * pixels;
        let (scale, shift) = (scale[scale_start + channel], shift[scale_start + channel]);
        let (before, normalized) =
            before_silu(f32::cast_from(gradient[index]), input[index], mean, inverse, scale, shift, activate);
        sum += before * scale;
        along += before * scale * normalized;
    }
    let (sum, along) = (sum / f32::cast_from(channels), along / f32::cast_from(channels));
    for channel in 0..channels {
        let index = start + channel * pixels;
        let (scale, shift) = (scale[scale_start + channel], shift[scale_start + channel]);
        let (before, normalized) =
            before_silu(f32::cast_from(gradient[index]), input[index], mean, inverse, scale, shift, activate);
        output[index] = inverse * (before * scale - sum - normalized * along);
    }
}
