use crate::kernels::lanes::{Chunk, Lanes, unchecked};
use crate::kernels::planes::Planes;

/// Whole planes as tiles see them: a pixel outside is zero.
#[derive(Clone, Copy)]
pub struct TiledPlanes<'a> {
    pub values: &'a [Chunk],
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub chunks: usize,
    /// One pixel of zeros.
    pub zeros: &'a [Chunk],
    /// Pixels of zeros on each side: 1, or 0 where the output is smaller by a pixel on each side.
    pub padding: usize,
}

/// Some tiles of one row, and some chunks of each: the vectors of one pass.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    pub tile_row: usize,
    pub first_tile: usize,
    pub tiles: usize,
    pub first_chunk: usize,
    pub chunks: usize,
}

impl Group {
    pub fn vectors(&self) -> usize {
        self.tiles * self.chunks
    }
}

impl<'a> TiledPlanes<'a> {
    pub fn new(planes: &'a Planes, zeros: &'a [Chunk]) -> Self {
        let Planes { height, width, channels, chunks, .. } = *planes;
        assert_eq!(zeros.len(), channels * chunks, "zeros of one pixel");
        Self { values: planes.values(), height, width, channels, chunks, zeros, padding: 1 }
    }

    /// The size of a convolution's output: (height, width).
    pub fn output_size(&self) -> (usize, usize) {
        (self.height + 2 * self.padding - 2, self.width + 2 * self.padding - 2)
    }

    pub fn tile_rows(&self) -> usize {
        self.output_size().0.div_ceil(super::TILE)
    }

    pub fn tile_columns(&self) -> usize {
        self.output_size().1.div_ceil(super::TILE)
    }

    /// All channels and chunks of a pixel; y and x count from the first pixel of the padding.
    #[inline(always)]
    fn pixel(&self, y: usize, x: usize) -> &'a [Chunk] {
        let (y, x) = (y.wrapping_sub(self.padding), x.wrapping_sub(self.padding));
        let length = self.channels * self.chunks;
        if y < self.height && x < self.width {
            &self.values[(y * self.width + x) * length..][..length]
        } else {
            self.zeros
        }
    }

    /// B^T d B of every tile of the group: `[position, channel, tile, chunk]`.
    #[inline(always)]
    pub fn input_tiles<L: Lanes>(&self, group: Group, transformed: &mut [Chunk]) {
        let vectors = group.vectors();
        let length = self.channels * vectors;
        assert_eq!(transformed.len(), super::POSITIONS * length, "values at every position");
        for tile in 0..group.tiles {
            let (y, x) = (2 * group.tile_row, 2 * (group.first_tile + tile));
            let pixels: [[&[Chunk]; 4]; 4] =
                std::array::from_fn(|row| std::array::from_fn(|column| self.pixel(y + row, x + column)));
            for channel in 0..self.channels {
                for chunk in 0..group.chunks {
                    let source = channel * self.chunks + group.first_chunk + chunk;
                    let mut d = [[L::splat(0.0); 4]; 4];
                    for row in 0..4 {
                        for column in 0..4 {
                            d[row][column] = load(pixels[row][column], source);
                        }
                    }
                    let rows =
                        [difference(d[0], d[2]), sum(d[1], d[2]), difference(d[2], d[1]), difference(d[1], d[3])];
                    let target = channel * vectors + tile * group.chunks + chunk;
                    for row in 0..4 {
                        let [a, b, c, d] = rows[row];
                        let values = [a.sub(c), b.add(c), c.sub(b), b.sub(d)];
                        for column in 0..4 {
                            values[column].store(&mut transformed[(4 * row + column) * length + target]);
                        }
                    }
                }
            }
        }
    }

    /// Row `row` of B^T d B of every tile of the group: `[column, channel, tile, chunk]`.
    #[inline(always)]
    pub fn input_row<L: Lanes>(&self, group: Group, row: usize, transformed: &mut [Chunk]) {
        let vectors = group.vectors();
        let length = self.channels * vectors;
        assert_eq!(transformed.len(), 4 * length, "values at a row of positions");
        // Which rows of d it is made of: the first plus or minus the second.
        let (first, second, plus) = [(0, 2, false), (1, 2, true), (2, 1, false), (1, 3, false)][row];
        let sign = L::splat(if plus { 1.0 } else { -1.0 });
        for tile in 0..group.tiles {
            let (y, x) = (2 * group.tile_row, 2 * (group.first_tile + tile));
            let pixels = [first, second].map(|row| std::array::from_fn(|column| self.pixel(y + row, x + column)));
            let [first, second]: [[&[Chunk]; 4]; 2] = pixels;
            for channel in 0..self.channels {
                for chunk in 0..group.chunks {
                    let source = channel * self.chunks + group.first_chunk + chunk;
                    let mut combined = [sign; 4];
                    for column in 0..4 {
                        let (first, second) = (load::<L>(first[column], source), load::<L>(second[column], source));
                        combined[column] = second.mul_add(sign, first);
                    }
                    let [a, b, c, d] = combined;
                    let values = [a.sub(c), b.add(c), c.sub(b), b.sub(d)];
                    let target = channel * vectors + tile * group.chunks + chunk;
                    for column in 0..4 {
                        values[column].store(&mut transformed[column * length + target]);
                    }
                }
            }
        }
    }

    /// Row `row` of A y A^T of every tile of the group, where these planes are y: `[column, channel, tile, chunk]`.
    #[inline(always)]
    pub fn gradient_row<L: Lanes>(&self, group: Group, row: usize, transformed: &mut [Chunk]) {
        let vectors = group.vectors();
        let length = self.channels * vectors;
        assert_eq!(transformed.len(), 4 * length, "values at a row of positions");
        let factors = [(1.0, 0.0), (1.0, 1.0), (1.0, -1.0), (0.0, -1.0)][row];
        let factors = [L::splat(factors.0), L::splat(factors.1)];
        for tile in 0..group.tiles {
            let (y, x) = (2 * group.tile_row + 1, 2 * (group.first_tile + tile) + 1);
            let [upper, lower] = [y, y + 1].map(|y| [self.pixel(y, x), self.pixel(y, x + 1)]);
            for channel in 0..self.channels {
                for chunk in 0..group.chunks {
                    let source = channel * self.chunks + group.first_chunk + chunk;
                    let mut combined = factors;
                    for column in 0..2 {
                        let upper = load::<L>(upper[column], source).mul(factors[0]);
                        combined[column] = load::<L>(lower[column], source).mul_add(factors[1], upper);
                    }
                    let [left, right] = combined;
                    let values = [left, left.add(right), left.sub(right), L::splat(0.0).sub(right)];
                    let target = channel * vectors + tile * group.chunks + chunk;
                    for column in 0..4 {
                        values[column].store(&mut transformed[column * length + target]);
                    }
                }
            }
        }
    }
}

