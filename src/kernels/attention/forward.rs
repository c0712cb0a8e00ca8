use std::marker::PhantomData;

use super::matrices::{
    Matrices, as_words, matrices_length, multiply, panel_length, row_chunks, rows_length, some_words,
};
use super::{Normalizer, Normalizers, PIXELS, Sizes};
use crate::kernels::lanes::{Chunk, Job, LANES, Lanes};
use crate::kernels::panel::{Single, Word};
use crate::kernels::parallel::{Scattered, for_each_part};
use crate::kernels::planes::Planes;
use crate::kernels::scratch::with_scratch;

/// Products of words W of planes stored as S.
pub fn forward<W: Word, S: Word>(sizes: Sizes, input: &Planes) -> (Vec<Chunk>, Normalizers) {
    let mut normalizers = vec![Normalizer::default(); sizes.units() * LANES * sizes.pixels];
    let mut output = Box::<[Chunk]>::new_uninit_slice(sizes.pixels * sizes.channels / S::NUMBERS * sizes.chunks);
    let scattered = Scattered::new(&mut output);
    for_each_part(&mut normalizers, LANES * sizes.pixels, sizes.operations(), |unit, normalizers| {
        with_scratch(scratch_length::<W>(sizes), |scratch| {
            let (word, output) = (PhantomData::<(W, S)>, &scattered);
            W::run(Forward { word, sizes, unit, input, scratch, normalizers, output });
        });
    });
    // SAFETY: each unit writes all pixels and channels of its head and chunk.
    (unsafe { output.assume_init() }.into_vec(), normalizers)
}

struct Forward<'a, Words> {
    word: PhantomData<Words>,
    sizes: Sizes,
    unit: usize,
    input: &'a Planes,
    /// Of any content.
    scratch: &'a mut [Chunk],
    /// `[image, query]`
    normalizers: &'a mut [Normalizer],
    output: &'a Scattered<'a, Chunk>,
}

/// Queries, keys, values and the output of sixteen images; scores of some queries of one, and their words.
fn scratch_length<W: Word>(sizes: Sizes) -> usize {
    let [tall, wide] = sizes.shapes();
    let (scores, words) = sizes.scores::<W>();
    let matrices =
        [rows_length::<W>(tall), panel_length::<W>(wide), panel_length::<W>(tall), rows_length::<Single>(tall)];
    matrices.map(matrices_length).iter().sum::<usize>() + scores + words
}

impl<W: Word, S: Word> Job for Forward<'_, (W, S)> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { sizes, unit, input, mut scratch, normalizers, output, .. } = self;
        let Sizes { pixels, depth, .. } = sizes;
        let [tall, wide] = sizes.shapes();
        let mut queries = Matrices::new(&mut scratch, rows_length::<W>(tall));
        let mut keys = Matrices::new(&mut scratch, panel_length::<W>(wide));
        let mut values = Matrices::new(&mut scratch, panel_length::<W>(tall));
        let mut outputs = Matrices::new(&mut scratch, rows_length::<Single>(tall));
        let [of_queries, of_keys, of_values] = sizes.heads::<S>(input, unit);
        for first in (0..pixels).step_by(PIXELS) {
            let some = first..pixels.min(first + PIXELS);
            queries.fill_rows_of_pixels::<L, W, S>(of_queries, some.clone());
            keys.fill_panel_of_pixels::<L, W, S>(of_keys, some.clone());
            values.fill_panel_of_channels::<L, W, S>(of_values, some);
        }
        let (scores, words) = scratch.split_at_mut(sizes.scores::<W>().0);
        let (key_vectors, value_vectors) = sizes.vectors();
        let query_chunks = row_chunks::<W>(depth);
        let (scale, mask) = (L::splat(sizes.scale()), L::load(&sizes.mask()));
        for image in 0..LANES {
            for first in (0..pixels).step_by(sizes.queries()) {
                let count = sizes.queries().min(pixels - first);
                let scores = &mut scores[..count * key_vectors];
                let queries = &queries.of(image)[first * query_chunks..];
                let rows = some_words(queries, query_chunks, 0, depth.div_ceil(W::NUMBERS));
                multiply::<L, W>(rows, count, keys.of(image), key_vectors, scores, true);
                let normalizers = &mut normalizers[image * pixels + first..][..count];
                for (row, normalizer) in scores.chunks_exact_mut(key_vectors).zip(normalizers.iter_mut()) {
                    *normalizer = exponentials(row, scale, mask);
                }
                let outputs = &mut outputs.of_mut(image)[first * value_vectors..][..count * value_vectors];
                let rows = as_words::<L, W>(scores, key_vectors, pixels, words);
                multiply::<L, W>(rows, count, values.of(image), value_vectors, outputs, true);
                for (row, normalizer) in outputs.chunks_exact_mut(value_vectors).zip(normalizers) {
                    for value in row {
                        L::load(value).mul(L::splat(normalizer.factor)).store(value);
                    }
                }
            }
        }
        // SAFETY: no other unit has this head and chunk.
        unsafe { outputs.put_pixels::<L, S>(sizes.places::<S>(unit, 1, 0), output) };
    }
}

/// exp(scale * (row - its largest)) in place, and what makes probabilities of scores.
#[inline(always)]
fn exponentials<L: Lanes>(row: &mut [Chunk], scale: L, mask: L) -> Normalizer {
    let last = row.len() - 1;
    L::load(&row[last]).add(mask).store(&mut row[last]);
    let mut largest = L::load(&row[0]);
    for value in row.iter() {
        largest = largest.max(L::load(value));
    }
    let mut lanes = [0.0; LANES];
    largest.store(&mut lanes);
    // What is not a number stays so in its own exponential.
    let largest = lanes.into_iter().fold(f32::MIN, f32::max);
    let mut sum = L::splat(0.0);
    for value in row {
        let exp = L::load(value).sub(L::splat(largest)).mul(scale).exp();
        sum = sum.add(exp);
        exp.store(value);
    }
    Normalizer { largest, factor: 1.0 / sum.sum() }
}
