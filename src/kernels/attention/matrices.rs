//! The matrices of one head of sixteen images: from planes, whose lanes are images, to one matrix for each image, whose lanes are columns,
//! and back.

use std::ops::Range;

use crate::kernels::lanes::{Chunk, LANES, Lanes};
use crate::kernels::panel::{PanelProduct, ROWS, Rows, Word, panel_columns};
use crate::kernels::parallel::Scattered;

/// The `[pixels, channels]` of one head of sixteen images among planes: the chunk of word `w` of pixel p is
/// `start + p * pixel_step + w * word_step`.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    pub values: &'a [Chunk],
    pub at: Places,
}

/// See [`Head`].
#[derive(Clone, Copy)]
pub struct Places {
    pub start: usize,
    pub pixels: usize,
    pub channels: usize,
    pub pixel_step: usize,
    pub word_step: usize,
}

impl Places {
    #[inline(always)]
    fn of(self, pixel: usize, word: usize) -> usize {
        self.start + pixel * self.pixel_step + word * self.word_step
    }
}

impl Head<'_> {
    /// Word `index` of the channels of a pixel, of planes stored as S.
    #[inline(always)]
    fn channels<L: Lanes, W: Word, S: Word>(self, pixel: usize, index: usize) -> L {
        let place = self.at.of(pixel, index * W::NUMBERS / S::NUMBERS);
        let first = L::load(&self.values[place]);
        if W::NUMBERS == S::NUMBERS {
            return first;
        }
        let has_second = index * W::NUMBERS + 1 < self.at.channels;
        let second = if has_second { L::load(&self.values[place + self.at.word_step]) } else { L::splat(0.0) };
        W::of_lanes(first, second)
    }

    /// Word `index` of the pixels, of each of the channels that are stored together as word `stored`.
    #[inline(always)]
    fn pixels<L: Lanes, W: Word, S: Word>(self, index: usize, stored: usize) -> [L; 2] {
        let pixel = index * W::NUMBERS;
        let place = self.at.of(pixel, stored);
        let first = L::load(&self.values[place]);
        if W::NUMBERS == 1 {
            return [first; 2];
        }
        let has_second = pixel + 1 < self.at.pixels;
        let second = if has_second { L::load(&self.values[place + self.at.pixel_step]) } else { L::splat(0.0) };
        match S::NUMBERS {
            1 => [W::of_lanes(first, second); 2],
            _ => first.halves_paired(second),
        }
    }
}

/// One matrix for each of sixteen images, in scratch memory.
pub struct Matrices<'a> {
    chunks: &'a mut [Chunk],
    /// Chunks of a matrix.
    length: usize,
}

/// Chunks of scratch memory for matrices of `length` chunks each.
pub fn matrices_length(length: usize) -> usize {
    LANES * stride(length)
}

/// From a matrix to the next. It is odd, so that neighbours do not compete for the same places of a cache.
#[inline(always)]
fn stride(length: usize) -> usize {
    length | 1
}

/// Chunks of a row of `columns` numbers as words.
#[inline(always)]
pub fn row_chunks<W: Word>(columns: usize) -> usize {
    columns.div_ceil(W::NUMBERS * LANES)
}

/// Chunks of the rows of words of an image: `[row, row_chunks]`.
#[inline(always)]
pub fn rows_length<W: Word>([rows, columns]: [usize; 2]) -> usize {
    rows * row_chunks::<W>(columns)
}

/// Chunks of the panel of an image: for each of its groups of columns `[words of the rows, columns of the group]`.
#[inline(always)]
pub fn panel_length<W: Word>([rows, columns]: [usize; 2]) -> usize {
    rows.div_ceil(W::NUMBERS) * columns.div_ceil(LANES)
}

impl<'a> Matrices<'a> {
    /// Of any content, from the start of `scratch`, which is left with the rest.
    #[inline(always)]
    pub fn new(scratch: &mut &'a mut [Chunk], length: usize) -> Self {
        let (chunks, rest) = std::mem::take(scratch).split_at_mut(matrices_length(length));
        *scratch = rest;
        Self { chunks, length }
    }

    /// Fills rows of some pixels, in words of neighbouring channels; 0 beyond the last.
    #[inline(always)]
    pub fn fill_rows_of_pixels<L: Lanes, W: Word, S: Word>(&mut self, head: Head, pixels: Range<usize>) {
        let row_chunks = row_chunks::<W>(head.at.channels);
        let all_words = head.at.channels.div_ceil(W::NUMBERS);
        for vector in 0..row_chunks {
            let count = LANES.min(all_words - vector * LANES);
            for pixel in pixels.clone() {
                let mut words = [L::splat(0.0); LANES];
                for lane in 0..count {
                    words[lane] = head.channels::<L, W, S>(pixel, vector * LANES + lane);
                }
                self.set(pixel * row_chunks + vector, words);
            }
        }
    }

