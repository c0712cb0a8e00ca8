use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::kernels::{BLOCK, Direction, Kernels};
use super::transform::{Group, TiledPlanes, input_tile, output_tile};
use super::{Groups, LARGE, SMALL, span, vectors_at_once};
use crate::kernels::convolution::even_blocks;
use crate::kernels::lanes::{Chunk, Job, LANES, Lanes, unchecked};
use crate::kernels::panel::{Pair, Single, Word};
use crate::kernels::parallel::{Scattered, for_each_index};
use crate::kernels::planes::Planes;
use crate::kernels::scratch::with_scratch;
use crate::kernels::{Activation, Convolution, Products};

/// The convolution of `values`, plus `bias` per channel and `added`: nothing, one chunk row per channel (for every pixel),
/// or a whole output. `[pixels, channels, chunks]`.
pub fn convolve(
    shape: Convolution,
    products: Products,
    direction: Direction,
    values: &Planes,
    weight: &[f32],
    bias: Option<&[f32]>,
    added: Option<&[Chunk]>,
) -> Vec<Chunk> {
    let span = span(products, values.height, values.width);
    match products {
        Products::F32 => convolve_by(&Kernels::<Single>::new(shape, direction, weight, span), values, bias, added),
        Products::Bf16 => convolve_by(&Kernels::<Pair>::new(shape, direction, weight, span), values, bias, added),
    }
}

fn convolve_by<W: Word>(
    kernels: &Kernels<W>,
    values: &Planes,
    bias: Option<&[f32]>,
    added: Option<&[Chunk]>,
) -> Vec<Chunk> {
    let zeros = vec![[0.0; LANES]; values.channels * values.chunks];
    let tiled = TiledPlanes::new(values, &zeros);
    let pixel_length = kernels.outputs * values.chunks;
    let mut output = Box::<[Chunk]>::new_uninit_slice(values.pixels() * pixel_length);
    let operations = 2 * values.pixels() * 9 * kernels.inputs * kernels.outputs * values.chunks * LANES;
    let finish = Finish { bias, added, activation: Activation::None, pixel_length, first: 0 };
    convolve_into(kernels, tiled, finish, operations, &mut output);
    // SAFETY: these are all channels of each pixel.
    unsafe { output.assume_init() }.into_vec()
}

/// The operations on the sums of a convolution, and their place.
#[derive(Clone, Copy)]
pub struct Finish<'a> {
    /// Per channel.
    pub bias: Option<&'a [f32]>,
    /// One chunk row per channel (for every pixel), or as many as the convolution has results.
    pub added: Option<&'a [Chunk]>,
    pub activation: Activation,
    /// Chunks of a pixel of the whole output, of which the convolution writes some.
    pub pixel_length: usize,
    /// The first of those that it writes.
    pub first: usize,
}

/// The convolution of `tiled`: writes all of its channels and chunks of every pixel of `output`.
pub fn convolve_into<W: Word>(
    kernels: &Kernels<W>,
    tiled: TiledPlanes<'_>,
    finish: Finish<'_>,
    operations: usize,
    output: &mut [MaybeUninit<Chunk>],
) {
    assert_eq!(tiled.channels, kernels.inputs, "channels of what is convolved");
    let (height, width) = tiled.output_size();
    assert_eq!(output.len(), height * width * finish.pixel_length, "the output of a convolution");
    let tile_rows = tiled.tile_rows(kernels.span);
    // A row on its own is shared by the images.
    let blocks: Vec<_> = even_blocks(tiled.chunks, tiled.chunks.div_ceil(LEAST_PARTS.div_ceil(tile_rows))).collect();
    let output = Scattered::new(output);
    for_each_index(tile_rows * blocks.len(), operations, |index| {
        let (tile_row, chunks) = (index / blocks.len(), blocks[index % blocks.len()]);
        let part = Part { tiled, kernels, finish, tile_row, chunks, output: &output };
        match kernels.span {
            SMALL => W::run(TileRow::<W, SMALL>(part)),
            _ => W::run(TileRow::<W, LARGE>(part)),
        }
    });
}

