use super::lines::{gradient_line, input_line, output_line};
use crate::kernels::lanes::{Chunk, Lanes, unchecked};
use crate::kernels::planes::Planes;

/// Whole planes as tiles see them: a pixel outside is zero.
#[derive(Clone, Copy)]
pub struct TiledPlanes<'a> {
    pub values: &'a [Chunk],
    /// As tiles see it, as the width.
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub chunks: usize,
    /// How often, in both directions, a pixel of `values` is seen: 1 or 2.
    pub scale: usize,
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

/// The pixels of a tile, by rows: all channels and chunks of each. Of a tile of an output's gradient these are S - 2 rows of S - 2.
pub type Pixels<'a, const S: usize> = [[&'a [Chunk]; S]; S];

impl<'a> TiledPlanes<'a> {
    pub fn new(planes: &'a Planes, scale: usize, zeros: &'a [Chunk]) -> Self {
        let Planes { height, width, channels, chunks, .. } = *planes;
        assert_eq!(zeros.len(), channels * chunks, "zeros of one pixel");
        let (height, width) = (scale * height, scale * width);
        Self { values: planes.values(), height, width, channels, chunks, scale, zeros, padding: 1 }
    }

    /// The size of a convolution's output: (height, width).
    pub fn output_size(&self) -> (usize, usize) {
        (self.height + 2 * self.padding - 2, self.width + 2 * self.padding - 2)
    }

    /// Rows of tiles of `span` pixels.
    pub fn tile_rows(&self, span: usize) -> usize {
        self.output_size().0.div_ceil(span - 2)
    }

    /// Tiles of a row.
    pub fn tile_columns(&self, span: usize) -> usize {
        self.output_size().1.div_ceil(span - 2)
    }

    /// All channels and chunks of a pixel; y and x count from the first pixel of the padding.
    #[inline(always)]
    fn pixel(&self, y: usize, x: usize) -> &'a [Chunk] {
        let (y, x) = (y.wrapping_sub(self.padding), x.wrapping_sub(self.padding));
        let length = self.channels * self.chunks;
        if y < self.height && x < self.width {
            let index = if self.scale == 2 { y / 2 * (self.width / 2) + x / 2 } else { y * self.width + x };
            &self.values[index * length..][..length]
        } else {
            self.zeros
        }
    }

    /// What the output's tile depends on.
    #[inline(always)]
    pub fn input_pixels<const S: usize>(&self, tile_row: usize, tile: usize) -> Pixels<'a, S> {
        self.pixels_from((S - 2) * tile_row, (S - 2) * tile)
    }

    /// The tile itself, where these planes are the output's gradient.
    #[inline(always)]
    pub fn output_pixels<const S: usize>(&self, tile_row: usize, tile: usize) -> Pixels<'a, S> {
        self.pixels_from((S - 2) * tile_row + self.padding, (S - 2) * tile + self.padding)
    }

    #[inline(always)]
    fn pixels_from<const S: usize>(&self, y: usize, x: usize) -> Pixels<'a, S> {
        let mut pixels = [[self.zeros; S]; S];
        for row in 0..S {
            for column in 0..S {
                pixels[row][column] = self.pixel(y + row, x + column);
            }
        }
        pixels
    }
}

/// B^T d B at one channel and chunk, by rows.
#[inline(always)]
pub fn input_tile<L: Lanes, const S: usize>(pixels: &Pixels<'_, S>, source: usize) -> [[L; S]; S] {
    let mut tile = input_columns(pixels, source);
    for row in 0..S {
        tile[row] = input_line(tile[row]);
    }
    tile
}

/// B^T d, of which [`input_line`] makes the rows of B^T d B.
#[inline(always)]
pub fn input_columns<L: Lanes, const S: usize>(pixels: &Pixels<'_, S>, source: usize) -> [[L; S]; S] {
    let mut tile = [[L::splat(0.0); S]; S];
    for column in 0..S {
        let mut line = tile[0];
        for row in 0..S {
            line[row] = load(pixels[row][column], source);
        }
        let line = input_line(line);
        for row in 0..S {
            tile[row][column] = line[row];
        }
    }
    tile
}

/// A dY A^T at one channel and chunk, by rows.
#[inline(always)]
pub fn gradient_tile<L: Lanes, const S: usize>(pixels: &Pixels<'_, S>, source: usize) -> [[L; S]; S] {
    let mut tile = [[L::splat(0.0); S]; S];
    for column in 0..S - 2 {
        let mut line = tile[S - 1];
        for row in 0..S - 2 {
            line[row] = load(pixels[row][column], source);
        }
        let line = gradient_line(line);
        for row in 0..S {
            tile[row][column] = line[row];
        }
    }
    for row in 0..S {
        tile[row] = gradient_line(tile[row]);
    }
    tile
}

/// A^T m A of a tile's products, by rows: S - 2 rows of S - 2.
#[inline(always)]
pub fn output_tile<L: Lanes, const S: usize>(m: [[L; S]; S]) -> [[L; S]; S] {
    let mut tile = m;
    for column in 0..S {
        let mut line = tile[0];
        for row in 0..S {
            line[row] = m[row][column];
        }
        let line = output_line(line);
        for row in 0..S - 2 {
            tile[row][column] = line[row];
        }
    }
    for row in 0..S - 2 {
        tile[row] = output_line(tile[row]);
    }
    tile
}

#[inline(always)]
fn load<L: Lanes>(pixel: &[Chunk], index: usize) -> L {
    // SAFETY: every pixel, and the one of zeros, has a chunk for each channel and chunk (`TiledPlanes::pixel`).
    L::load(unsafe { unchecked(pixel, index) })
}
