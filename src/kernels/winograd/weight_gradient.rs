use super::outer_products::OuterProducts;
use super::transform::{Group, TiledPlanes, kernel_gradient};
use super::{Groups, POSITIONS, vectors_at_once};
use crate::kernels::Convolution;
use crate::kernels::convolution::even_blocks;
use crate::kernels::lanes::{self, Chunk, Job, LANES, Lanes};
use crate::kernels::parallel::{WORTH_SHARING, for_each_part};
use crate::kernels::planes::Planes;
use crate::kernels::scratch::with_scratch;

/// The gradient with respect to the weights, flat, from the input and the gradient of the output.
///
/// The rows of tiles are split into parts that are summed apart and then added in order; how many there are depends on
/// the shapes alone.
pub fn weight_gradient(shape: Convolution, input: &Planes, gradient: &Planes) -> Vec<f32> {
    let (inputs, outputs) = (shape.inputs, shape.outputs);
    assert_eq!((input.channels, gradient.channels), (inputs, outputs), "channels of {shape:?}");
    assert_eq!(
        (input.height, input.width, input.chunks),
        (gradient.height, gradient.width, gradient.chunks),
        "the gradient of {shape:?}"
    );
    let zeros = vec![[0.0; LANES]; inputs.max(outputs) * input.chunks];
    let input = TiledPlanes::new(input, &zeros[..inputs * input.chunks]);
    let gradient = TiledPlanes::new(gradient, &zeros[..outputs * gradient.chunks]);

    let operations = 2 * input.height * input.width * shape.weight_count() * input.chunks * LANES;
    let vectors = input.tile_rows() * input.tile_columns() * input.chunks;
    let most_parts = if operations < WORTH_SHARING { 1 } else { (vectors / VECTORS_PER_PART).clamp(2, PARTS) };
    let parts: Vec<_> = even_blocks(input.tile_rows(), input.tile_rows().div_ceil(most_parts)).collect();
    let part_length = POSITIONS * outputs * inputs;
    let mut sums = vec![0.0; parts.len() * part_length];
    let vectors = vectors_at_once(inputs + outputs, COLUMNS);
    for_each_part(&mut sums, part_length, operations, |part, sums| {
        let (first, rows) = parts[part];
        lanes::run(TileRows { input, gradient, tile_rows: first..first + rows, vectors, sums });
    });

    let mut weights = vec![0.0; shape.weight_count()];
    let operations = (parts.len() + 4) * part_length;
    for_each_part(&mut weights, 9 * inputs, operations, |output, weights| {
        for (input, kernel) in weights.as_chunks_mut::<9>().0.iter_mut().enumerate() {
            let mut tile = [0.0; POSITIONS];
            for sums in sums.chunks_exact(part_length) {
                for position in 0..POSITIONS {
                    tile[position] += sums[(position * outputs + output) * inputs + input];
                }
            }
            *kernel = kernel_gradient(&tile);
        }
    });
    weights
}

/// The vectors of a part: there are then so few parts that adding them up costs little.
const VECTORS_PER_PART: usize = 32;

/// At most, where there is much to do.
const PARTS: usize = 8;

/// Positions of a row of positions, which are worked on together.
const COLUMNS: usize = 4;

struct TileRows<'a> {
    input: TiledPlanes<'a>,
    gradient: TiledPlanes<'a>,
    tile_rows: std::ops::Range<usize>,
    /// To work on at once.
    vectors: usize,
    /// `[position, output, input]`
    sums: &'a mut [f32],
}

impl Job for TileRows<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { input, gradient, tile_rows, vectors, sums } = self;
        let groups = Groups::new(input.chunks, vectors);
        let (inputs, outputs) = (input.channels, gradient.channels);
        let most = groups.tiles * groups.chunks;
        with_scratch(COLUMNS * (inputs + outputs) * most, |scratch| {
            for tile_row in tile_rows {
                for (first_chunk, chunks) in even_blocks(input.chunks, groups.chunks) {
                    for (first_tile, tiles) in even_blocks(input.tile_columns(), groups.tiles) {
                        let group = Group { tile_row, first_tile, tiles, first_chunk, chunks };
                        let vectors = group.vectors();
                        let (values, rest) = scratch.split_at_mut(COLUMNS * inputs * vectors);
                        let gradients = &mut rest[..COLUMNS * outputs * vectors];
                        for row in 0..POSITIONS / COLUMNS {
                            L::call(TransformRow {
                                input,
                                gradient,
                                group,
                                row,
                                values: &mut *values,
                                gradients: &mut *gradients,
                            });
                            for column in 0..COLUMNS {
                                let position = COLUMNS * row + column;
                                let rows = &gradients[column * outputs * vectors..][..outputs * vectors];
                                let columns = &values[column * inputs * vectors..][..inputs * vectors];
                                let sums = &mut sums[position * outputs * inputs..][..outputs * inputs];
                                L::call(OuterProducts { rows, columns, vectors, sums });
                            }
                        }
                    }
                }
            }
        });
    }
}

/// A row of positions of the input and of the gradient.
struct TransformRow<'a> {
    input: TiledPlanes<'a>,
    gradient: TiledPlanes<'a>,
    group: Group,
    row: usize,
    values: &'a mut [Chunk],
    gradients: &'a mut [Chunk],
}

impl Job for TransformRow<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        self.input.input_row::<L>(self.group, self.row, self.values);
        self.gradient.gradient_row::<L>(self.group, self.row, self.gradients);
    }
}