/// At least, where there are as many chunks.
const LEAST_PARTS: usize = 2;

/// Some chunks of a row of tiles.
struct Part<'a, W> {
    tiled: TiledPlanes<'a>,
    kernels: &'a Kernels<W>,
    finish: Finish<'a>,
    tile_row: usize,
    /// (first, count)
    chunks: (usize, usize),
    /// Of which nobody else writes these chunks of these rows.
    output: &'a Scattered<'a, Chunk>,
}

struct TileRow<'a, W, const S: usize>(Part<'a, W>);

impl<W: Word, const S: usize> Job for TileRow<'_, W, S> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Part { tiled, kernels, tile_row, chunks: (part_chunk, part_chunks), .. } = self.0;
        let (words, outputs, positions) = (kernels.words(), kernels.outputs, S * S);
        let groups = Groups::new(part_chunks, vectors_at_once(words + outputs, positions));
        let most = groups.tiles * groups.chunks;
        with_scratch(positions * (words + outputs) * most, |scratch| {
            for (first_chunk, chunks) in even_blocks(part_chunks, groups.chunks) {
                for (first_tile, tiles) in even_blocks(tiled.tile_columns(S), groups.tiles) {
                    let group = Group { tile_row, first_tile, tiles, first_chunk: part_chunk + first_chunk, chunks };
                    let vectors = group.vectors();
                    let (transformed, rest) = scratch.split_at_mut(positions * words * vectors);
                    let products = &mut rest[..positions * outputs * vectors];
                    let word = kernels.word;
                    L::call(Transform::<W, S> { word, tiled, group, transformed: &mut *transformed });
                    for position in 0..positions {
                        L::call(Product {
                            kernels,
                            position,
                            values: &transformed[position * words * vectors..][..words * vectors],
                            vectors,
                            products: &mut products[position * outputs * vectors..][..outputs * vectors],
                        });
                    }
                    L::call(FinishGroup::<W, S> { part: &self.0, group, products: &*products });
                }
            }
        });
    }
}

/// B^T d B of every tile of a group, in words of channels: `[position, word, tile, chunk]`.
struct Transform<'a, W, const S: usize> {
    word: PhantomData<W>,
    tiled: TiledPlanes<'a>,
    group: Group,
    transformed: &'a mut [Chunk],
}

impl<W: Word, const S: usize> Job for Transform<'_, W, S> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { tiled, group, transformed, .. } = self;
        let (vectors, words) = (group.vectors(), tiled.channels.div_ceil(W::NUMBERS));
        let length = words * vectors;
        assert_eq!(transformed.len(), S * S * length, "values at every position");
        for tile in 0..group.tiles {
            let pixels = tiled.input_pixels::<S>(group.tile_row, group.first_tile + tile);
            for word in 0..words {
                for chunk in 0..group.chunks {
                    let channel = W::NUMBERS * word;
                    let source = channel * tiled.chunks + group.first_chunk + chunk;
                    let mut values = input_tile::<L, S>(&pixels, source);
                    if W::NUMBERS > 1 {
                        let mut second = [[L::splat(0.0); S]; S];
                        if channel + 1 < tiled.channels {
                            second = input_tile(&pixels, source + tiled.chunks);
                        }
                        for row in 0..S {
                            for column in 0..S {
                                values[row][column] = W::of_lanes(values[row][column], second[row][column]);
                            }
                        }
                    }
                    let target = word * vectors + tile * group.chunks + chunk;
                    for row in 0..S {
                        for column in 0..S {
                            values[row][column].store(&mut transformed[(S * row + column) * length + target]);
                        }
                    }
                }
            }
        }
    }
}

/// At one position: `products[output] = sum over inputs of kernel[input, output] * values[input]`.
struct Product<'a, W> {
    kernels: &'a Kernels<W>,
    position: usize,
    /// `[word, vector]`
    values: &'a [Chunk],
    vectors: usize,
    /// `[output, vector]`
    products: &'a mut [Chunk],
}