    /// Fills rows of channels, in words of some neighbouring pixels; 0 beyond the last.
    #[inline(always)]
    pub fn fill_rows_of_channels<L: Lanes, W: Word, S: Word>(&mut self, head: Head, pixels: Range<usize>) {
        let row_chunks = row_chunks::<W>(head.at.pixels);
        let first_vector = pixels.start / (LANES * W::NUMBERS);
        let all_words = pixels.end.div_ceil(W::NUMBERS);
        for vector in first_vector..pixels.end.div_ceil(LANES * W::NUMBERS) {
            let count = LANES.min(all_words - vector * LANES);
            for stored in 0..head.at.channels / S::NUMBERS {
                let mut words = [[L::splat(0.0); LANES]; 2];
                for lane in 0..count {
                    let [first, second] = head.pixels::<L, W, S>(vector * LANES + lane, stored);
                    (words[0][lane], words[1][lane]) = (first, second);
                }
                for number in 0..S::NUMBERS {
                    self.set((stored * S::NUMBERS + number) * row_chunks + vector, words[number]);
                }
            }
        }
    }

    /// Fills columns of some pixels, in words of neighbouring channels; 0 beyond the last.
    #[inline(always)]
    pub fn fill_panel_of_pixels<L: Lanes, W: Word, S: Word>(&mut self, head: Head, pixels: Range<usize>) {
        let depth = head.at.channels.div_ceil(W::NUMBERS);
        for vector in pixels.start / LANES..pixels.end.div_ceil(LANES) {
            let (first, width) = panel_group::<L>(vector, head.at.pixels.div_ceil(LANES));
            let count = LANES.min(pixels.end - vector * LANES);
            for k in 0..depth {
                let mut words = [L::splat(0.0); LANES];
                for lane in 0..count {
                    words[lane] = head.channels::<L, W, S>(vector * LANES + lane, k);
                }
                self.set(panel_place(first, width, depth, k) + vector - first, words);
            }
        }
    }

    /// Fills columns of channels, in words of some neighbouring pixels; 0 beyond the last.
    #[inline(always)]
    pub fn fill_panel_of_channels<L: Lanes, W: Word, S: Word>(&mut self, head: Head, pixels: Range<usize>) {
        let (depth, vectors) = (head.at.pixels.div_ceil(W::NUMBERS), head.at.channels.div_ceil(LANES));
        for vector in 0..vectors {
            let (first, width) = panel_group::<L>(vector, vectors);
            let count = LANES.min(head.at.channels - vector * LANES);
            for k in pixels.start / W::NUMBERS..pixels.end.div_ceil(W::NUMBERS) {
                let mut words = [L::splat(0.0); LANES];
                for lane in 0..count / S::NUMBERS {
                    let both = head.pixels::<L, W, S>(k, vector * LANES / S::NUMBERS + lane);
                    for number in 0..S::NUMBERS {
                        words[lane * S::NUMBERS + number] = both[number];
                    }
                }
                self.set(panel_place(first, width, depth, k) + vector - first, words);
            }
        }
    }

    /// Sixteen words, the images in their lanes, to each image's `place`.
    #[inline(always)]
    fn set<L: Lanes>(&mut self, place: usize, words: [L; LANES]) {
        let turned = L::turned(words);
        let stride = stride(self.length);
        for image in 0..LANES {
            turned[image].store(&mut self.chunks[image * stride + place]);
        }
    }

    #[inline(always)]
    pub fn of(&self, image: usize) -> &[Chunk] {
        &self.chunks[image * stride(self.length)..][..self.length]
    }

    #[inline(always)]
    pub fn of_mut(&mut self, image: usize) -> &mut [Chunk] {
        &mut self.chunks[image * stride(self.length)..][..self.length]
    }

    /// Brings numbers, `[pixel, vectors of channels]`, to planes stored as S.
    ///
    /// # Safety
    /// Nobody else writes these places meanwhile.
    #[inline(always)]
    pub unsafe fn put_pixels<L: Lanes, S: Word>(&self, at: Places, output: &Scattered<Chunk>) {
        let vectors = at.channels.div_ceil(LANES);
        for vector in 0..vectors {
            for pixel in 0..at.pixels {
                let turned = self.get::<L>(pixel * vectors + vector);
                for word in 0..LANES.min(at.channels - vector * LANES) / S::NUMBERS {
                    let both = &turned[word * S::NUMBERS..];
                    let second = both[S::NUMBERS - 1];
                    // SAFETY: the caller's contract; each word is put once.
                    let place = unsafe { output.place(at.of(pixel, vector * LANES / S::NUMBERS + word)) };
                    S::of_lanes(both[0], second).write(place);
                }
            }
        }
    }

