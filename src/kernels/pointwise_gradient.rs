use std::marker::PhantomData;

use super::convolution::{ParameterGradients, even_blocks};
use super::lanes::{Chunk, Job, LANES, Lanes};
use super::panel::{COLUMNS, DEPTH, Pair, PanelProduct, ROWS, Rows, Single, Word, panel_columns};
use super::parallel::{WORTH_SHARING, for_each_part};
use super::planes::{Planes, Storage};
use super::scratch::with_scratch;
use super::sums::add_up;
use super::{Convolution, Products};

/// The gradients with respect to the weights and the bias of a linear map of every pixel.
///
/// It is the product of the gradient `[outputs, pixels and images]` with the input `[pixels and images, inputs]`, for
/// which sixteen inputs of an image are brought into one chunk. Parts of the pixels are summed apart and then added in
/// order; how many there are depends on the shapes alone.
pub fn parameter_gradients(
    shape: Convolution,
    products: Products,
    input: &Planes,
    gradient: &Planes,
) -> ParameterGradients {
    match (products, input.storage, gradient.storage) {
        (Products::F32, Storage::F32, Storage::F32) => gradients_by::<Single, Single, Single>(shape, input, gradient),
        (Products::Bf16, Storage::F32, Storage::F32) => gradients_by::<Pair, Single, Single>(shape, input, gradient),
        (Products::Bf16, Storage::F32, Storage::Bf16) => gradients_by::<Pair, Single, Pair>(shape, input, gradient),
        (Products::Bf16, Storage::Bf16, Storage::F32) => gradients_by::<Pair, Pair, Single>(shape, input, gradient),
        (Products::Bf16, Storage::Bf16, Storage::Bf16) => gradients_by::<Pair, Pair, Pair>(shape, input, gradient),
        (Products::F32, ..) => panic!("products of f32 are not of planes of bf16"),
    }
}

/// Products of words W of an input that is stored as I and a gradient that is stored as G.
fn gradients_by<W: Word, I: Word, G: Word>(
    shape: Convolution,
    input: &Planes,
    gradient: &Planes,
) -> ParameterGradients {
    let (inputs, outputs, chunks, pixels) = (shape.inputs, shape.outputs, input.chunks, input.pixels());
    assert_eq!(
        (input.channels, gradient.channels, gradient.chunks),
        (inputs, outputs, chunks),
        "gradient of {shape:?}"
    );
    assert_eq!(pixels, gradient.pixels(), "gradient of {shape:?}");
    let operations = 2 * pixels * shape.weight_count() * chunks * LANES;
    // Channels that are stored together are turned together.
    let all_vectors = inputs.div_ceil(LANES * I::NUMBERS) * I::NUMBERS;
    let groups: Vec<_> = even_blocks(all_vectors.div_ceil(COLUMNS), PANELS).collect();
    let most_parts = if operations < WORTH_SHARING { 1 } else { UNITS.div_ceil(groups.len()) };
    let parts: Vec<_> = even_blocks(pixels, pixels.div_ceil(most_parts)).collect();
    let mut units = Vec::with_capacity(groups.len() * parts.len());
    for &(first_panel, panels) in &groups {
        let first_vector = first_panel * COLUMNS;
        let vectors = (panels * COLUMNS).min(all_vectors - first_vector);
        for &(first_pixel, pixels) in &parts {
            let sums = vec![[0.0; LANES]; outputs * vectors];
            let pixel_sums = vec![[0.0; LANES]; if first_vector == 0 { outputs * chunks } else { 0 }];
            units.push(Unit { first_vector, vectors, first_pixel, pixels, sums, pixel_sums });
        }
    }
    for_each_part(&mut units, 1, operations, |_, units| {
        let words_of_rows = if W::NUMBERS == 1 { 0 } else { outputs * DEPTH / LANES };
        with_scratch(DEPTH * COLUMNS + words_of_rows, |scratch| {
            let (panel, words) = scratch.split_at_mut(DEPTH * COLUMNS);
            let word = PhantomData::<(W, I, G)>;
            W::run(UnitSums { word, input, gradient, unit: &mut units[0], panel, words });
        });
    });
    let mut weights = vec![0.0; outputs * inputs];
    for_each_part(&mut weights, ROWS * inputs, parts.len() * outputs * inputs, |index, weights| {
        for (row, weights) in weights.chunks_exact_mut(inputs).enumerate() {
            for unit in &units {
                let sums = &unit.sums[(index * ROWS + row) * unit.vectors..][..unit.vectors];
                for (stored, sums) in sums.chunks_exact(I::NUMBERS).enumerate() {
                    // A lane has neighbours of each of these vectors.
                    let first = unit.first_vector * LANES + stored * I::NUMBERS * LANES;
                    for (place, weight) in weights[first..].iter_mut().take(I::NUMBERS * LANES).enumerate() {
                        *weight += sums[place % I::NUMBERS][place / I::NUMBERS];
                    }
                }
            }
        }
    });
    let pixel_sums = units.into_iter().map(|unit| unit.pixel_sums).filter(|sums| !sums.is_empty());
    ParameterGradients { weights, pixel_sums: add_up(pixel_sums.collect()) }
}

