use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

use super::finish::{Finish, FinishGroup};
use super::kernels::{BLOCK, Direction, Kernels};
use super::lines::input_line;
use super::transform::{Group, TiledPlanes, input_columns};
use super::{Groups, LARGE, SMALL, scale_of, span, vectors_at_once};
use crate::kernels::convolution::even_blocks;
use crate::kernels::lanes::{Chunk, Job, LANES, Lanes};
use crate::kernels::panel::{Pair, Single, Word};
use crate::kernels::parallel::{Scattered, for_each_index};
use crate::kernels::planes::Planes;
use crate::kernels::scratch::with_scratch;
use crate::kernels::{Activation, Convolution, Products};

/// The convolution of `values`, plus `bias` per channel and `added`: nothing, one chunk row per channel (for every pixel),
/// or a whole output. `[pixels, channels, chunks]`. One that doubles its input takes each pixel of it four times, and backward the sum of the
/// gradients of the four.
pub fn convolve(
    shape: Convolution,
    products: Products,
    direction: Direction,
    values: &Planes,
    weight: &[f32],
    bias: Option<&[f32]>,
    added: Option<&[Chunk]>,
) -> Vec<Chunk> {
    let (scale, halving) = match direction {
        Direction::Forward => (scale_of(shape), 1),
        Direction::Backward => (1, scale_of(shape)),
    };
    let zeros = vec![[0.0; LANES]; values.channels * values.chunks];
    let tiled = TiledPlanes::new(values, scale, &zeros);
    let span = span(tiled.height, tiled.width);
    match products {
        Products::F32 => {
            convolve_by(&Kernels::<Single>::new(shape, direction, weight, span), tiled, halving, bias, added)
        }
        Products::Bf16 => {
            convolve_by(&Kernels::<Pair>::new(shape, direction, weight, span), tiled, halving, bias, added)
        }
    }
}

fn convolve_by<W: Word>(
    kernels: &Kernels<W>,
    tiled: TiledPlanes<'_>,
    halving: usize,
    bias: Option<&[f32]>,
    added: Option<&[Chunk]>,
) -> Vec<Chunk> {
    let pixel_length = kernels.outputs * tiled.chunks;
    let pixels = tiled.height * tiled.width;
    let mut output = Box::<[Chunk]>::new_uninit_slice(pixels / (halving * halving) * pixel_length);
    let operations = 2 * pixels * 9 * kernels.inputs * kernels.outputs * tiled.chunks * LANES;
    let finish = Finish { bias, added, activation: Activation::None, halving, pixel_length, first: 0 };
    convolve_into(kernels, tiled, finish, operations, &mut output);
    // SAFETY: these are all channels of each pixel.
    unsafe { output.assume_init() }.into_vec()
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
    let pixels = height * width / (finish.halving * finish.halving);
    assert_eq!(output.len(), pixels * finish.pixel_length, "the output of a convolution");
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
pub(super) struct Part<'a, W> {
    pub(super) tiled: TiledPlanes<'a>,
    pub(super) kernels: &'a Kernels<W>,
    pub(super) finish: Finish<'a>,
    pub(super) tile_row: usize,
    /// (first, count)
    chunks: (usize, usize),
    /// Of which nobody else writes these chunks of these rows.
    pub(super) output: &'a Scattered<'a, Chunk>,
}

struct TileRow<'a, W, const S: usize>(Part<'a, W>);

impl<W: Word, const S: usize> Job for TileRow<'_, W, S> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Part { tiled, kernels, tile_row, chunks: (part_chunk, part_chunks), .. } = self.0;
        let (words, positions) = (kernels.words(), S * S);
        let outputs = kernels.outputs.min(OUTPUTS);
        let groups = Groups::new(part_chunks, vectors_at_once(words + outputs, positions));
        let most = groups.tiles * groups.chunks;
        with_scratch(positions * (words + outputs) * most, |scratch| {
            for (first_chunk, chunks) in even_blocks(part_chunks, groups.chunks) {
                for (first_tile, tiles) in even_blocks(tiled.tile_columns(S), groups.tiles) {
                    let group = Group { tile_row, first_tile, tiles, first_chunk: part_chunk + first_chunk, chunks };
                    let vectors = group.vectors();
                    let (transformed, rest) = scratch.split_at_mut(positions * words * vectors);
                    L::call(Transform::<W, S> { word: kernels.word, tiled, group, transformed: &mut *transformed });
                    for (first_block, block_count) in even_blocks(kernels.blocks.len(), OUTPUTS / BLOCK) {
                        let blocks = first_block..first_block + block_count;
                        let (first_output, outputs) = kernels.outputs_of(blocks.clone());
                        let products = &mut rest[..positions * outputs * vectors];
                        for position in 0..positions {
                            L::call(Product {
                                kernels,
                                blocks: blocks.clone(),
                                position,
                                values: &transformed[position * words * vectors..][..words * vectors],
                                vectors,
                                products: &mut products[position * outputs * vectors..][..outputs * vectors],
                            });
                        }
                        let channels = (first_output, outputs);
                        L::call(FinishGroup::<W, S> { part: &self.0, group, channels, products: &*products });
                    }
                }
            }
        });
    }
}

/// Outputs whose products are in memory at once, at most: whole blocks.
const OUTPUTS: usize = 4 * BLOCK;

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
                    let target = word * vectors + tile * group.chunks + chunk;
                    let first = input_columns::<L, S>(&pixels, source);
                    let mut second = [[L::splat(0.0); S]; S];
                    if W::NUMBERS > 1 && channel + 1 < tiled.channels {
                        second = input_columns(&pixels, source + tiled.chunks);
                    }
                    // Row by row: both tiles at once are more than the registers hold.
                    for row in 0..S {
                        let (first, second) = (input_line(first[row]), input_line(second[row]));
                        for column in 0..S {
                            let place = &mut transformed[(S * row + column) * length + target];
                            W::of_lanes(first[column], second[column]).store(place);
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
    blocks: Range<usize>,
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
        let (first_output, _) = self.kernels.outputs_of(self.blocks.clone());
        for index in self.blocks {
            let (weights, (first, channels)) = (self.kernels.block(index, self.position), self.kernels.blocks[index]);
            let products = &mut self.products[(first - first_output) * self.vectors..][..channels * self.vectors];
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
