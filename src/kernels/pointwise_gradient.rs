use super::Convolution;
use super::convolution::even_blocks;
use super::lanes::{self, LANES};
use super::outer_products::{Channels, OuterProducts};
use super::parallel::{WORTH_SHARING, for_each_part};
use super::planes::Planes;
use super::sums::add_parts;

/// The gradient with respect to the weights of a linear map of every pixel, flat: `[outputs, inputs]`.
///
/// The pixels are taken a few at a time, so that all pairs of channels find them in the caches. Parts of the pixels are
/// summed apart and then added in order; how many there are depends on the shapes alone.
pub fn weight_gradient(shape: Convolution, input: &Planes, gradient: &Planes) -> Vec<f32> {
    let (inputs, outputs, chunks) = (shape.inputs, shape.outputs, input.chunks);
    assert_eq!(
        (input.channels, gradient.channels, gradient.chunks),
        (inputs, outputs, chunks),
        "gradient of {shape:?}"
    );
    assert_eq!(input.pixels(), gradient.pixels(), "gradient of {shape:?}");
    let operations = 2 * input.pixels() * shape.weight_count() * chunks * LANES;
    let most_parts = if operations < WORTH_SHARING { 1 } else { PARTS };
    let parts: Vec<_> = even_blocks(input.pixels(), input.pixels().div_ceil(most_parts)).collect();
    let pixels_at_once = (CACHED_CHUNKS / ((inputs + outputs) * chunks)).max(1);
    let part_length = outputs * inputs;
    let mut sums = vec![0.0; parts.len() * part_length];
    for_each_part(&mut sums, part_length, operations, |part, sums| {
        let (first, pixels) = parts[part];
        for (start, pixels) in even_blocks(pixels, pixels_at_once) {
            let place = Place { first: first + start, pixels };
            let (rows, columns) = (place.channels(gradient), place.channels(input));
            lanes::run(OuterProducts { rows, columns, sums: &mut *sums });
        }
    });
    add_parts(sums, part_length)
}

/// Some pixels in a row.
struct Place {
    first: usize,
    pixels: usize,
}

impl Place {
    fn channels<'a>(&self, planes: &'a Planes) -> Channels<'a> {
        let pixel_length = planes.channels * planes.chunks;
        Channels {
            values: &planes.values()[self.first * pixel_length..],
            channels: planes.channels,
            channel_stride: planes.chunks,
            outer: self.pixels,
            outer_stride: pixel_length,
            inner: planes.chunks,
        }
    }
}

/// At most, where there is much to do.
const PARTS: usize = 8;

/// Half a mebibyte: what a second-level cache keeps beside everything else.
const CACHED_CHUNKS: usize = (1 << 19) / (4 * LANES);