/// Panels of inputs of a unit, at most: with more, the gradient's words are made less often; with fewer, sums take less memory.
const PANELS: usize = 2;
/// About how many units there are, where there is much to do.
const UNITS: usize = 12;

/// Some pixels of some inputs.
struct Unit {
    /// Vectors of [`LANES`] inputs, of those stored in pairs one of the first of each and then one of the second; the last may have
    /// fewer.
    first_vector: usize,
    vectors: usize,
    first_pixel: usize,
    pixels: usize,
    /// `[outputs, vectors]`
    sums: Vec<Chunk>,
    /// `[outputs, chunks]` of the gradient; empty except for the first inputs.
    pixel_sums: Vec<Chunk>,
}

struct UnitSums<'a, Words> {
    word: PhantomData<Words>,
    input: &'a Planes,
    gradient: &'a Planes,
    unit: &'a mut Unit,
    /// Scratch memory, of any content.
    panel: &'a mut [Chunk],
    /// The same, for the rows where their words are not their numbers.
    words: &'a mut [Chunk],
}

impl<W: Word, I: Word, G: Word> Job for UnitSums<'_, (W, I, G)> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { input, gradient, unit, panel, words, .. } = self;
        let (chunks, outputs) = (input.chunks, gradient.channels);
        // As many images as a panel is deep: some chunks of one pixel, or all of some pixels.
        let most = DEPTH * W::NUMBERS / LANES;
        let chunks_at_once = chunks.min(most);
        let pixels_at_once = most / chunks_at_once;
        let mut fresh = true;
        let mut pixel = 0;
        while pixel < unit.pixels {
            let pixels = pixels_at_once.min(unit.pixels - pixel);
            let first_pixel = unit.first_pixel + pixel;
            let mut chunk = 0;
            while chunk < chunks {
                let taken = chunks_at_once.min(chunks - chunk);
                let images = Images { first_pixel, pixels, first_chunk: chunk, chunks: taken };
                if unit.first_vector == 0 {
                    images.add_to::<L, G>(gradient, &mut unit.pixel_sums);
                }
                let rows = match W::NUMBERS {
                    1 => images.rows(gradient),
                    _ => images.paired_rows::<L, G>(gradient, words),
                };
                let mut vector = 0;
                while vector < unit.vectors {
                    let columns = panel_columns::<L>(unit.vectors - vector);
                    let panel = &mut panel[..images.count() / W::NUMBERS * columns];
                    images.turn::<L, W, I>(input, unit.first_vector + vector, columns, panel);
                    let mut row = 0;
                    while row < outputs {
                        let row_count = ROWS.min(outputs - row);
                        PanelProduct {
                            rows: rows.skip(row),
                            row_count,
                            panel,
                            columns,
                            sums: &mut unit.sums[row * unit.vectors + vector..],
                            stride: unit.vectors,
                            fresh,
                        }
                        .add::<L, W>();
                        row += row_count;
                    }
                    vector += columns;
                }
                fresh = false;
                chunk += taken;
            }
            pixel += pixels;
        }
    }
}

/// Some chunks of some pixels.
#[derive(Clone, Copy)]
struct Images {
    first_pixel: usize,
    pixels: usize,
    first_chunk: usize,
    chunks: usize,
}

impl Images {
    #[inline(always)]
    fn count(self) -> usize {
        self.pixels * self.chunks * LANES
    }

