use super::lanes::{self, Chunk, Job, LANES, Lanes};
use super::parallel::for_each_part;
use super::planes::Planes;

/// The mean of each square of 2x2 pixels, times `factor`.
pub fn halve(input: &Planes, factor: f32) -> Vec<Chunk> {
    let &Planes { height, width, .. } = input;
    assert!(height.is_multiple_of(2) && width.is_multiple_of(2), "planes of {height}x{width} pixels cannot be halved");
    let mut output = vec![[0.0; LANES]; input.values().len() / 4];
    let row_length = input.values().len() / height / 2;
    for_each_part(&mut output, row_length, input.values().len() * LANES, |row, output| {
        let rows = &input.values()[4 * row * row_length..][..4 * row_length];
        lanes::run(Halve { rows, pixel_length: input.channels * input.chunks, factor: factor / 4.0, output });
    });
    output
}

/// Each pixel as a square of 2x2 pixels, times `factor`.
pub fn double(input: &Planes, factor: f32) -> Vec<Chunk> {
    let mut output = vec![[0.0; LANES]; input.values().len() * 4];
    let row_length = input.values().len() / input.height;
    for_each_part(&mut output, 4 * row_length, 4 * input.values().len() * LANES, |row, output| {
        let row = &input.values()[row * row_length..][..row_length];
        lanes::run(Double { row, pixel_length: input.channels * input.chunks, factor, output });
    });
    output
}

struct Halve<'a> {
    /// Two rows of pixels.
    rows: &'a [Chunk],
    pixel_length: usize,
    factor: f32,
    /// One row, half as wide.
    output: &'a mut [Chunk],
}

impl Job for Halve<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let length = self.pixel_length;
        let (upper, lower) = self.rows.split_at(self.rows.len() / 2);
        let factor = L::splat(self.factor);
        let pairs = upper.chunks_exact(2 * length).zip(lower.chunks_exact(2 * length));
        for (output, (upper, lower)) in self.output.chunks_exact_mut(length).zip(pairs) {
            let (upper_left, upper_right) = upper.split_at(length);
            let (lower_left, lower_right) = lower.split_at(length);
            for index in 0..length {
                let upper = L::load(&upper_left[index]).add(L::load(&upper_right[index]));
                let lower = L::load(&lower_left[index]).add(L::load(&lower_right[index]));
                upper.add(lower).mul(factor).store(&mut output[index]);
            }
        }
    }
}

struct Double<'a> {
    /// One row of pixels.
    row: &'a [Chunk],
    pixel_length: usize,
    factor: f32,
    /// Two rows, twice as wide.
    output: &'a mut [Chunk],
}

impl Job for Double<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let length = self.pixel_length;
        let factor = L::splat(self.factor);
        let (upper, lower) = self.output.split_at_mut(2 * self.row.len());
        for (output, input) in upper.chunks_exact_mut(2 * length).zip(self.row.chunks_exact(length)) {
            let (left, right) = output.split_at_mut(length);
            for index in 0..length {
                let value = L::load(&input[index]).mul(factor);
                value.store(&mut left[index]);
                value.store(&mut right[index]);
            }
        }
        lower.copy_from_slice(upper);
    }
}