impl<W: Word> Job for Product<'_, W> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        for (index, &(first, channels)) in self.kernels.blocks.iter().enumerate() {
            let weights = self.kernels.block(index, self.position);
            let products = &mut self.products[first * self.vectors..][..channels * self.vectors];
            let (values, vectors) = (self.values, self.vectors);
            match channels {
                1 => block::<L, W, 1>(weights, values, vectors, products),
                2 => block::<L, W, 2>(weights, values, vectors, products),
                3 => block::<L, W, 3>(weights, values, vectors, products),
                4 => block::<L, W, 4>(weights, values, vectors, products),
                5 => block::<L, W, 5>(weights, values, vectors, products),
                _ => block::<L, W, BLOCK>(weights, values, vectors, products),
            }
        }
    }
}

#[inline(always)]
fn block<L: Lanes, W: Word, const C: usize>(weights: &[f32], values: &[Chunk], vectors: usize, products: &mut [Chunk]) {
    let mut first = 0;
    while L::MANY_REGISTERS && first + 4 <= vectors {
        L::call(Tile::<W, C, 4> { word: PhantomData, weights, values, vectors, first, products: &mut *products });
        first += 4;
    }
    while first + 2 <= vectors {
        L::call(Tile::<W, C, 2> { word: PhantomData, weights, values, vectors, first, products: &mut *products });
        first += 2;
    }
    if first < vectors {
        L::call(Tile::<W, C, 1> { word: PhantomData, weights, values, vectors, first, products });
    }
}

/// C outputs of V vectors, with all sums in registers.
struct Tile<'a, W, const C: usize, const V: usize> {
    word: PhantomData<W>,
    weights: &'a [f32],
    values: &'a [Chunk],
    vectors: usize,
    first: usize,
    products: &'a mut [Chunk],
}

impl<W: Word, const C: usize, const V: usize> Job for Tile<'_, W, C, V> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let mut sums = [[L::splat(0.0); V]; C];
        for (weights, values) in self.weights.as_chunks::<C>().0.iter().zip(self.values.chunks_exact(self.vectors)) {
            let values = &values[self.first..self.first + V];
            let mut loaded = [L::splat(0.0); V];
            for v in 0..V {
                loaded[v] = L::load(&values[v]);
            }
            for c in 0..C {
                let weight = L::splat(weights[c]);
                for v in 0..V {
                    sums[c][v] = W::mul_add(loaded[v], weight, sums[c][v]);
                }
            }
        }
        for c in 0..C {
            for v in 0..V {
                sums[c][v].store(&mut self.products[c * self.vectors + self.first + v]);
            }
        }
    }
}

/// The outputs of the tiles of a group from their products.
struct FinishGroup<'a, W, const S: usize> {
    part: &'a Part<'a, W>,
    group: Group,
    products: &'a [Chunk],
}

impl<W: Word, const S: usize> Job for FinishGroup<'_, W, S> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { part, group, products } = self;
        let Part { tiled, kernels, tile_row, output, .. } = *part;
        let Finish { bias, added, activation, pixel_length, first } = part.finish;
        let (vectors, outputs, side) = (group.vectors(), kernels.outputs, S - 2);
        let length = outputs * vectors;
        let (height, width) = tiled.output_size();
        let heights = side.min(height - side * tile_row);
        // Of a pixel, without what others write.
        let own_length = outputs * tiled.chunks;
        assert_eq!(products.len(), S * S * length, "products at every position");
        for tile in 0..group.tiles {
            let x = side * (group.first_tile + tile);
            let widths = side.min(width - x);
            for channel in 0..outputs {
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
                    let place = channel * tiled.chunks + group.first_chunk + chunk;
                    for dy in 0..heights {
                        for dx in 0..widths {
                            let mut value = tile_values[dy][dx];
                            if let Some(bias) = bias {
                                value = value.add(L::splat(bias[channel]));
                            }
                            let pixel = (side * tile_row + dy) * width + x + dx;
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