    /// The channels as rows, a run for each pixel.
    #[inline(always)]
    fn rows(self, planes: &Planes) -> Rows<'_> {
        let pixel_length = planes.channels * planes.chunks;
        let start = self.first_pixel * pixel_length + self.first_chunk;
        Rows {
            values: planes.values()[start..].as_flattened(),
            row_stride: planes.chunks * LANES,
            runs: self.pixels,
            run_stride: pixel_length * LANES,
            run_length: self.chunks * LANES,
        }
    }

    /// The same in pairs of images, in `words`: one run a row.
    #[inline(always)]
    fn paired_rows<'w, L: Lanes, G: Word>(self, planes: &Planes, words: &'w mut [Chunk]) -> Rows<'w> {
        let row_stride = self.count() / Pair::NUMBERS;
        let (values, words) = (planes.values(), words.as_flattened_mut());
        let words_of_pixel = self.chunks * LANES / Pair::NUMBERS;
        for pixel in 0..self.pixels {
            let values = &values[(self.first_pixel + pixel) * planes.words() * planes.chunks..];
            for stored in 0..planes.words() {
                let values = &values[stored * planes.chunks + self.first_chunk..][..self.chunks];
                for (index, both) in values.chunks(2).enumerate() {
                    let first = L::load(&both[0]);
                    let second = if both.len() > 1 { L::load(&both[1]) } else { L::splat(0.0) };
                    let paired = match G::NUMBERS {
                        1 => [first.neighbours_paired(second); 2],
                        _ => first.neighbours_halves_paired(second),
                    };
                    for number in 0..G::NUMBERS {
                        let channel = stored * G::NUMBERS + number;
                        let place = channel * row_stride + pixel * words_of_pixel + index * LANES;
                        let words = &mut words[place..][..both.len() * LANES / Pair::NUMBERS];
                        match words.as_mut_array() {
                            Some(whole) => paired[number].store(whole),
                            None => {
                                let mut whole = [0.0; LANES];
                                paired[number].store(&mut whole);
                                words.copy_from_slice(&whole[..LANES / Pair::NUMBERS]);
                            }
                        }
                    }
                }
            }
        }
        Rows { values: words, row_stride, runs: 1, run_stride: 0, run_length: row_stride }
    }

    /// Adds the pixels to `sums`, `[channels, chunks]`.
    #[inline(always)]
    fn add_to<L: Lanes, G: Word>(self, planes: &Planes, sums: &mut [Chunk]) {
        let pixel_length = planes.words() * planes.chunks;
        let values = &planes.values()[self.first_pixel * pixel_length..][..self.pixels * pixel_length];
        for stored in 0..planes.words() {
            for chunk in self.first_chunk..self.first_chunk + self.chunks {
                let first = stored * G::NUMBERS * planes.chunks + chunk;
                let mut found = [L::splat(0.0); 2];
                for number in 0..G::NUMBERS {
                    found[number] = L::load(&sums[first + number * planes.chunks]);
                }
                for pixel in 0..self.pixels {
                    let numbers = G::to_lanes(L::load(&values[pixel * pixel_length + stored * planes.chunks + chunk]));
                    for number in 0..G::NUMBERS {
                        found[number] = found[number].add(numbers[number]);
                    }
                }
                for number in 0..G::NUMBERS {
                    found[number].store(&mut sums[first + number * planes.chunks]);
                }
            }
        }
    }

    /// Sixteen channels of an image, or of a pair of images, as one chunk: `[images, columns]`, 0 where there are no more channels.
    /// Of channels that are stored in pairs, one chunk of the first and then one of the second of sixteen pairs.
    #[inline(always)]
    fn turn<L: Lanes, W: Word, I: Word>(
        self,
        planes: &Planes,
        first_column: usize,
        columns: usize,
        panel: &mut [Chunk],
    ) {
        let mut images = panel.chunks_exact_mut(LANES / W::NUMBERS * columns);
        let all_values = planes.values();
        for pixel in self.first_pixel..self.first_pixel + self.pixels {
            let values = &all_values[pixel * planes.words() * planes.chunks..];
            for chunk in self.first_chunk..self.first_chunk + self.chunks {
                let Some(images) = images.next() else { return };
                let mut column = 0;
                while column < columns {
                    let (block, first_number) =
                        ((first_column + column) / I::NUMBERS, (first_column + column) % I::NUMBERS);
                    let turned = turned_words::<L>(&values[block * LANES * planes.chunks + chunk..], planes, block);
                    let numbers = (I::NUMBERS - first_number).min(columns - column);
                    for (word, both) in turned.chunks_exact(W::NUMBERS).enumerate() {
                        let paired = match (W::NUMBERS, I::NUMBERS) {
                            (1, _) => [both[0]; 2],
                            (_, 1) => [both[0].paired(both[1]); 2],
                            _ => both[0].halves_paired(both[1]),
                        };
                        for number in 0..numbers {
                            let place = &mut images[word * columns + column + number];
                            paired[first_number + number].store(place);
                        }
                    }
                    column += numbers;
                }
            }
        }
    }
}

/// Sixteen words of a pixel and chunk, from where `values` begin on, for each image; 0 where there are no more.
#[inline(always)]
fn turned_words<L: Lanes>(values: &[Chunk], planes: &Planes, block: usize) -> [L; LANES] {
    let mut rows = [L::splat(0.0); LANES];
    let left = planes.words() - block * LANES;
    if left >= LANES {
        for word in 0..LANES {
            rows[word] = L::load(&values[word * planes.chunks]);
        }
    } else {
        for word in 0..left {
            rows[word] = L::load(&values[word * planes.chunks]);
        }
    }
    L::turned(rows)
}
