//! Sums over pixels, images and parts, each in an order that depends on shapes alone.

use super::lanes::{self, Chunk, Job, LANES, Lanes};
use super::parallel::{WORTH_SHARING, for_each_part};
use super::planes::Planes;

/// The sum of each channel over all pixels, `[channels, chunks]`: the gradient of what was added to every pixel.
///
/// Parts of the pixels are summed apart and then added in order; how many there are depends on the shape alone.
pub fn pixel_sums(gradient: &Planes) -> Vec<Chunk> {
    let (values, pixel_length) = (gradient.values(), gradient.channels * gradient.chunks);
    let operations = values.len() * LANES;
    let part_pixels = if operations < WORTH_SHARING { gradient.pixels() } else { gradient.pixels().div_ceil(PARTS) };
    let mut sums = vec![[0.0; LANES]; gradient.pixels().div_ceil(part_pixels) * pixel_length];
    for_each_part(&mut sums, pixel_length, operations, |part, sums| {
        let start = part * part_pixels * pixel_length;
        let values = &values[start..values.len().min(start + part_pixels * pixel_length)];
        lanes::run(PixelSums { values, sums });
    });
    let (total, others) = sums.split_at_mut(pixel_length);
    lanes::run(PixelSums { values: others, sums: total });
    sums.truncate(pixel_length);
    sums
}

/// At most, where there is much to do.
const PARTS: usize = 8;

/// The sum of each number over its `chunks` and their images.
pub fn image_sums(values: &[Chunk], chunks: usize) -> Vec<f32> {
    let mut sums = vec![0.0; values.len() / chunks];
    for_each_part(&mut sums, NUMBERS, values.len() * LANES, |part, sums| {
        let values = &values[part * NUMBERS * chunks..][..sums.len() * chunks];
        lanes::run(ImageSums { values, chunks, sums });
    });
    sums
}

/// Numbers whose sums are computed together.
const NUMBERS: usize = 1024;

/// The sum of the parts, which lie one after the other, in their order.
pub fn add_parts(mut parts: Vec<f32>, part_length: usize) -> Vec<f32> {
    let (total, others) = parts.split_at_mut(part_length);
    for part in others.chunks_exact(part_length) {
        total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
    }
    parts.truncate(part_length);
    parts
}

/// The sum of the parts, in their order.
pub fn add_up(parts: Vec<Vec<Chunk>>) -> Vec<Chunk> {
    let mut parts = parts.into_iter();
    let mut total = parts.next().unwrap_or_default();
    for part in parts {
        lanes::run(PixelSums { values: &part, sums: &mut total });
    }
    total
}

struct PixelSums<'a> {
    values: &'a [Chunk],
    sums: &'a mut [Chunk],
}

impl Job for PixelSums<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        for pixel in self.values.chunks_exact(self.sums.len()) {
            for (sum, value) in self.sums.iter_mut().zip(pixel) {
                L::load(sum).add(L::load(value)).store(sum);
            }
        }
    }
}

struct ImageSums<'a> {
    values: &'a [Chunk],
    chunks: usize,
    sums: &'a mut [f32],
}

impl Job for ImageSums<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        for (sum, values) in self.sums.iter_mut().zip(self.values.chunks_exact(self.chunks)) {
            let mut lanes = L::splat(0.0);
            for value in values {
                lanes = lanes.add(L::load(value));
            }
            *sum = lanes.sum();
        }
    }
}
