use std::marker::PhantomData;

use super::convolution::{ParameterGradients, even_blocks};
use super::lanes::{Chunk, Job, LANES, Lanes};
use super::panel::{COLUMNS, DEPTH, Pair, PanelProduct, ROWS, Rows, Single, Word, panel_columns};
use super::parallel::{WORTH_SHARING, for_each_part};
use super::planes::Planes;
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
    match products {
        Products::F32 => gradients_by::<Single>(shape, input, gradient),
        Products::Bf16 => gradients_by::<Pair>(shape, input, gradient),
    }
}

fn gradients_by<W: Word>(shape: Convolution, input: &Planes, gradient: &Planes) -> ParameterGradients {
    let (inputs, outputs, chunks, pixels) = (shape.inputs, shape.outputs, input.chunks, input.pixels());
    assert_eq!(
        (input.channels, gradient.channels, gradient.chunks),
        (inputs, outputs, chunks),
        "gradient of {shape:?}"
    );
    assert_eq!(pixels, gradient.pixels(), "gradient of {shape:?}");
    let operations = 2 * pixels * shape.weight_count() * chunks * LANES;
    let groups: Vec<_> = even_blocks(inputs.div_ceil(LANES), COLUMNS).collect();
    let most_parts = if operations < WORTH_SHARING { 1 } else { UNITS.div_ceil(groups.len()) };
    let parts: Vec<_> = even_blocks(pixels, pixels.div_ceil(most_parts)).collect();
    let mut units = Vec::with_capacity(groups.len() * parts.len());
    for &(first_vector, vectors) in &groups {
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
            W::run(UnitSums { word: PhantomData::<W>, input, gradient, unit: &mut units[0], panel, words });
        });
    });
    let mut weights = vec![0.0; outputs * inputs];
    for_each_part(&mut weights, ROWS * inputs, parts.len() * outputs * inputs, |index, weights| {
        for (row, weights) in weights.chunks_exact_mut(inputs).enumerate() {
            for unit in &units {
                let sums = unit.sums[(index * ROWS + row) * unit.vectors..][..unit.vectors].as_flattened();
                for (weight, sum) in weights[unit.first_vector * LANES..].iter_mut().zip(sums) {
                    *weight += sum;
                }
            }
        }
    });
    let pixel_sums = units.into_iter().map(|unit| unit.pixel_sums).filter(|sums| !sums.is_empty());
    ParameterGradients { weights, pixel_sums: add_up(pixel_sums.collect()) }
}

/// About how many units there are, where there is much to do.
const UNITS: usize = 12;

/// Some pixels of some inputs.
struct Unit {
    /// Vectors of [`LANES`] inputs; the last may have fewer.
    first_vector: usize,
    vectors: usize,
    first_pixel: usize,
    pixels: usize,
    /// `[outputs, vectors]`
    sums: Vec<Chunk>,
    /// `[outputs, chunks]` of the gradient; empty except for the first inputs.
    pixel_sums: Vec<Chunk>,
}

struct UnitSums<'a, W> {
    word: PhantomData<W>,
    input: &'a Planes,
    gradient: &'a Planes,
    unit: &'a mut Unit,
    /// Scratch memory, of any content.
    panel: &'a mut [Chunk],
    /// The same, for the rows where their words are not their numbers.
    words: &'a mut [Chunk],
}

