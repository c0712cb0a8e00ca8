use std::marker::PhantomData;

use super::lines::kernel_gradient_line;
use super::transform::{Group, TiledPlanes, gradient_tile, input_tile};
use super::{Groups, LARGE, SMALL, scale_of, span, vectors_at_once};
use crate::kernels::convolution::even_blocks;
use crate::kernels::lanes::{self, Chunk, Job, LANES, Lanes};
use crate::kernels::panel::{COLUMNS, DEPTH, Pair, PanelProduct, ROWS, Rows, Single, Word, panel_columns};
use crate::kernels::parallel::{WORTH_SHARING, for_each_part};
use crate::kernels::planes::Planes;
use crate::kernels::scratch::with_scratch;
use crate::kernels::{Convolution, Products};

/// The gradient with respect to the weights, flat, from the input and the gradient of the output.
///
/// At each position it is the product of the gradient `[outputs, tiles and images]` with the input `[tiles and images, inputs]`, for which
/// sixteen inputs of an image are brought into one chunk. The rows of tiles are split into parts that are summed apart and then added in order;
/// how many there are depends on the shapes alone.
pub fn weight_gradient(shape: Convolution, products: Products, input: &Planes, gradient: &Planes) -> Vec<f32> {
    match (products, span(gradient.height, gradient.width)) {
        (Products::F32, SMALL) => gradient_by::<Single, SMALL>(shape, input, gradient),
        (Products::F32, _) => gradient_by::<Single, LARGE>(shape, input, gradient),
        (Products::Bf16, SMALL) => gradient_by::<Pair, SMALL>(shape, input, gradient),
        (Products::Bf16, _) => gradient_by::<Pair, LARGE>(shape, input, gradient),
    }
}

fn gradient_by<W: Word, const S: usize>(shape: Convolution, input: &Planes, gradient: &Planes) -> Vec<f32> {
    let (inputs, outputs) = (shape.inputs, shape.outputs);
    assert_eq!((input.channels, gradient.channels), (inputs, outputs), "channels of {shape:?}");
    let zeros = vec![[0.0; LANES]; inputs.max(outputs) * input.chunks];
    let input = TiledPlanes::new(input, scale_of(shape), &zeros[..inputs * input.chunks]);
    assert_eq!(
        (input.height, input.width, input.chunks),
        (gradient.height, gradient.width, gradient.chunks),
        "the gradient of {shape:?}"
    );
    let gradient = TiledPlanes::new(gradient, 1, &zeros[..outputs * gradient.chunks]);

    let operations = 2 * input.height * input.width * shape.weight_count() * input.chunks * LANES;
    let tile_rows = input.tile_rows(S);
    let vectors = tile_rows * input.tile_columns(S) * input.chunks;
    let most_parts = if operations < WORTH_SHARING { 1 } else { (vectors / VECTORS_PER_PART).clamp(2, PARTS) };
    let parts: Vec<_> = even_blocks(tile_rows, tile_rows.div_ceil(most_parts)).collect();
    let input_vectors = inputs.div_ceil(LANES);
    let part_length = S * S * outputs * input_vectors;
    let mut sums = vec![[0.0; LANES]; parts.len() * part_length];
    for_each_part(&mut sums, part_length, operations, |part, sums| {
        let (first, rows) = parts[part];
        let tile_rows = first..first + rows;
        W::run(TileRows::<W, S> { word: PhantomData, input, gradient, tile_rows, sums });
    });

    let mut weights = vec![0.0; shape.weight_count()];
    let operations = (parts.len() + 4) * part_length * LANES;
    for_each_part(&mut weights, 9 * inputs, operations, |output, weights| {
        lanes::run(Kernels::<S> { sums: &sums, part_length, outputs, output, weights });
    });
    weights
}

/// The vectors of a part: there are then so few parts that adding them up costs little.
const VECTORS_PER_PART: usize = 32;

/// At most, where there is much to do.
const PARTS: usize = 8;

struct TileRows<'a, W, const S: usize> {
    word: PhantomData<W>,
    input: TiledPlanes<'a>,
    gradient: TiledPlanes<'a>,
    tile_rows: std::ops::Range<usize>,
    /// `[position, output, vectors of inputs]`
    sums: &'a mut [Chunk],
}

