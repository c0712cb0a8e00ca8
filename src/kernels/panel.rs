//! Products of rows of words with a panel of chunks of words: the heart of linear maps and of their weights' gradients.

use std::borrow::Cow;
use std::marker::PhantomData;

use super::lanes::{self, Chunk, Job, LANES, Lanes, unchecked};

/// What the 32 bits of a word hold.
pub trait Word: Copy + Send + Sync {
    /// How many numbers, next to each other in the direction that is summed over.
    const NUMBERS: usize;

    /// Runs a job on such words.
    fn run<J: Job>(job: J);

    /// `sum` plus the products of the numbers of two words.
    fn mul_add<L: Lanes>(words: L, factor: L, sum: L) -> L;

    /// Each row of `length` numbers as words of neighbours; the last of an odd number has 0 beside it.
    fn of_rows(numbers: Cow<[f32]>, length: usize) -> Cow<[f32]>;

    /// Sixteen words: in each lane the numbers of that lane. Of one number the first alone.
    fn of_lanes<L: Lanes>(first: L, second: L) -> L;

    /// The reverse of [`Word::of_lanes`]; where a word is one number, both are it.
    fn to_lanes<L: Lanes>(words: L) -> [L; 2];
}

/// An f32.
#[derive(Clone, Copy)]
pub struct Single;

impl Word for Single {
    const NUMBERS: usize = 1;

    fn run<J: Job>(job: J) {
        lanes::run(job);
    }

    #[inline(always)]
    fn mul_add<L: Lanes>(words: L, factor: L, sum: L) -> L {
        words.mul_add(factor, sum)
    }

    fn of_rows(numbers: Cow<[f32]>, _: usize) -> Cow<[f32]> {
        numbers
    }

    #[inline(always)]
    fn of_lanes<L: Lanes>(first: L, _: L) -> L {
        first
    }

    #[inline(always)]
    fn to_lanes<L: Lanes>(words: L) -> [L; 2] {
        [words; 2]
    }
}

/// Two bf16, whose products are added up in f32.
#[derive(Clone, Copy)]
pub struct Pair;

impl Word for Pair {
    const NUMBERS: usize = 2;

    fn run<J: Job>(job: J) {
        lanes::run_pairs(job);
    }

    #[inline(always)]
    fn mul_add<L: Lanes>(words: L, factor: L, sum: L) -> L {
        words.pairs_mul_add(factor, sum)
    }

    fn of_rows(numbers: Cow<[f32]>, length: usize) -> Cow<[f32]> {
        let mut words = vec![0.0; numbers.len() / length * length.div_ceil(Self::NUMBERS)];
        Self::run(Paired { numbers: &numbers, length, words: &mut words });
        Cow::Owned(words)
    }

    #[inline(always)]
    fn of_lanes<L: Lanes>(first: L, second: L) -> L {
        first.paired(second)
    }

    #[inline(always)]
    fn to_lanes<L: Lanes>(words: L) -> [L; 2] {
        words.halves()
    }
}

/// See [`Word::of_rows`].
struct Paired<'a> {
    numbers: &'a [f32],
    length: usize,
    words: &'a mut [f32],
}

impl Job for Paired<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let words = self.length.div_ceil(Pair::NUMBERS);
        for (row, words) in self.numbers.chunks_exact(self.length).zip(self.words.chunks_exact_mut(words)) {
            for (numbers, words) in row.chunks(2 * LANES).zip(words.chunks_mut(LANES)) {
                let mut both = [[0.0; LANES]; 2];
                both.as_flattened_mut()[..numbers.len()].copy_from_slice(numbers);
                let mut paired = [0.0; LANES];
                L::load(&both[0]).neighbours_paired(L::load(&both[1])).store(&mut paired);
                words.copy_from_slice(&paired[..words.len()]);
            }
        }
    }
}

/// Rows whose products with a panel are summed together, in registers.
pub const ROWS: usize = 6;

/// Columns of a panel at most.
pub const COLUMNS: usize = 4;

/// The depth of a panel in words, at most: [`COLUMNS`] of it fill two thirds of a first-level cache of 48 KiB.
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

/// Rows of words in runs: word k of a run is at `run * run_stride + row * row_stride + k`.
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
    pub fn add<L: Lanes, W: Word>(self) {
        match self.columns {
            COLUMNS if L::MANY_REGISTERS => self.add_columns::<L, W, COLUMNS>(),
            2 if L::MANY_REGISTERS => self.add_columns::<L, W, 2>(),
            columns => {
                assert_eq!(columns, 1, "columns of a panel");
                self.add_columns::<L, W, 1>();
            }
        }
    }

    #[inline(always)]
    fn add_columns<L: Lanes, W: Word, const C: usize>(self) {
        match self.row_count {
            1 => L::call(Tile::<W, 1, C>(self, PhantomData)),
            2 => L::call(Tile::<W, 2, C>(self, PhantomData)),
            3 => L::call(Tile::<W, 3, C>(self, PhantomData)),
            4 => L::call(Tile::<W, 4, C>(self, PhantomData)),
            5 => L::call(Tile::<W, 5, C>(self, PhantomData)),
            rows => {
                assert_eq!(rows, ROWS, "rows of a product");
                L::call(Tile::<W, ROWS, C>(self, PhantomData));
            }
        }
    }
}

/// R rows and C columns, their sums in registers.
struct Tile<'a, W, const R: usize, const C: usize>(PanelProduct<'a>, PhantomData<W>);

impl<W: Word, const R: usize, const C: usize> Job for Tile<'_, W, R, C> {
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
            let mut words = [&rows.values[..0]; R];
            for r in 0..R {
                words[r] = &rows.values[run * rows.run_stride + r * rows.row_stride..][..rows.run_length];
            }
            let panel = &panel[run * rows.run_length..][..rows.run_length];
            for (k, columns) in panel.iter().enumerate() {
                let mut loaded = [L::splat(0.0); C];
                for c in 0..C {
                    loaded[c] = L::load(&columns[c]);
                }
                for r in 0..R {
                    // SAFETY: k is below the length of a run, and so many words were taken of each row.
                    let word = L::splat(*unsafe { unchecked(words[r], k) });
                    for c in 0..C {
                        sums[r][c] = W::mul_add(loaded[c], word, sums[r][c]);
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