impl<W: Word> Job for UnitSums<'_, W> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { input, gradient, unit, panel, words, .. } = self;
        let (chunks, outputs) = (input.chunks, gradient.channels);
        // As many images as a panel is deep: some chunks of one pixel, or all of some pixels.
        let most = DEPTH * W::NUMBERS / LANES;
        let chunks_at_once = chunks.min(most);
        let pixels_at_once = most / chunks_at_once;
        let mut vector = 0;
        while vector < unit.vectors {
            let columns = panel_columns::<L>(unit.vectors - vector);
            let mut fresh = true;
            let mut pixel = 0;
            while pixel < unit.pixels {
                let pixels = pixels_at_once.min(unit.pixels - pixel);
                let first_pixel = unit.first_pixel + pixel;
                let mut chunk = 0;
                while chunk < chunks {
                    let taken = chunks_at_once.min(chunks - chunk);
                    let images = Images { first_pixel, pixels, first_chunk: chunk, chunks: taken };
                    let panel = &mut panel[..images.count() / W::NUMBERS * columns];
                    images.turn::<L, W>(input, unit.first_vector + vector, columns, panel);
                    if unit.first_vector + vector == 0 {
                        images.add_to::<L>(gradient, &mut unit.pixel_sums);
                    }
                    let rows = match W::NUMBERS {
                        1 => images.rows(gradient),
                        _ => images.paired_rows::<L>(gradient, words),
                    };
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
                    fresh = false;
                    chunk += taken;
                }
                pixel += pixels;
            }
            vector += columns;
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
    fn paired_rows<'w, L: Lanes>(self, planes: &Planes, words: &'w mut [Chunk]) -> Rows<'w> {
        let row_stride = self.count() / Pair::NUMBERS;
        let (values, words) = (planes.values(), words.as_flattened_mut());
        let words_of_pixel = self.chunks * LANES / Pair::NUMBERS;
        for pixel in 0..self.pixels {
            let values = &values[(self.first_pixel + pixel) * planes.channels * planes.chunks..];
            for channel in 0..planes.channels {
                let (both, last) = values[channel * planes.chunks + self.first_chunk..][..self.chunks].as_chunks::<2>();
                let words = &mut words[channel * row_stride + pixel * words_of_pixel..][..words_of_pixel];
                let (whole, half) = words.as_chunks_mut::<LANES>();
                for (both, words) in both.iter().zip(whole) {
                    L::load(&both[0]).neighbours_paired(L::load(&both[1])).store(words);
                }
                if let [last] = last {
                    let mut paired = [0.0; LANES];
                    L::load(last).neighbours_paired(L::splat(0.0)).store(&mut paired);
                    half.copy_from_slice(&paired[..LANES / Pair::NUMBERS]);
                }
            }
        }
        Rows { values: words, row_stride, runs: 1, run_stride: 0, run_length: row_stride }
    }

    /// Adds the pixels to `sums`, `[channels, chunks]`.
    #[inline(always)]
    fn add_to<L: Lanes>(self, planes: &Planes, sums: &mut [Chunk]) {
        let pixel_length = planes.channels * planes.chunks;
        let values = &planes.values()[self.first_pixel * pixel_length..][..self.pixels * pixel_length];
        for channel in 0..planes.channels {
            for chunk in self.first_chunk..self.first_chunk + self.chunks {
                let place = channel * planes.chunks + chunk;
                let mut sum = L::load(&sums[place]);
                for pixel in 0..self.pixels {
                    sum = sum.add(L::load(&values[pixel * pixel_length + place]));
                }
                sum.store(&mut sums[place]);
            }
        }
    }

    /// Sixteen channels of an image, or of a pair of images, as one chunk: `[images, columns]`, 0 where there are no more channels.
    #[inline(always)]
    fn turn<L: Lanes, W: Word>(self, planes: &Planes, first_column: usize, columns: usize, panel: &mut [Chunk]) {
        let mut images = panel.chunks_exact_mut(LANES / W::NUMBERS * columns);
        let all_values = planes.values();
        for pixel in self.first_pixel..self.first_pixel + self.pixels {
            let values = &all_values[pixel * planes.channels * planes.chunks..];
            for chunk in self.first_chunk..self.first_chunk + self.chunks {
                let Some(images) = images.next() else { return };
                for column in 0..columns {
                    let first_channel = (first_column + column) * LANES;
                    let channels = LANES.min(planes.channels - first_channel);
                    let mut rows = [L::splat(0.0); LANES];
                    for channel in 0..channels {
                        rows[channel] = L::load(&values[(first_channel + channel) * planes.chunks + chunk]);
                    }
                    let turned = L::turned(rows);
                    for (word, numbers) in turned.chunks_exact(W::NUMBERS).enumerate() {
                        let place = &mut images[word * columns + column];
                        match *numbers {
                            [lower, upper] => lower.paired(upper).store(place),
                            _ => numbers[0].store(place),
                        }
                    }
                }
            }
        }
    }
}
