use std::mem::MaybeUninit;

use super::transform::{Group, TiledPlanes, kernel_tile, output_tile, turned_kernel_tile};
use super::{Groups, POSITIONS, TILE, vectors_at_once};
use crate::kernels::convolution::even_blocks;
use crate::kernels::lanes::{self, Chunk, Job, LANES, Lanes, unchecked};
use crate::kernels::parallel::for_each_part;
use crate::kernels::planes::Planes;
use crate::kernels::scratch::with_scratch;
use crate::kernels::{Activation, Convolution, Resample};

/// The operands of the convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The input with the kernel.
    Forward,
    /// The gradient of the output with the kernel turned by 180 degrees: the gradient of the input.
    Backward,
}

/// The convolution of `values`, plus `bias` per channel and `added`: nothing, one chunk row per channel (for every pixel),
/// or a whole output. `[pixels, channels, chunks]`.
pub fn convolve(
    shape: Convolution,
    direction: Direction,
    values: &Planes,
    weight: &[f32],
    bias: Option<&[f32]>,
    added: Option<&[Chunk]>,
) -> Vec<Chunk> {
    let kernels = Kernels::new(shape, direction, weight);
    let zeros = vec![[0.0; LANES]; values.channels * values.chunks];
    let tiled = TiledPlanes::new(values, &zeros);
    let pixel_length = kernels.outputs * values.chunks;
    let mut output = Box::<[Chunk]>::new_uninit_slice(values.pixels() * pixel_length);
    let operations = 2 * values.pixels() * shape.weight_count() * values.chunks * LANES;
    let finish = Finish { bias, added, activation: Activation::None, pixel_length, first: 0 };
    convolve_into(&kernels, tiled, finish, operations, &mut output);
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
pub fn convolve_into(
    kernels: &Kernels,
    tiled: TiledPlanes<'_>,
    finish: Finish<'_>,
    operations: usize,
    output: &mut [MaybeUninit<Chunk>],
) {
    assert_eq!(tiled.channels, kernels.inputs, "channels of what is convolved");
    let (height, width) = tiled.output_size();
    assert_eq!(output.len(), height * width * finish.pixel_length, "the output of a convolution");
    for_each_part(output, TILE * width * finish.pixel_length, operations, |tile_row, output| {
        let vectors = vectors_at_once(kernels.inputs + kernels.outputs, POSITIONS);
        lanes::run(TileRow { tiled, kernels, finish, tile_row, vectors, output });
    });
}

/// Channels of the output that are computed together.
const BLOCK: usize = 6;

/// Transformed kernels: `[block of outputs, position, input, output]`.
pub struct Kernels {
    values: Vec<f32>,
    inputs: usize,
    outputs: usize,
    /// (first channel, channels)
    blocks: Vec<(usize, usize)>,
}

impl Kernels {
    /// The kernels of weights `[outputs, inputs, 3, 3]` that are used again and again.
    pub fn frozen(inputs: usize, outputs: usize, weight: &[f32]) -> Self {
        Self::new(Convolution::square(inputs, outputs, Resample::Keep), Direction::Forward, weight)
    }

    fn new(shape: Convolution, direction: Direction, weight: &[f32]) -> Self {
        assert_eq!(weight.len(), shape.weight_count(), "weights of {shape:?}");
        let (inputs, outputs) = match direction {
            Direction::Forward => (shape.inputs, shape.outputs),
            Direction::Backward => (shape.outputs, shape.inputs),
        };
        let blocks: Vec<_> = even_blocks(outputs, BLOCK).collect();
        let mut values = vec![0.0; POSITIONS * inputs * outputs];
        let mut rest = &mut values[..];
        let mut parts = Vec::with_capacity(blocks.len());
        for &(first, channels) in &blocks {
            let (block, others) = rest.split_at_mut(POSITIONS * inputs * channels);
            parts.push((first, channels, block));
            rest = others;
        }
        for_each_part(&mut parts, 1, 64 * inputs * outputs, |_, parts| {
            let (first, channels, values) = &mut parts[0];
            for input in 0..inputs {
                for output in 0..*channels {
                    let (from, to) = match direction {
                        Direction::Forward => (input, *first + output),
                        Direction::Backward => (*first + output, input),
                    };
                    let kernel: &[f32; 9] =
                        weight[(to * shape.inputs + from) * 9..].first_chunk().expect("a kernel has nine weights");
                    let tile = match direction {
                        Direction::Forward => kernel_tile(kernel),
                        Direction::Backward => turned_kernel_tile(kernel),
                    };
                    for position in 0..POSITIONS {
                        values[(position * inputs + input) * *channels + output] = tile[position];
                    }
                }
            }
        });
        Self { values, inputs, outputs, blocks }
    }

    /// The kernels of one block and position: `[input, output]`.
    #[inline(always)]
    fn block(&self, (first, channels): (usize, usize), position: usize) -> &[f32] {
        let length = self.inputs * channels;
        &self.values[POSITIONS * self.inputs * first + position * length..][..length]
    }
}

/// Two rows of pixels (the last time perhaps one).
struct TileRow<'a> {
    tiled: TiledPlanes<'a>,
    kernels: &'a Kernels,
    finish: Finish<'a>,
    tile_row: usize,
    /// To work on at once.
    vectors: usize,
    output: &'a mut [MaybeUninit<Chunk>],
}

