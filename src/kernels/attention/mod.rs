mod output;
mod product;

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use self::product::{Grid, multiply};
use super::Products;
use super::lanes::{Chunk, Job, LANES, Lanes};
use super::panel::{Pair, Single, Word};
use super::parallel::{Scattered, for_each_index, for_each_part};
use super::planes::Planes;
use super::scratch::with_scratch;

/// softmax(q k^T / sqrt(head channels)) v between the pixels of each image (Vaswani et al. 2017, eq. 1). The input
/// has 3 * channels: queries, keys, values, and within each the heads one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    pub heads: usize,
    pub products: Products,
}

/// `[head, chunk, pixel, pixel]`
pub type Probabilities = Vec<Chunk>;

impl Attention {
    /// The output `[pixels, channels, chunks]` and what [`Attention::backward`] needs besides the input.
    pub fn forward(self, input: &Planes) -> (Vec<Chunk>, Probabilities) {
        match self.products {
            Products::F32 => self.forward_by::<Single>(input),
            Products::Bf16 => self.forward_by::<Pair>(input),
        }
    }

    fn forward_by<W: Word>(self, input: &Planes) -> (Vec<Chunk>, Probabilities) {
        let sizes = self.sizes(input);
        let (chunks, square) = (input.chunks, sizes.pixels * sizes.pixels);
        let mut probabilities = Box::<[Chunk]>::new_uninit_slice(chunks * self.heads * square);
        let mut output = Box::<[Chunk]>::new_uninit_slice(sizes.pixels * sizes.channels * chunks);
        let scattered = Scattered::new(&mut output);
        for_each_part(&mut probabilities, square, sizes.operations(chunks), |unit, probabilities| {
            with_scratch(2 * sizes.matrix() + square + sizes.words::<W>(), |scratch| {
                let (word, output) = (PhantomData::<W>, &scattered);
                W::run(Forward { word, sizes, unit, input, scratch, probabilities, output });
            });
        });
        // SAFETY: each unit writes all probabilities of its head and chunk, and all pixels and channels of the output.
        unsafe { (output.assume_init().into_vec(), probabilities.assume_init().into_vec()) }
    }

    /// The gradient with respect to the input.
    pub fn backward(self, input: &Planes, probabilities: &[Chunk], gradient: &Planes) -> Vec<Chunk> {
        match self.products {
            Products::F32 => self.backward_by::<Single>(input, probabilities, gradient),
            Products::Bf16 => self.backward_by::<Pair>(input, probabilities, gradient),
        }
    }

    fn backward_by<W: Word>(self, input: &Planes, probabilities: &[Chunk], gradient: &Planes) -> Vec<Chunk> {
        let sizes = self.sizes(input);
        let square = sizes.pixels * sizes.pixels;
        assert_eq!(probabilities.len(), input.chunks * self.heads * square, "the probabilities of this input");
        assert_eq!(gradient.values().len(), sizes.pixels * sizes.channels * input.chunks, "a gradient for each output");
        let mut output = Box::<[Chunk]>::new_uninit_slice(input.values().len());
        let scattered = Scattered::new(&mut output);
        for_each_index(input.chunks * self.heads, 2 * sizes.operations(input.chunks), |unit| {
            with_scratch(3 * sizes.matrix() + square + sizes.words::<W>(), |scratch| {
                let probabilities = &probabilities[unit * square..][..square];
                let (word, output) = (PhantomData::<W>, &scattered);
                W::run(Backward { word, sizes, unit, input, probabilities, gradient, scratch, output });
            });
        });
        // SAFETY: each unit writes the queries, keys and values of its head and chunk, of all pixels.
        unsafe { output.assume_init() }.into_vec()
    }

    fn sizes(self, input: &Planes) -> Sizes {
        let (heads, channels) = (self.heads, input.channels / 3);
        assert_eq!(input.channels, 3 * channels, "queries, keys and values");
        assert!(heads > 0 && channels.is_multiple_of(heads), "{heads} heads do not divide {channels} channels");
        Sizes { pixels: input.pixels(), channels, depth: channels / heads, chunks: input.chunks }
    }
}

/// Every head of every chunk is a unit of its own, so that what it needs fits a second-level cache. Chunks are innermost:
/// what the processor fetches ahead for one, it uses for the next.
#[derive(Clone, Copy)]
struct Sizes {
    pixels: usize,
    channels: usize,
    /// Channels of a head.
    depth: usize,
    chunks: usize,
}

