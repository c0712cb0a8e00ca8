//! Linear maps of the channels of each pixel.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::Products;
use super::convolution::even_blocks;
use super::lanes::{Chunk, Job, LANES, Lanes};
use super::panel::{COLUMNS, DEPTH, Pair, PanelProduct, ROWS, Rows, Single, Word, panel_columns};
use super::parallel::for_each_part;
use super::planes::{Planes, Storage};
use super::scratch::with_scratch;

/// `output[pixel] = weight values[pixel] + bias + added[pixel]`.
#[derive(Clone, Copy)]
pub struct Pointwise<'a> {
    /// `[outputs, inputs]`
    pub weight: &'a [f32],
    pub bias: Option<&'a [f32]>,
    /// As long as the output, or one pixel that is added to every pixel.
    pub added: Option<&'a [Chunk]>,
    pub values: &'a Planes,
    pub outputs: usize,
    /// Of the output. With bf16 there is nothing added, and the outputs come in pairs.
    pub storage: Storage,
}

impl Pointwise<'_> {
    /// `[pixels, words of the outputs, chunks]`
    pub fn output(self, products: Products) -> Vec<Chunk> {
        match (products, self.values.storage, self.storage) {
            (Products::F32, Storage::F32, Storage::F32) => self.output_by::<Single, Single, Single>(),
            (Products::Bf16, Storage::F32, Storage::F32) => self.output_by::<Pair, Single, Single>(),
            (Products::Bf16, Storage::F32, Storage::Bf16) => self.output_by::<Pair, Single, Pair>(),
            (Products::Bf16, Storage::Bf16, Storage::F32) => self.output_by::<Pair, Pair, Single>(),
            (Products::Bf16, Storage::Bf16, Storage::Bf16) => self.output_by::<Pair, Pair, Pair>(),
            (Products::F32, ..) => panic!("products of f32 are not of planes of bf16"),
        }
    }

    /// Products of words W of values that are stored as I, to outputs that are stored as O.
    fn output_by<W: Word, I: Word, O: Word>(self) -> Vec<Chunk> {
        let Self { values, outputs, .. } = self;
        let (pixels, inputs, chunks) = (values.pixels(), values.channels, values.chunks);
        assert_eq!(self.weight.len(), outputs * inputs, "weights of {inputs} to {outputs} channels");
        assert!(O::NUMBERS == 1 || outputs.is_multiple_of(O::NUMBERS) && self.added.is_none(), "outputs in bf16");
        let weight = W::of_rows(Cow::Borrowed(self.weight), inputs);
        let depths: Vec<_> = even_blocks(inputs.div_ceil(W::NUMBERS), DEPTH).collect();
        let words = outputs / O::NUMBERS;
        let mut output = Box::<[Chunk]>::new_uninit_slice(pixels * words * chunks);
        // A pixel on its own is shared by its channels.
        let part = if pixels == 1 {
            outputs.div_ceil(PARTS_OF_A_PIXEL).next_multiple_of(ROWS) / O::NUMBERS * chunks
        } else {
            PIXELS * words * chunks
        };
        let operations = 2 * pixels * outputs * inputs * chunks * LANES;
        for_each_part(&mut output, part, operations, |index, output| {
            let rows = output.len().min(words * chunks) / chunks * O::NUMBERS;
            with_scratch((rows + DEPTH) * COLUMNS, |scratch| {
                let (word, weight, start) = (PhantomData::<(W, I, O)>, &*weight, index * part);
                W::run(Part { word, map: self, weight, depths: &depths, start, output, scratch });
            });
        });
        // SAFETY: the parts are the whole, and a part writes all rows of all columns of its pixels.
        unsafe { output.assume_init() }.into_vec()
    }
}

/// `[inputs, outputs]` of `[outputs, inputs]`.
pub fn transposed(weight: &[f32], outputs: usize, inputs: usize) -> Vec<f32> {
    let mut result = vec![0.0; weight.len()];
    for_each_part(&mut result, TRANSPOSED_ROWS * outputs, COPY_OPERATIONS * weight.len(), |index, rows| {
        let first = index * TRANSPOSED_ROWS;
        for (output, weight) in weight.chunks_exact(inputs).enumerate() {
            for (row, &number) in rows.chunks_exact_mut(outputs).zip(&weight[first..]) {
                row[output] = number;
            }
        }
    });
    result
}

/// The weights that are next to each other in a cache line.
const TRANSPOSED_ROWS: usize = 16;
/// About how many operations it costs to move a number.
const COPY_OPERATIONS: usize = 4;

/// Pixels that are computed together: whole panels, whatever the number of chunks.
const PIXELS: usize = COLUMNS;
const PARTS_OF_A_PIXEL: usize = 8;

/// Some pixels, or some channels of the only one.
struct Part<'a, Words> {
    word: PhantomData<Words>,
    map: Pointwise<'a>,
    /// `[outputs, words of the inputs]`
    weight: &'a [f32],
    /// Blocks of those words: (first, count).
    depths: &'a [(usize, usize)],
    /// The start of the part in the whole output.
    start: usize,
    output: &'a mut [MaybeUninit<Chunk>],
    /// The sums of all rows and a panel, of any content.
    scratch: &'a mut [Chunk],
}