impl Job for TileRow<'_> {
    #[inline(always)]
    fn run<L: Lanes>(mut self) {
        let Kernels { inputs, outputs, .. } = *self.kernels;
        let groups = Groups::new(self.tiled.chunks, self.vectors);
        let most = groups.tiles * groups.chunks;
        with_scratch(POSITIONS * (inputs + outputs) * most, |scratch| {
            for (first_chunk, chunks) in even_blocks(self.tiled.chunks, groups.chunks) {
                for (first_tile, tiles) in even_blocks(self.tiled.tile_columns(), groups.tiles) {
                    let group = Group { tile_row: self.tile_row, first_tile, tiles, first_chunk, chunks };
                    let vectors = group.vectors();
                    let (transformed, rest) = scratch.split_at_mut(POSITIONS * inputs * vectors);
                    let products = &mut rest[..POSITIONS * outputs * vectors];
                    L::call(Transform { tiled: self.tiled, group, transformed: &mut *transformed });
                    for position in 0..POSITIONS {
                        L::call(Product {
                            kernels: self.kernels,
                            position,
                            values: &transformed[position * inputs * vectors..][..inputs * vectors],
                            vectors,
                            products: &mut products[position * outputs * vectors..][..outputs * vectors],
                        });
                    }
                    L::call(FinishGroup { row: &mut self, group, products: &*products });
                }
            }
        });
    }
}

struct Transform<'a> {
    tiled: TiledPlanes<'a>,
    group: Group,
    transformed: &'a mut [Chunk],
}

impl Job for Transform<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        self.tiled.input_tiles::<L>(self.group, self.transformed);
    }
}

/// At one position: `products[output] = sum over inputs of kernel[input, output] * values[input]`.
struct Product<'a> {
    kernels: &'a Kernels,
    position: usize,
    /// `[input, vector]`
    values: &'a [Chunk],
    vectors: usize,
    /// `[output, vector]`
    products: &'a mut [Chunk],
}

impl Job for Product<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        for &(first, channels) in &self.kernels.blocks {
            let weights = self.kernels.block((first, channels), self.position);
            let products = &mut self.products[first * self.vectors..][..channels * self.vectors];
            let (values, vectors) = (self.values, self.vectors);
            match channels {
                1 => block::<L, 1>(weights, values, vectors, products),
                2 => block::<L, 2>(weights, values, vectors, products),
                3 => block::<L, 3>(weights, values, vectors, products),
                4 => block::<L, 4>(weights, values, vectors, products),
                5 => block::<L, 5>(weights, values, vectors, products),
                _ => block::<L, BLOCK>(weights, values, vectors, products),
            }
        }
    }
}

#[inline(always)]
fn block<L: Lanes, const C: usize>(weights: &[f32], values: &[Chunk], vectors: usize, products: &mut [Chunk]) {
    let mut first = 0;
    while L::MANY_REGISTERS && first + 4 <= vectors {
        L::call(Tile::<C, 4> { weights, values, vectors, first, products: &mut *products });
        first += 4;
    }
    while first + 2 <= vectors {
        L::call(Tile::<C, 2> { weights, values, vectors, first, products: &mut *products });
        first += 2;
    }
    if first < vectors {
        L::call(Tile::<C, 1> { weights, values, vectors, first, products });
    }
}

/// C outputs of V vectors, with all sums in registers.
struct Tile<'a, const C: usize, const V: usize> {
    weights: &'a [f32],
    values: &'a [Chunk],
    vectors: usize,
    first: usize,
    products: &'a mut [Chunk],
}

impl<const C: usize, const V: usize> Job for Tile<'_, C, V> {
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
                    sums[c][v] = loaded[v].mul_add(weight, sums[c][v]);
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
struct FinishGroup<'a, 'b> {
    row: &'a mut TileRow<'b>,
    group: Group,
    products: &'a [Chunk],
}

impl Job for FinishGroup<'_, '_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { row, group, products } = self;
        let TileRow { tiled, kernels, finish: Finish { bias, added, activation, pixel_length, first }, .. } = *row;
        let (vectors, outputs) = (group.vectors(), kernels.outputs);
        let length = outputs * vectors;
        let (height, width) = tiled.output_size();
        let heights = TILE.min(height - TILE * row.tile_row);
        assert_eq!(row.output.len(), heights * width * pixel_length, "the output of a row of tiles");
        // Of a pixel, without what others write.
        let own_length = outputs * tiled.chunks;
        assert_eq!(products.len(), POSITIONS * length, "products at every position");
        for tile in 0..group.tiles {
            let x = TILE * (group.first_tile + tile);
            let widths = TILE.min(width - x);
            for channel in 0..outputs {
                for chunk in 0..group.chunks {
                    let source = channel * vectors + tile * group.chunks + chunk;
                    let mut m = [[L::splat(0.0); 4]; 4];
                    for row in 0..4 {
                        for column in 0..4 {
                            // SAFETY: the source is within one position, and there are all positions.
                            let product = unsafe { unchecked(products, (4 * row + column) * length + source) };
                            m[row][column] = L::load(product);
                        }
                    }
                    let tile_values = output_tile::<L>(m);
                    let place = channel * tiled.chunks + group.first_chunk + chunk;
                    for dy in 0..heights {
                        for dx in 0..widths {
                            let mut value = tile_values[dy][dx];
                            if let Some(bias) = bias {
                                value = value.add(L::splat(bias[channel]));
                            }
                            let pixel = dy * width + x + dx;
                            if let Some(added) = added {
                                // One pixel is added to every pixel; otherwise `added` is a whole output.
                                let start = match added.len() == own_length {
                                    true => 0,
                                    false => (TILE * row.tile_row * width + pixel) * own_length,
                                };
                                value = value.add(L::load(&added[start + place]));
                            }
                            activation.of(value).write(&mut row.output[pixel * pixel_length + first + place]);
                        }
                    }
                }
            }
        }
    }
}