impl<W: Word, const S: usize> Job for TileRows<'_, W, S> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { word, input, gradient, tile_rows, sums } = self;
        let (outputs, input_vectors) = (gradient.channels, input.channels.div_ceil(LANES));
        let (positions, columns_at_once) = (S * S, input_vectors.min(COLUMNS));
        // A panel is at most so deep.
        let vectors = vectors_at_once(columns_at_once * LANES + outputs, positions).min(DEPTH * W::NUMBERS / LANES);
        let groups = Groups::new(input.chunks, vectors);
        let most = groups.tiles * groups.chunks;
        let mut fresh = true;
        with_scratch(positions * (outputs + columns_at_once * LANES) * most, |scratch| {
            for tile_row in tile_rows {
                for (first_chunk, chunks) in even_blocks(input.chunks, groups.chunks) {
                    for (first_tile, tiles) in even_blocks(input.tile_columns(S), groups.tiles) {
                        let group = Group { tile_row, first_tile, tiles, first_chunk, chunks };
                        let vectors = group.vectors();
                        let (rows, panels) = scratch.split_at_mut(positions * outputs * vectors);
                        L::call(TransformGradient::<W, S> { word, gradient, group, rows: &mut *rows });
                        let mut vector = 0;
                        while vector < input_vectors {
                            let columns = panel_columns::<L>(input_vectors - vector);
                            let panels = &mut panels[..positions * vectors * LANES * columns];
                            L::call(TransformInput::<W, S> {
                                word,
                                input,
                                group,
                                vector,
                                columns,
                                panels: &mut *panels,
                            });
                            for position in 0..positions {
                                let rows = &rows[position * outputs * vectors..][..outputs * vectors];
                                let (depth, most) = (vectors * LANES / W::NUMBERS, vectors * LANES);
                                let panel = &panels[position * most * columns..][..depth * columns];
                                let sums = &mut sums[position * outputs * input_vectors + vector..];
                                let stride = input_vectors;
                                L::call(PositionSums { word, rows, outputs, panel, columns, sums, stride, fresh });
                            }
                            vector += columns;
                        }
                        fresh = false;
                    }
                }
            }
        });
    }
}

/// A dY A^T of every tile of a group, in words of neighbouring images: `[position, channel, tile, chunk]`, words first, of a channel.
struct TransformGradient<'a, W, const S: usize> {
    word: PhantomData<W>,
    gradient: TiledPlanes<'a>,
    group: Group,
    rows: &'a mut [Chunk],
}

impl<W: Word, const S: usize> Job for TransformGradient<'_, W, S> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { gradient, group, rows, .. } = self;
        let vectors = group.vectors();
        let length = gradient.channels * vectors;
        assert_eq!(rows.len(), S * S * length, "values at every position");
        for tile in 0..group.tiles {
            let pixels = gradient.output_pixels::<S>(group.tile_row, group.first_tile + tile);
            for channel in 0..gradient.channels {
                for chunk in 0..group.chunks {
                    let values = gradient_tile::<L, S>(&pixels, channel * gradient.chunks + group.first_chunk + chunk);
                    let target = channel * vectors + tile * group.chunks + chunk;
                    for row in 0..S {
                        for column in 0..S {
                            values[row][column].store(&mut rows[(S * row + column) * length + target]);
                        }
                    }
                }
            }
        }
        if W::NUMBERS > 1 {
            for row in rows.chunks_exact_mut(vectors) {
                for word in 0..vectors.div_ceil(2) {
                    let first = L::load(&row[2 * word]);
                    let second = if 2 * word + 1 < vectors { L::load(&row[2 * word + 1]) } else { L::splat(0.0) };
                    first.neighbours_paired(second).store(&mut row[word]);
                }
            }
        }
    }
}

/// B^T d B of every tile of a group, sixteen channels of an image, or of two neighbours, as one chunk: `[position, tile, word of images, column]`, 0
/// where there are no more channels. A position has room for f32.
struct TransformInput<'a, W, const S: usize> {
    word: PhantomData<W>,
    input: TiledPlanes<'a>,
    group: Group,
    /// The first vector of sixteen channels.
    vector: usize,
    /// How many.
    columns: usize,
    panels: &'a mut [Chunk],
}