impl<W: Word, I: Word, O: Word> Job for Part<'_, (W, I, O)> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Pointwise { values, outputs, .. } = self.map;
        let (pixels, inputs, chunks) = (values.pixels(), values.channels, values.chunks);
        let (weight, words) = (self.weight, inputs.div_ceil(W::NUMBERS));
        let (input_length, pixel_length) = (values.words() * chunks, outputs / O::NUMBERS * chunks);
        let (first_row, rows) = match pixels {
            1 => (self.start / chunks * O::NUMBERS, self.output.len() / chunks * O::NUMBERS),
            _ => (0, outputs),
        };
        let first_column = self.start / pixel_length * chunks;
        let columns = self.output.len() * O::NUMBERS / rows;
        let (sums, copied) = self.scratch.split_at_mut(rows * COLUMNS);
        let mut column = 0;
        while column < columns {
            let width = panel_columns::<L>(columns - column);
            let mut places = [Place::default(); COLUMNS];
            for c in 0..width {
                let (pixel, chunk) = ((first_column + column + c) / chunks, (first_column + column + c) % chunks);
                places[c] = Place { input: pixel * input_length + chunk, output: pixel * pixel_length + chunk };
            }
            for (block, &(first_word, depth)) in self.depths.iter().enumerate() {
                let values = &values.values()[W::NUMBERS / I::NUMBERS * first_word * chunks..];
                let copied = &mut copied[..depth * width];
                let panel = if W::NUMBERS == I::NUMBERS {
                    panel(values, chunks, &places[..width], copied)
                } else {
                    let left = inputs - W::NUMBERS * first_word;
                    paired_panel::<L>(values, chunks, &places[..width], left, copied);
                    copied
                };
                let mut row = 0;
                while row < rows {
                    let row_count = ROWS.min(rows - row);
                    let sums = &mut sums[row * width..][..row_count * width];
                    let weights = &weight[(first_row + row) * words + first_word..];
                    let rows = Rows { values: weights, row_stride: words, runs: 1, run_stride: 0, run_length: depth };
                    let fresh = block == 0;
                    let sums_of_rows = &mut *sums;
                    PanelProduct { rows, row_count, panel, columns: width, sums: sums_of_rows, stride: width, fresh }
                        .add::<L, W>();
                    if block + 1 == self.depths.len() {
                        for (word, sums) in sums.chunks_exact(O::NUMBERS * width).enumerate() {
                            let channel = first_row + row + word * O::NUMBERS;
                            self.map.finish::<L, O>(channel, sums, &places[..width], self.start, self.output);
                        }
                    }
                    row += row_count;
                }
            }
            column += width;
        }
    }
}

/// Some words of the columns at `places`, column innermost: where they lie if these are the chunks of one pixel, else
/// copied.
#[inline(always)]
fn panel<'a>(values: &'a [Chunk], chunks: usize, places: &[Place], copied: &'a mut [Chunk]) -> &'a [Chunk] {
    let columns = places.len();
    if columns == chunks && places[columns - 1].input - places[0].input == chunks - 1 {
        return &values[places[0].input..][..copied.len()];
    }
    for (column, place) in places.iter().enumerate() {
        let values = values[place.input..].iter().step_by(chunks);
        for (copy, value) in copied[column..].iter_mut().step_by(columns).zip(values) {
            *copy = *value;
        }
    }
    copied
}

/// The same in pairs of inputs, of which `left` are there; the last of an odd number has 0 beside it.
#[inline(always)]
fn paired_panel<L: Lanes>(values: &[Chunk], chunks: usize, places: &[Place], left: usize, panel: &mut [Chunk]) {
    let columns = places.len();
    for (column, place) in places.iter().enumerate() {
        for (pair, word) in panel[column..].iter_mut().step_by(columns).enumerate() {
            let first = place.input + 2 * pair * chunks;
            let second = if 2 * pair + 1 < left { L::load(&values[first + chunks]) } else { L::splat(0.0) };
            L::load(&values[first]).paired(second).store(word);
        }
    }
}

/// A column: one chunk of one pixel.
#[derive(Clone, Copy, Default)]
struct Place {
    /// The place of its first word in the values.
    input: usize,
    /// The place of its first word in the whole output.
    output: usize,
}

impl Pointwise<'_> {
    /// Writes the sums of the channels of a word, from `channel` on, and of some columns to the part of the output that starts at
    /// `start`.
    #[inline(always)]
    fn finish<L: Lanes, O: Word>(
        &self,
        channel: usize,
        sums: &[Chunk],
        places: &[Place],
        start: usize,
        output: &mut [MaybeUninit<Chunk>],
    ) {
        for (column, place) in places.iter().enumerate() {
            let place = place.output + channel / O::NUMBERS * self.values.chunks;
            let mut values = [L::splat(0.0); 2];
            for number in 0..O::NUMBERS {
                let bias = match self.bias {
                    Some(bias) => bias[channel + number],
                    None => 0.0,
                };
                values[number] = L::load(&sums[number * places.len() + column]).add(L::splat(bias));
                if let Some(added) = self.added {
                    values[number] = values[number].add(L::load(&added[place % added.len()]));
                }
            }
            O::of_lanes(values[0], values[1]).write(&mut output[place - start]);
        }
    }
}
