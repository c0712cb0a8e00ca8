use super::convolution::Part;
use super::transform::{Group, output_tile};
use crate::kernels::Activation;
use crate::kernels::lanes::{Chunk, Job, Lanes, unchecked};
use crate::kernels::panel::Word;

/// The operations on the sums of a convolution, and their place.
#[derive(Clone, Copy)]
pub struct Finish<'a> {
    /// Per channel.
    pub bias: Option<&'a [f32]>,
    /// One chunk row per channel (for every pixel), or as many as the convolution has results.
    pub added: Option<&'a [Chunk]>,
    pub activation: Activation,
    /// How many pixels of the convolution, in both directions, are added up to one of the output: 1 or 2.
    pub halving: usize,
    /// Chunks of a pixel of the whole output, of which the convolution writes some.
    pub pixel_length: usize,
    /// The first of those that it writes.
    pub first: usize,
}

/// The outputs of the tiles of a group from their products.
pub(super) struct FinishGroup<'a, W, const S: usize> {
    pub(super) part: &'a Part<'a, W>,
    pub(super) group: Group,
    /// (first, count)
    pub(super) channels: (usize, usize),
    /// `[position, channel, tile, chunk]`
    pub(super) products: &'a [Chunk],
}

impl<W: Word, const S: usize> Job for FinishGroup<'_, W, S> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { part, group, channels: (first_channel, channels), products } = self;
        let Part { tiled, kernels, tile_row, output, .. } = *part;
        let Finish { bias, added, activation, halving, pixel_length, first } = part.finish;
        let (vectors, side) = (group.vectors(), S - 2);
        let length = channels * vectors;
        let (height, width) = tiled.output_size();
        let heights = side.min(height - side * tile_row);
        // Of a pixel, without what others write.
        let own_length = kernels.outputs * tiled.chunks;
        assert_eq!(products.len(), S * S * length, "products at every position");
        for tile in 0..group.tiles {
            let x = side * (group.first_tile + tile);
            let widths = side.min(width - x);
            for channel in 0..channels {
                for chunk in 0..group.chunks {
                    let source = channel * vectors + tile * group.chunks + chunk;
                    let mut m = [[L::splat(0.0); S]; S];
                    for row in 0..S {
                        for column in 0..S {
                            // SAFETY: the source is within one position, and there are all positions.
                            let product = unsafe { unchecked(products, (S * row + column) * length + source) };
                            m[row][column] = L::load(product);
                        }
                    }
                    let tile_values = output_tile::<L, S>(m);
                    let place = (first_channel + channel) * tiled.chunks + group.first_chunk + chunk;
                    let bias = match bias {
                        Some(bias) => L::splat(bias[first_channel + channel]),
                        None => L::splat(0.0),
                    };
                    let step = halving - 1;
                    // All numbers known to the compiler: the tile stays in registers.
                    for dy in 0..S - 2 {
                        for dx in 0..S - 2 {
                            if dy >= heights || dx >= widths || (dy | dx) & step != 0 {
                                continue;
                            }
                            let mut value = tile_values[dy][dx];
                            if step == 1 {
                                let below = tile_values[dy + 1][dx].add(tile_values[dy + 1][dx + 1]);
                                value = value.add(tile_values[dy][dx + 1]).add(below);
                            }
                            value = value.add(bias);
                            let pixel = ((side * tile_row + dy) >> step) * (width >> step) + ((x + dx) >> step);
                            if let Some(added) = added {
                                // One pixel is added to every pixel; otherwise `added` is a whole output.
                                let start = if added.len() == own_length { 0 } else { pixel * own_length };
                                value = value.add(L::load(&added[start + place]));
                            }
                            // SAFETY: a part writes its own chunks of its own rows, once.
                            let target = unsafe { output.place(pixel * pixel_length + first + place) };
                            activation.of(value).write(target);
                        }
                    }
                }
            }
        }
    }
}