impl<W: Word, const S: usize> Job for TransformInput<'_, W, S> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { input, group, vector, columns, panels, .. } = self;
        let panel_length = group.vectors() * LANES * columns;
        assert_eq!(panels.len(), S * S * panel_length, "values at every position");
        for tile in 0..group.tiles {
            let pixels = input.input_pixels::<S>(group.tile_row, group.first_tile + tile);
            for column in 0..columns {
                let first_channel = (vector + column) * LANES;
                let channels = LANES.min(input.channels - first_channel);
                for chunk in 0..group.chunks {
                    // First the channels one after the other, where the images will be.
                    let first_image = (tile * group.chunks + chunk) * LANES;
                    for channel in 0..LANES {
                        let mut values = [[L::splat(0.0); S]; S];
                        if channel < channels {
                            let source = (first_channel + channel) * input.chunks + group.first_chunk + chunk;
                            values = input_tile(&pixels, source);
                        }
                        let target = (first_image + channel) * columns + column;
                        for y in 0..S {
                            for x in 0..S {
                                values[y][x].store(&mut panels[(S * y + x) * panel_length + target]);
                            }
                        }
                    }
                }
            }
        }
        for panel in panels.chunks_exact_mut(panel_length) {
            for vector in 0..group.vectors() {
                for column in 0..columns {
                    let mut rows = [L::splat(0.0); LANES];
                    for channel in 0..LANES {
                        rows[channel] = L::load(&panel[(vector * LANES + channel) * columns + column]);
                    }
                    let images = L::turned(rows);
                    for (word, numbers) in images.chunks_exact(W::NUMBERS).enumerate() {
                        let place = &mut panel[(vector * LANES / W::NUMBERS + word) * columns + column];
                        match *numbers {
                            [lower, upper] => lower.paired(upper).store(place),
                            _ => numbers[0].store(place),
                        }
                    }
                }
            }
        }
    }
}

/// The sums at one position, of some columns of a panel.
struct PositionSums<'a, W> {
    word: PhantomData<W>,
    /// `[output, vector]`, words first.
    rows: &'a [Chunk],
    outputs: usize,
    panel: &'a [Chunk],
    columns: usize,
    sums: &'a mut [Chunk],
    stride: usize,
    fresh: bool,
}

impl<W: Word> Job for PositionSums<'_, W> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { rows, outputs, panel, columns, sums, stride, fresh, .. } = self;
        let (values, row_stride) = (rows.as_flattened(), rows.len() / outputs * LANES);
        let rows = Rows { values, row_stride, runs: 1, run_stride: 0, run_length: panel.len() / columns };
        for row in (0..outputs).step_by(ROWS) {
            let row_count = ROWS.min(outputs - row);
            let (rows, sums) = (rows.skip(row), &mut sums[row * stride..]);
            PanelProduct { rows, row_count, panel, columns, sums, stride, fresh }.add::<L, W>();
        }
    }
}

/// The gradients of one output's kernels: G^T u G of the sums of all parts.
struct Kernels<'a, const S: usize> {
    /// `[part, position, output, vectors of inputs]`
    sums: &'a [Chunk],
    part_length: usize,
    outputs: usize,
    output: usize,
    /// `[input, 9]`
    weights: &'a mut [f32],
}

impl<const S: usize> Job for Kernels<'_, S> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { sums, part_length, outputs, output, weights } = self;
        for (vector, weights) in weights.chunks_mut(9 * LANES).enumerate() {
            let input_vectors = part_length / (S * S * outputs);
            let mut u = [[L::splat(0.0); S]; S];
            for part in sums.chunks_exact(part_length) {
                for row in 0..S {
                    for column in 0..S {
                        let sum = &part[((S * row + column) * outputs + output) * input_vectors + vector];
                        u[row][column] = u[row][column].add(L::load(sum));
                    }
                }
            }
            let mut columns = [[L::splat(0.0); S]; 3];
            for column in 0..S {
                let mut line = [L::splat(0.0); S];
                for row in 0..S {
                    line[row] = u[row][column];
                }
                let line = kernel_gradient_line(line);
                for y in 0..3 {
                    columns[y][column] = line[y];
                }
            }
            let mut kernels = [[0.0; LANES]; 9];
            for y in 0..3 {
                let line = kernel_gradient_line(columns[y]);
                for x in 0..3 {
                    line[x].store(&mut kernels[3 * y + x]);
                }
            }
            for (input, weights) in weights.chunks_exact_mut(9).enumerate() {
                for index in 0..9 {
                    weights[index] = kernels[index][input];
                }
            }
        }
    }
}