    /// Brings numbers, `[channel, vectors of pixels]`, to planes stored as S.
    ///
    /// # Safety
    /// As [`Self::put_pixels`].
    #[inline(always)]
    pub unsafe fn put_channels<L: Lanes, S: Word>(&self, at: Places, output: &Scattered<Chunk>) {
        let vectors = at.pixels.div_ceil(LANES);
        for vector in 0..vectors {
            for word in 0..at.channels / S::NUMBERS {
                let channel = word * S::NUMBERS;
                let first = self.get::<L>(channel * vectors + vector);
                let second = if S::NUMBERS > 1 { self.get::<L>((channel + 1) * vectors + vector) } else { first };
                for lane in 0..LANES.min(at.pixels - vector * LANES) {
                    // SAFETY: the caller's contract; each word is put once.
                    let place = unsafe { output.place(at.of(vector * LANES + lane, word)) };
                    S::of_lanes(first[lane], second[lane]).write(place);
                }
            }
        }
    }

    /// Each image's chunk at `place`, the images in the lanes of the results.
    #[inline(always)]
    fn get<L: Lanes>(&self, place: usize) -> [L; LANES] {
        let stride = stride(self.length);
        let mut numbers = [L::splat(0.0); LANES];
        for image in 0..LANES {
            numbers[image] = L::load(&self.chunks[image * stride + place]);
        }
        L::turned(numbers)
    }
}

/// The first vector and the width of the group of columns in which a vector is.
#[inline(always)]
fn panel_group<L: Lanes>(vector: usize, vectors: usize) -> (usize, usize) {
    let mut first = 0;
    loop {
        let width = panel_columns::<L>(vectors - first);
        if vector < first + width {
            return (first, width);
        }
        first += width;
    }
}

/// The place of word `k` of the group of `width` vectors that begins with vector `first`.
#[inline(always)]
pub fn panel_place(first: usize, width: usize, depth: usize, k: usize) -> usize {
    first * depth + k * width
}

/// `sums(r, c) = sum over k of rows(r, k) * panel(k, c)`, or that added to them where they are not `fresh`; `sums` is `[row, vectors]`.
#[inline(always)]
pub fn multiply<L: Lanes, W: Word>(
    rows: Rows,
    row_count: usize,
    panel: &[Chunk],
    vectors: usize,
    sums: &mut [Chunk],
    fresh: bool,
) {
    let depth = rows.run_length;
    let mut first = 0;
    while first < vectors {
        let columns = panel_columns::<L>(vectors - first);
        let panel = &panel[first * depth..][..columns * depth];
        let mut row = 0;
        while row < row_count {
            let row_count = ROWS.min(row_count - row);
            let sums = &mut sums[row * vectors + first..];
            PanelProduct { rows: rows.skip(row), row_count, panel, columns, sums, stride: vectors, fresh }
                .add::<L, W>();
            row += row_count;
        }
        first += columns;
    }
}

/// Rows of numbers, `[row, vectors]`, as rows of `length` numbers in words: where words are numbers, themselves.
#[inline(always)]
pub fn as_words<'a, L: Lanes, W: Word>(
    rows: &'a [Chunk],
    vectors: usize,
    length: usize,
    words: &'a mut [Chunk],
) -> Rows<'a> {
    if W::NUMBERS == 1 {
        return some_words(rows, vectors, 0, length);
    }
    let chunks = row_chunks::<W>(length);
    for (row, words) in rows.chunks_exact(vectors).zip(words.chunks_exact_mut(chunks)) {
        for (both, words) in row.chunks(W::NUMBERS).zip(words) {
            let second = if both.len() > 1 { L::load(&both[1]) } else { L::splat(0.0) };
            L::load(&both[0]).neighbours_paired(second).store(words);
        }
    }
    some_words(words, chunks, 0, length.div_ceil(W::NUMBERS))
}

/// Of rows of words, `chunks` each, `length` words from the `first` on.
#[inline(always)]
pub fn some_words(rows: &[Chunk], chunks: usize, first: usize, length: usize) -> Rows<'_> {
    let values = &rows.as_flattened()[first..];
    Rows { values, row_stride: chunks * LANES, runs: 1, run_stride: 0, run_length: length }
}