/// A^T m A of a tile.
#[inline(always)]
pub fn output_tile<L: Lanes>(m: [[L; 4]; 4]) -> [[L; 2]; 2] {
    let [upper, lower] = [sum(sum(m[0], m[1]), m[2]), difference(difference(m[1], m[2]), m[3])];
    [output_row(upper), output_row(lower)]
}

#[inline(always)]
fn output_row<L: Lanes>([a, b, c, d]: [L; 4]) -> [L; 2] {
    [a.add(b).add(c), b.sub(c).sub(d)]
}

/// G g G^T of a kernel, both by rows.
#[inline(always)]
pub fn kernel_tile(g: &[f32; 9]) -> [f32; super::POSITIONS] {
    let mut tile = [0.0; super::POSITIONS];
    let mut columns = [[0.0; 4]; 3];
    for x in 0..3 {
        columns[x] = kernel_line(g[x], g[3 + x], g[6 + x]);
    }
    for row in 0..4 {
        let line = kernel_line(columns[0][row], columns[1][row], columns[2][row]);
        for column in 0..4 {
            tile[4 * row + column] = line[column];
        }
    }
    tile
}

/// G g G^T of a kernel turned by 180 degrees.
#[inline(always)]
pub fn turned_kernel_tile(g: &[f32; 9]) -> [f32; super::POSITIONS] {
    kernel_tile(&[g[8], g[7], g[6], g[5], g[4], g[3], g[2], g[1], g[0]])
}

/// G times a column.
#[inline(always)]
fn kernel_line(a: f32, b: f32, c: f32) -> [f32; 4] {
    [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c]
}

/// G^T u G: the gradient of a kernel from that of its transform, both by rows.
#[inline(always)]
pub fn kernel_gradient(u: &[f32; super::POSITIONS]) -> [f32; 9] {
    let mut columns = [[0.0; 3]; 4];
    for x in 0..4 {
        columns[x] = kernel_gradient_line(u[x], u[4 + x], u[8 + x], u[12 + x]);
    }
    let mut gradient = [0.0; 9];
    for y in 0..3 {
        let line = kernel_gradient_line(columns[0][y], columns[1][y], columns[2][y], columns[3][y]);
        for x in 0..3 {
            gradient[3 * y + x] = line[x];
        }
    }
    gradient
}

/// G^T times a column.
#[inline(always)]
fn kernel_gradient_line(a: f32, b: f32, c: f32, d: f32) -> [f32; 3] {
    [a + 0.5 * (b + c), 0.5 * (b - c), 0.5 * (b + c) + d]
}

#[inline(always)]
fn load<L: Lanes>(pixel: &[Chunk], index: usize) -> L {
    // SAFETY: every pixel, and the one of zeros, has a chunk for each channel and chunk (`TiledPlanes::pixel`).
    L::load(unsafe { unchecked(pixel, index) })
}

// Loops rather than closures: a closure is compiled without the instructions of the function that it is in.
#[inline(always)]
fn sum<L: Lanes>(mut a: [L; 4], b: [L; 4]) -> [L; 4] {
    for index in 0..4 {
        a[index] = a[index].add(b[index]);
    }
    a
}

#[inline(always)]
fn difference<L: Lanes>(mut a: [L; 4], b: [L; 4]) -> [L; 4] {
    for index in 0..4 {
        a[index] = a[index].sub(b[index]);
    }
    a
}
