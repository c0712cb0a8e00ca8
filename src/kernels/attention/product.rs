//! Products of small matrices of chunks: sixteen images at once.

use std::marker::PhantomData;

use crate::kernels::lanes::{Chunk, Job, Lanes, unchecked};
use crate::kernels::panel::{Pair, Word};

/// Where element (r, c) of a matrix lies: r * row + c * column.
#[derive(Clone, Copy)]
pub struct Grid {
    pub row: usize,
    pub column: usize,
}

impl Grid {
    /// The transposed matrix.
    #[inline(always)]
    pub fn turned(self) -> Self {
        Self { row: self.column, column: self.row }
    }

    #[inline(always)]
    fn at(self, row: usize, column: usize) -> usize {
        row * self.row + column * self.column
    }
}

/// output(r, c) = sum over k of first(r, k) * second(c, k), for `sizes` of r, c and k. `words` are of any content.
#[inline(always)]
pub fn multiply<L: Lanes, W: Word>(
    output: &mut [Chunk],
    output_grid: Grid,
    first: (&[Chunk], Grid),
    second: (&[Chunk], Grid),
    sizes: [usize; 3],
    words: &mut [Chunk],
) {
    if W::NUMBERS == 1 {
        return multiply_words::<L, W>(output, output_grid, first, second, sizes);
    }
    let [rows, columns, depth] = sizes;
    let depth_in_words = depth.div_ceil(W::NUMBERS);
    let grid = Grid { row: depth_in_words, column: 1 };
    let (of_first, rest) = words.split_at_mut(rows * depth_in_words);
    let of_second = &mut rest[..columns * depth_in_words];
    pair::<L>(first, depth, of_first);
    pair::<L>(second, depth, of_second);
    multiply_words::<L, W>(output, output_grid, (of_first, grid), (of_second, grid), [rows, columns, depth_in_words]);
}

/// The rows of a matrix of `depth` columns, each two neighbours as a pair of bf16; the last of an odd number has 0 beside it.
#[inline(always)]
fn pair<L: Lanes>((matrix, grid): (&[Chunk], Grid), depth: usize, words: &mut [Chunk]) {
    for (row, words) in words.chunks_exact_mut(depth.div_ceil(Pair::NUMBERS)).enumerate() {
        for (index, word) in words.iter_mut().enumerate() {
            let (lower, upper) = (grid.at(row, 2 * index), grid.at(row, 2 * index + 1));
            let second = if 2 * index + 1 < depth { L::load(&matrix[upper]) } else { L::splat(0.0) };
            L::load(&matrix[lower]).paired(second).store(word);
        }
    }
}

/// The same for words, of which `depth` are summed over.
#[inline(always)]
fn multiply_words<L: Lanes, W: Word>(
    output: &mut [Chunk],
    output_grid: Grid,
    first: (&[Chunk], Grid),
    second: (&[Chunk], Grid),
    [rows, columns, depth]: [usize; 3],
) {
    let mut row = 0;
    while row < rows {
        let height = match rows - row {
            6.. if L::MANY_REGISTERS => 6,
            4.. if L::MANY_REGISTERS => 4,
            _ => 1,
        };
        let mut column = 0;
        while column < columns {
            let width = if columns - column >= 4 { 4 } else { 1 };
            let output = &mut *output;
            let product = Product { output, output_grid, first, second, depth, row, column };
            match (height, width) {
                (6, 4) => L::call(Tile::<W, 6, 4>(product, PhantomData)),
                (6, _) => L::call(Tile::<W, 6, 1>(product, PhantomData)),
                (4, 4) => L::call(Tile::<W, 4, 4>(product, PhantomData)),
                (4, _) => L::call(Tile::<W, 4, 1>(product, PhantomData)),
                (_, 4) => L::call(Tile::<W, 1, 4>(product, PhantomData)),
                _ => L::call(Tile::<W, 1, 1>(product, PhantomData)),
            }
            column += width;
        }
        row += height;
    }
}

struct Product<'a> {
    output: &'a mut [Chunk],
    output_grid: Grid,
    first: (&'a [Chunk], Grid),
    second: (&'a [Chunk], Grid),
    depth: usize,
    row: usize,
    column: usize,
}

/// R rows and C columns of a product, with all sums in registers.
struct Tile<'a, W, const R: usize, const C: usize>(Product<'a>, PhantomData<W>);

impl<W: Word, const R: usize, const C: usize> Job for Tile<'_, W, R, C> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Product {
            output,
            output_grid,
            first: (first, first_grid),
            second: (second, second_grid),
            depth,
            row,
            column,
        } = self.0;
        assert!(
            depth > 0 && first_grid.at(row + R - 1, depth - 1) < first.len(),
            "the first matrix has these elements"
        );
        assert!(second_grid.at(column + C - 1, depth - 1) < second.len(), "the second matrix has these elements");
        let mut sums = [[L::splat(0.0); C]; R];
        for k in 0..depth {
            let mut loaded = [L::splat(0.0); C];
            for c in 0..C {
                // SAFETY: no larger than what was checked above, in each of its terms.
                loaded[c] = L::load(unsafe { unchecked(second, second_grid.at(column + c, k)) });
            }
            for r in 0..R {
                // SAFETY: as above.
                let first = L::load(unsafe { unchecked(first, first_grid.at(row + r, k)) });
                for c in 0..C {
                    sums[r][c] = W::mul_add(first, loaded[c], sums[r][c]);
                }
            }
        }
        for r in 0..R {
            for c in 0..C {
                sums[r][c].store(&mut output[output_grid.at(row + r, column + c)]);
            }
        }
    }
}
