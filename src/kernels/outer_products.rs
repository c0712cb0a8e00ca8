//! Sums of products of all channels of one thing with all channels of another: the heart of weight gradients.

use super::lanes::{Chunk, Job, Lanes, unchecked};

/// Values of several channels at `outer` x `inner` places: value (channel, place p of outer, place q of inner) is at
/// `channel * channel_stride + p * outer_stride + q`.
#[derive(Clone, Copy)]
pub struct Channels<'a> {
    pub values: &'a [Chunk],
    pub channels: usize,
    pub channel_stride: usize,
    pub outer: usize,
    pub outer_stride: usize,
    pub inner: usize,
}

/// Adds to `sums`, `[rows' channels, columns' channels]`, the products of `rows` and `columns` over all places and
/// lanes. Both have the same places.
pub struct OuterProducts<'a> {
    pub rows: Channels<'a>,
    pub columns: Channels<'a>,
    pub sums: &'a mut [f32],
}

impl Job for OuterProducts<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { rows, columns, sums } = self;
        assert_eq!((rows.outer, rows.inner), (columns.outer, columns.inner), "rows and columns at the same places");
        assert_eq!(sums.len(), rows.channels * columns.channels, "a sum for each pair of channels");
        if rows.outer == 0 || rows.inner == 0 {
            return;
        }
        for channels in [rows, columns] {
            let last = (channels.channels - 1) * channels.channel_stride + (channels.outer - 1) * channels.outer_stride;
            assert!(last + channels.inner <= channels.values.len(), "all places are within the values");
        }
        let mut row = 0;
        while row < rows.channels {
            let height = tile_side::<L>(rows.channels - row);
            let mut column = 0;
            while column < columns.channels {
                let width = tile_side::<L>(columns.channels - column);
                let tile = Place { rows, columns, row, column };
                let sums = &mut *sums;
                match (height, width) {
                    (4, 4) => L::call(Tile::<4, 4> { tile, sums }),
                    (4, 2) => L::call(Tile::<4, 2> { tile, sums }),
                    (4, _) => L::call(Tile::<4, 1> { tile, sums }),
                    (2, 4) => L::call(Tile::<2, 4> { tile, sums }),
                    (2, 2) => L::call(Tile::<2, 2> { tile, sums }),
                    (2, _) => L::call(Tile::<2, 1> { tile, sums }),
                    (_, 4) => L::call(Tile::<1, 4> { tile, sums }),
                    (_, 2) => L::call(Tile::<1, 2> { tile, sums }),
                    _ => L::call(Tile::<1, 1> { tile, sums }),
                }
                column += width;
            }
            row += height;
        }
    }
}

/// Channels of a tile where `rest` are left: what the registers hold the sums of.
#[inline(always)]
fn tile_side<L: Lanes>(rest: usize) -> usize {
    match rest {
        4.. if L::MANY_REGISTERS => 4,
        2.. => 2,
        _ => 1,
    }
}

#[derive(Clone, Copy)]
struct Place<'a> {
    rows: Channels<'a>,
    columns: Channels<'a>,
    row: usize,
    column: usize,
}

/// R channels of the rows and C of the columns, their products in registers.
struct Tile<'a, const R: usize, const C: usize> {
    tile: Place<'a>,
    sums: &'a mut [f32],
}

impl<const R: usize, const C: usize> Job for Tile<'_, R, C> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Place { rows, columns, row, column } = self.tile;
        let row_values = &rows.values[row * rows.channel_stride..];
        let column_values = &columns.values[column * columns.channel_stride..];
        let mut products = [[L::splat(0.0); C]; R];
        for outer in 0..rows.outer {
            let (row_start, column_start) = (outer * rows.outer_stride, outer * columns.outer_stride);
            for inner in 0..rows.inner {
                let mut loaded = [L::splat(0.0); C];
                for c in 0..C {
                    // SAFETY: `OuterProducts::run` checked the last place of the last channel.
                    let value = unsafe { unchecked(column_values, c * columns.channel_stride + column_start + inner) };
                    loaded[c] = L::load(value);
                }
                for r in 0..R {
                    // SAFETY: as above.
                    let value = unsafe { unchecked(row_values, r * rows.channel_stride + row_start + inner) };
                    let value = L::load(value);
                    for c in 0..C {
                        products[r][c] = value.mul_add(loaded[c], products[r][c]);
                    }
                }
            }
        }
        for r in 0..R {
            let sums = &mut self.sums[(row + r) * columns.channels + column..][..C];
            if C == 4 {
                let four = L::sums([products[r][0], products[r][1 % C], products[r][2 % C], products[r][3 % C]]);
                for c in 0..4 {
                    sums[c] += four[c];
                }
            } else {
                for c in 0..C {
                    sums[c] += products[r][c].sum();
                }
            }
        }
    }
}
