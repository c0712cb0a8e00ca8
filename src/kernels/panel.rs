//! Products of rows of numbers with a panel of chunks: the heart of linear maps and of their weights' gradients.

use super::lanes::{Chunk, Job, Lanes, unchecked};

/// Rows whose products with a panel are summed together, in registers.
pub const ROWS: usize = 6;

/// Columns of a panel at most.
pub const COLUMNS: usize = 4;

/// The depth of a panel at most: [`COLUMNS`] of it fill two thirds of a first-level cache of 48 KiB.
pub const DEPTH: usize = 128;

/// Columns of the next panel where `rest` are left: what the registers hold the sums of.
#[inline(always)]
pub fn panel_columns<L: Lanes>(rest: usize) -> usize {
    match rest {
        COLUMNS.. if L::MANY_REGISTERS => COLUMNS,
        2.. if L::MANY_REGISTERS => 2,
        _ => 1,
    }
}

/// Rows of numbers in runs: number k of a run is at `run * run_stride + row * row_stride + k`.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    pub values: &'a [f32],
    pub row_stride: usize,
    pub runs: usize,
    pub run_stride: usize,
    pub run_length: usize,
}

impl<'a> Rows<'a> {
    /// All but the first `count` rows.
    #[inline(always)]
    pub fn skip(self, count: usize) -> Self {
        Self { values: &self.values[count * self.row_stride..], ..self }
    }
}

/// `sums(row, column) += sum over runs and k of rows(row, run, k) * panel(run, k, column)`, of up to [`ROWS`] rows.
pub struct PanelProduct<'a> {
    pub rows: Rows<'a>,
    pub row_count: usize,
    /// `[runs, run_length, columns]`
    pub panel: &'a [Chunk],
    /// The columns, in the order of [`panel_columns`].
    pub columns: usize,
    /// Of a row one after the other, [`PanelProduct::stride`] from row to row.
    pub sums: &'a mut [Chunk],
    pub stride: usize,
    /// Whether the sums start at 0, whatever is there.
    pub fresh: bool,
}

impl PanelProduct<'_> {
    #[inline(always)]
    pub fn add<L: Lanes>(self) {
        match self.columns {
            COLUMNS if L::MANY_REGISTERS => self.add_columns::<L, COLUMNS>(),
            2 if L::MANY_REGISTERS => self.add_columns::<L, 2>(),
            columns => {
                assert_eq!(columns, 1, "columns of a panel");
                self.add_columns::<L, 1>();
            }
        }
    }

    #[inline(always)]
    fn add_columns<L: Lanes, const C: usize>(self) {
        match self.row_count {
            1 => L::call(Tile::<1, C>(self)),
            2 => L::call(Tile::<2, C>(self)),
            3 => L::call(Tile::<3, C>(self)),
            4 => L::call(Tile::<4, C>(self)),
            5 => L::call(Tile::<5, C>(self)),
            rows => {
                assert_eq!(rows, ROWS, "rows of a product");
                L::call(Tile::<ROWS, C>(self));
            }
        }
    }
}

/// R rows and C columns, their sums in registers.
struct Tile<'a, const R: usize, const C: usize>(PanelProduct<'a>);

impl<const R: usize, const C: usize> Job for Tile<'_, R, C> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let PanelProduct { rows, panel, sums: all_sums, stride, fresh, .. } = self.0;
        let mut sums = [[L::splat(0.0); C]; R];
        if !fresh {
            for r in 0..R {
                let row = &all_sums[r * stride..][..C];
                for c in 0..C {
                    sums[r][c] = L::load(&row[c]);
                }
            }
        }
        let panel = panel.as_chunks::<C>().0;
        for run in 0..rows.runs {
            let mut numbers = [&rows.values[..0]; R];
            for r in 0..R {
                numbers[r] = &rows.values[run * rows.run_stride + r * rows.row_stride..][..rows.run_length];
            }
            let panel = &panel[run * rows.run_length..][..rows.run_length];
            for (k, columns) in panel.iter().enumerate() {
                let mut loaded = [L::splat(0.0); C];
                for c in 0..C {
                    loaded[c] = L::load(&columns[c]);
                }
                for r in 0..R {
                    // SAFETY: k is below the length of a run, and so many numbers were taken of each row.
                    let number = L::splat(*unsafe { unchecked(numbers[r], k) });
                    for c in 0..C {
                        sums[r][c] = loaded[c].mul_add(number, sums[r][c]);
                    }
                }
            }
        }
        for r in 0..R {
            let row = &mut all_sums[r * stride..][..C];
            for c in 0..C {
                sums[r][c].store(&mut row[c]);
            }
        }
    }
}