/// Which of the input's three parts.
const QUERIES: usize = 0;
const KEYS: usize = 1;
const VALUES: usize = 2;

impl Sizes {
    fn operations(self, chunks: usize) -> usize {
        4 * self.pixels * self.pixels * self.channels * chunks * LANES
    }

    fn scale(self) -> f32 {
        1.0 / (self.depth as f32).sqrt()
    }

    /// Elements of the queries of a unit.
    fn matrix(self) -> usize {
        self.pixels * self.depth
    }

    /// The words of both factors of a product, at most; none where words are numbers.
    fn words<W: Word>(self) -> usize {
        let (of_head, of_scores) = (self.depth.div_ceil(W::NUMBERS), self.pixels.div_ceil(W::NUMBERS));
        match W::NUMBERS {
            1 => 0,
            _ => (2 * self.pixels * of_head).max((self.pixels + self.depth) * of_scores),
        }
    }

    /// `[pixel, channel of the head]`
    fn of_head(self) -> Grid {
        Grid { row: self.depth, column: 1 }
    }

    /// `[query, key]`
    fn scores(self) -> Grid {
        Grid { row: self.pixels, column: 1 }
    }

    /// Of a plane of `parts` times the channels, where element (`pixel`, 0) of a unit is.
    #[inline(always)]
    fn start(self, unit: usize, parts: usize, part: usize, pixel: usize) -> usize {
        let (chunk, head) = (unit % self.chunks, unit / self.chunks);
        ((pixel * parts + part) * self.channels + head * self.depth) * self.chunks + chunk
    }

    /// Copies the matrix of a unit from a plane of `parts` times the channels.
    #[inline(always)]
    fn take<L: Lanes>(self, planes: &Planes, unit: usize, parts: usize, part: usize, matrix: &mut [Chunk]) {
        self.take_from::<L>(0, planes, unit, parts, part, matrix);
    }

    /// The same of the pixels from `first` on, as many as `matrix` has rows.
    #[inline(always)]
    fn take_from<L: Lanes>(
        self,
        first: usize,
        planes: &Planes,
        unit: usize,
        parts: usize,
        part: usize,
        matrix: &mut [Chunk],
    ) {
        for (pixel, row) in matrix.chunks_exact_mut(self.depth).enumerate() {
            let values = &planes.values()[self.start(unit, parts, part, first + pixel)..];
            for channel in 0..self.depth {
                L::load(&values[channel * self.chunks]).store(&mut row[channel]);
            }
        }
    }

    /// The reverse of [`Sizes::take`].
    #[inline(always)]
    fn put<L: Lanes>(self, matrix: &[Chunk], output: &Scattered<Chunk>, unit: usize, parts: usize, part: usize) {
        self.put_from::<L>(0, matrix, output, unit, parts, part);
    }

    /// The reverse of [`Sizes::take_from`].
    #[inline(always)]
    fn put_from<L: Lanes>(
        self,
        first: usize,
        matrix: &[Chunk],
        output: &Scattered<Chunk>,
        unit: usize,
        parts: usize,
        part: usize,
    ) {
        for (pixel, row) in matrix.chunks_exact(self.depth).enumerate() {
            let start = self.start(unit, parts, part, first + pixel);
            for channel in 0..self.depth {
                // SAFETY: a unit puts each pixel of each part once, and no other unit has this head and chunk.
                let place = unsafe { output.place(start + channel * self.chunks) };
                L::load(&row[channel]).write(place);
            }
        }
    }
}

struct Forward<'a, W> {
    word: PhantomData<W>,
    sizes: Sizes,
    unit: usize,
    input: &'a Planes,
    /// Two matrices, the scores and the words of a product's factors, of any content.
    scratch: &'a mut [Chunk],
    /// `[query, key]`
    probabilities: &'a mut [MaybeUninit<Chunk>],
    output: &'a Scattered<'a, Chunk>,
}

impl<W: Word> Job for Forward<'_, W> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { sizes, unit, input, scratch, probabilities, output, .. } = self;
        let Sizes { pixels, depth, .. } = sizes;
        let (of_head, of_scores) = (sizes.of_head(), sizes.scores());
        let (first, rest) = scratch.split_at_mut(sizes.matrix());
        let (second, rest) = rest.split_at_mut(sizes.matrix());
        let (scores, words) = rest.split_at_mut(pixels * pixels);
        sizes.take::<L>(input, unit, 3, QUERIES, first);
        sizes.take::<L>(input, unit, 3, KEYS, second);
        let to_scores = [pixels, pixels, depth];
        multiply::<L, W>(scores, of_scores, (&*first, of_head), (&*second, of_head), to_scores, words);
        let scale = L::splat(sizes.scale());
        for (row, probabilities) in scores.chunks_exact_mut(pixels).zip(probabilities.chunks_exact_mut(pixels)) {
            softmax(row, scale, probabilities);
        }
        sizes.take::<L>(input, unit, 3, VALUES, second);
        let values = (&*second, of_head.turned());
        multiply::<L, W>(first, of_head, (&*scores, of_scores), values, [pixels, depth, pixels], words);
        sizes.put::<L>(first, output, unit, 1, 0);
    }
}

