use crate::kernels::lanes::{Chunk, Job, Lanes, unchecked};

/// Adds to `sums`, `[channels of rows, channels of columns]`, the products of all channels of `rows` with all channels of
/// `columns`, summed over vectors and lanes. Both are `[channel, vector]`.
pub struct OuterProducts<'a> {
    pub rows: &'a [Chunk],
    pub columns: &'a [Chunk],
    pub vectors: usize,
    pub sums: &'a mut [f32],
}

impl Job for OuterProducts<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { rows, columns, vectors, sums } = self;
        if vectors == 0 {
            return;
        }
        let (row_count, column_count) = (rows.len() / vectors, columns.len() / vectors);
        assert_eq!(sums.len(), row_count * column_count, "a sum for each pair of channels");
        let mut row = 0;
        while row < row_count {
            let height = tile_side::<L>(row_count - row);
            let rows = &rows[row * vectors..][..height * vectors];
            let mut column = 0;
            while column < column_count {
                let width = tile_side::<L>(column_count - column);
                let columns = &columns[column * vectors..][..width * vectors];
                let sums = &mut sums[row * column_count + column..];
                let tile = Products { rows, columns, vectors, sums, stride: column_count };
                match (height, width) {
                    (4, 4) => L::call(Tile::<4, 4>(tile)),
                    (4, 2) => L::call(Tile::<4, 2>(tile)),
                    (4, _) => L::call(Tile::<4, 1>(tile)),
                    (2, 4) => L::call(Tile::<2, 4>(tile)),
                    (2, 2) => L::call(Tile::<2, 2>(tile)),
                    (2, _) => L::call(Tile::<2, 1>(tile)),
                    (_, 4) => L::call(Tile::<1, 4>(tile)),
                    (_, 2) => L::call(Tile::<1, 2>(tile)),
                    _ => L::call(Tile::<1, 1>(tile)),
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

/// As in [`OuterProducts`], of the channels of one tile; the sum of a row and a column is at `row * stride + column`.
struct Products<'a> {
    rows: &'a [Chunk],
    columns: &'a [Chunk],
    vectors: usize,
    sums: &'a mut [f32],
    stride: usize,
}

/// R rows and C columns, their products in registers.
struct Tile<'a, const R: usize, const C: usize>(Products<'a>);

impl<const R: usize, const C: usize> Job for Tile<'_, R, C> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Products { rows, columns, vectors, sums, stride } = self.0;
        assert_eq!((rows.len(), columns.len()), (R * vectors, C * vectors), "the vectors of {R} and {C} channels");
        let mut products = [[L::splat(0.0); C]; R];
        for vector in 0..vectors {
            let mut loaded = [L::splat(0.0); C];
            for c in 0..C {
                // SAFETY: c < C and vector < vectors, and there are C times `vectors`.
                loaded[c] = L::load(unsafe { unchecked(columns, c * vectors + vector) });
            }
            for r in 0..R {
                // SAFETY: r < R and vector < vectors, and there are R times `vectors`.
                let value = L::load(unsafe { unchecked(rows, r * vectors + vector) });
                for c in 0..C {
                    products[r][c] = value.mul_add(loaded[c], products[r][c]);
                }
            }
        }
        for r in 0..R {
            let sums = &mut sums[r * stride..][..C];
            if C == 4 {
                // Always 0 to 3: for other C, which never come here, the remainder keeps the indices within the array.
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
