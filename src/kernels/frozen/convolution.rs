use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::layer::{FrozenConvolution, Weights, Words, winograd_padding};
use super::planes::{FrozenPlanes, Target};
use crate::kernels::convolution::even_blocks;
use crate::kernels::lanes::{Chunk, Job, LANES, Lanes};
use crate::kernels::panel::{COLUMNS, DEPTH, PanelProduct, ROWS, Rows, Word, panel_columns};
use crate::kernels::scratch::with_scratch;
use crate::kernels::winograd;

impl FrozenConvolution {
    pub(super) fn write(&self, input: &FrozenPlanes, added: Option<&FrozenPlanes>, target: Target<'_>) {
        match &self.weights {
            Weights::F32(words) => self.write_by(words, input, added, target),
            Weights::Bf16(words) => self.write_by(words, input, added, target),
        }
    }

    fn write_by<W: Word>(
        &self,
        words: &Words<W>,
        input: &FrozenPlanes,
        added: Option<&FrozenPlanes>,
        mut target: Target<'_>,
    ) {
        let operations = 2 * target.height * target.width * self.weight_count() * LANES;
        if let (Some(kernels), Some(padding), None) = (&words.winograd, winograd_padding(self.window), added) {
            let zeros = vec![[0.0; LANES]; self.inputs];
            let FrozenPlanes { height, width, channels, ref values } = *input;
            let (chunks, scale, zeros) = (1, 1, &zeros);
            let tiled = winograd::TiledPlanes { values, height, width, channels, chunks, scale, zeros, padding };
            let finish = winograd::Finish {
                bias: Some(&self.bias),
                added: None,
                activation: self.activation,
                halving: 1,
                pixel_length: target.channels,
                first: target.first,
            };
            winograd::convolve_into(kernels, tiled, finish, operations, target.output);
            return;
        }
        let depths: Vec<_> = even_blocks(self.window.positions() * self.inputs.div_ceil(W::NUMBERS), DEPTH).collect();
        let (width, pixel_length) = (target.width, target.channels);
        target.for_each_row(operations, |y, output| {
            with_scratch((self.outputs + DEPTH) * COLUMNS, |scratch| {
                let (layer, depths) = (self, &*depths);
                W::run(Row { layer, words, depths, input, added, y, width, pixel_length, output, scratch });
            });
        });
    }
}

/// One row of pixels of the output.
struct Row<'a, W> {
    layer: &'a FrozenConvolution,
    words: &'a Words<W>,
    /// Blocks of (position of the window, word of the inputs): (first, count).
    depths: &'a [(usize, usize)],
    input: &'a FrozenPlanes,
    added: Option<&'a FrozenPlanes>,
    y: usize,
    width: usize,
    /// The length of a pixel of the output.
    pixel_length: usize,
    output: &'a mut [MaybeUninit<Chunk>],
    /// The sums of all outputs and a panel, of any content.
    scratch: &'a mut [Chunk],
}

impl<W: Word> Job for Row<'_, W> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { layer, words, depths, input, added, y, width, pixel_length, output, scratch } = self;
        let FrozenConvolution { outputs, ref bias, activation, .. } = *layer;
        let terms = layer.window.positions() * layer.inputs.div_ceil(W::NUMBERS);
        let (sums, panel) = scratch.split_at_mut(outputs * COLUMNS);
        let mut x = 0;
        while x < width {
            let columns = panel_columns::<L>(width - x);
            for (block, &(first, depth)) in depths.iter().enumerate() {
                let panel = &mut panel[..depth * columns];
                L::call(Gather { word: PhantomData::<W>, layer, input, y, x, first, columns, panel: &mut *panel });
                for row in (0..outputs).step_by(ROWS) {
                    let row_count = ROWS.min(outputs - row);
                    let weights = &words.taps[row * terms + first..];
                    let rows = Rows { values: weights, row_stride: terms, runs: 1, run_stride: 0, run_length: depth };
                    let sums = &mut sums[row * columns..][..row_count * columns];
                    let product =
                        PanelProduct { rows, row_count, panel, columns, sums, stride: columns, fresh: block == 0 };
                    product.add::<L, W>();
                }
            }
            for (channel, sums) in sums.chunks_exact(columns).take(outputs).enumerate() {
                for (column, sum) in sums.iter().enumerate() {
                    let mut value = L::load(sum).add(L::splat(bias[channel]));
                    if let Some(added) = added {
                        let pixel = y * added.width + x + column;
                        value = value.add(L::load(&added.values[pixel * outputs + channel]));
                    }
                    activation.of(value).write(&mut output[(x + column) * pixel_length + channel]);
                }
            }
            x += columns;
        }
    }
}

/// Copies what some pixels of the output see of the input to a panel, in words of inputs: `[depth, columns]`.
struct Gather<'a, W> {
    word: PhantomData<W>,
    layer: &'a FrozenConvolution,
    input: &'a FrozenPlanes,
    y: usize,
    /// The first pixel.
    x: usize,
    /// The first (position of the window, word of the inputs).
    first: usize,
    columns: usize,
    panel: &'a mut [Chunk],
}

impl<W: Word> Job for Gather<'_, W> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { layer, input, y, x, first, columns, panel, .. } = self;
        let (window, inputs) = (layer.window, layer.inputs);
        let words = inputs.div_ceil(W::NUMBERS);
        let before = (window.rows(input.height).0, window.columns(input.width).0);
        let depth = panel.len() / columns;
        let mut term = 0;
        while term < depth {
            let (position, word) = ((first + term) / words, (first + term) % words);
            let run = (words - word).min(depth - term);
            let (dy, dx) = (position / window.width, position % window.width);
            for column in 0..columns {
                let copies = panel[term * columns + column..].iter_mut().step_by(columns).take(run);
                match input.pixel(y * window.stride + dy, (x + column) * window.stride + dx, before) {
                    Some(pixel) if W::NUMBERS == 1 => {
                        for (copy, value) in copies.zip(&pixel[word..]) {
                            L::load(value).store(copy);
                        }
                    }
                    Some(pixel) => {
                        for (copy, numbers) in copies.zip(pixel[W::NUMBERS * word..].chunks(W::NUMBERS)) {
                            let second = if numbers.len() > 1 { L::load(&numbers[1]) } else { L::splat(0.0) };
                            W::of_lanes(L::load(&numbers[0]), second).store(copy);
                        }
                    }
                    None => {
                        for copy in copies {
                            *copy = [0.0; LANES];
                        }
                    }
                }
            }
            term += run;
        }
    }
}