/// softmax(scale * row), in place and to `copy`.
#[inline(always)]
fn softmax<L: Lanes>(row: &mut [Chunk], scale: L, copy: &mut [MaybeUninit<Chunk>]) {
    softmax_in_place(row, scale);
    for (value, copy) in row.iter().zip(copy) {
        L::load(value).write(copy);
    }
}

/// softmax(scale * row).
#[inline(always)]
fn softmax_in_place<L: Lanes>(row: &mut [Chunk], scale: L) {
    let mut largest = L::load(&row[0]);
    for value in row.iter() {
        largest = largest.max(L::load(value));
    }
    let mut sum = L::splat(0.0);
    for value in row.iter_mut() {
        let exp = L::load(value).sub(largest).mul(scale).exp();
        sum = sum.add(exp);
        exp.store(value);
    }
    let factor = L::splat(1.0).div(sum);
    for value in row {
        L::load(value).mul(factor).store(value);
    }
}

struct Backward<'a, W> {
    word: PhantomData<W>,
    sizes: Sizes,
    unit: usize,
    input: &'a Planes,
    /// `[query, key]`
    probabilities: &'a [Chunk],
    gradient: &'a Planes,
    /// Three matrices, the gradient of the scores and the words of a product's factors, of any content.
    scratch: &'a mut [Chunk],
    output: &'a Scattered<'a, Chunk>,
}

impl<W: Word> Job for Backward<'_, W> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { sizes, unit, input, probabilities, gradient, scratch, output, .. } = self;
        let Sizes { pixels, depth, .. } = sizes;
        let (of_head, of_scores) = (sizes.of_head(), sizes.scores());
        let (first, rest) = scratch.split_at_mut(sizes.matrix());
        let (second, rest) = rest.split_at_mut(sizes.matrix());
        let (result, rest) = rest.split_at_mut(sizes.matrix());
        let (scores, words) = rest.split_at_mut(pixels * pixels);
        let (to_scores, to_head) = ([pixels, pixels, depth], [pixels, depth, pixels]);
        sizes.take::<L>(gradient, unit, 1, 0, first);
        let turned_gradients = (&*first, of_head.turned());
        multiply::<L, W>(result, of_head, (probabilities, of_scores.turned()), turned_gradients, to_head, words);
        sizes.put::<L>(result, output, unit, 3, VALUES);

        sizes.take::<L>(input, unit, 3, VALUES, second);
        multiply::<L, W>(scores, of_scores, (&*first, of_head), (&*second, of_head), to_scores, words);
        let scale = L::splat(sizes.scale());
        for (row, probabilities) in scores.chunks_exact_mut(pixels).zip(probabilities.chunks_exact(pixels)) {
            softmax_gradient(row, probabilities, scale);
        }
        sizes.take::<L>(input, unit, 3, KEYS, second);
        multiply::<L, W>(result, of_head, (&*scores, of_scores), (&*second, of_head.turned()), to_head, words);
        sizes.put::<L>(result, output, unit, 3, QUERIES);
        sizes.take::<L>(input, unit, 3, QUERIES, first);
        let turned_queries = (&*first, of_head.turned());
        multiply::<L, W>(result, of_head, (&*scores, of_scores.turned()), turned_queries, to_head, words);
        sizes.put::<L>(result, output, unit, 3, KEYS);
    }
}

/// Turns the gradient of the probabilities into that of the scores before scaling, in place.
#[inline(always)]
fn softmax_gradient<L: Lanes>(row: &mut [Chunk], probabilities: &[Chunk], scale: L) {
    let mut mean = L::splat(0.0);
    for (value, probability) in row.iter().zip(probabilities) {
        mean = L::load(value).mul_add(L::load(probability), mean);
    }
    for (value, probability) in row.iter_mut().zip(probabilities) {
        L::load(value).sub(mean).mul(L::load(probability)).mul(scale).store(value);
    }
}
