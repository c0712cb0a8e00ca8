use std::marker::PhantomData;

use super::matrices::{
    Head, Matrices, as_words, matrices_length, multiply, panel_length, panel_place, row_chunks, rows_length, some_words,
};
use super::{Normalizer, PIXELS, Sizes};
use crate::kernels::lanes::{Chunk, Job, LANES, Lanes};
use crate::kernels::panel::{Single, Word, panel_columns};
use crate::kernels::parallel::{Scattered, for_each_index};
use crate::kernels::planes::Planes;
use crate::kernels::scratch::with_scratch;

/// Products of words W of planes stored as S.
pub fn backward<W: Word, S: Word>(
    sizes: Sizes,
    input: &Planes,
    normalizers: &[Normalizer],
    gradient: &Planes,
) -> Vec<Chunk> {
    let of_unit = LANES * sizes.pixels;
    assert_eq!(normalizers.len(), sizes.units() * of_unit, "the normalizers of this input");
    let words = sizes.channels / S::NUMBERS;
    assert_eq!(gradient.values().len(), sizes.pixels * words * sizes.chunks, "a gradient for each output");
    let mut output = Box::<[Chunk]>::new_uninit_slice(input.values().len());
    let scattered = Scattered::new(&mut output);
    for_each_index(sizes.units(), 3 * sizes.operations(), |unit| {
        with_scratch(scratch_length::<W>(sizes), |scratch| {
            let normalizers = &normalizers[unit * of_unit..][..of_unit];
            let (word, output) = (PhantomData::<(W, S)>, &scattered);
            W::run(Backward { word, sizes, unit, input, normalizers, gradient, scratch, output });
        });
    });
    // SAFETY: each unit writes the queries, keys and values of its head and chunk, of all pixels.
    unsafe { output.assume_init() }.into_vec()
}

struct Backward<'a, Words> {
    word: PhantomData<Words>,
    sizes: Sizes,
    unit: usize,
    input: &'a Planes,
    /// `[image, query]`
    normalizers: &'a [Normalizer],
    gradient: &'a Planes,
    /// Of any content.
    scratch: &'a mut [Chunk],
    output: &'a Scattered<'a, Chunk>,
}

/// Of sixteen images queries and the output's gradients, both twice; keys, twice; values; three gradients. Of some queries of one
/// image two kinds of scores, their panels, and words.
fn scratch_length<W: Word>(sizes: Sizes) -> usize {
    let [tall, wide] = sizes.shapes();
    let (scores, words) = sizes.scores::<W>();
    let matrices = [
        2 * matrices_length(rows_length::<W>(tall)),
        2 * matrices_length(rows_length::<W>(wide)),
        2 * matrices_length(panel_length::<W>(wide)),
        matrices_length(panel_length::<W>(tall)),
        matrices_length(rows_length::<Single>(tall)),
        2 * matrices_length(rows_length::<Single>(wide)),
    ];
    let panel = panel_length::<W>([sizes.queries(), sizes.pixels]);
    matrices.iter().sum::<usize>() + 2 * scores + 2 * panel + words
}

impl<W: Word, S: Word> Job for Backward<'_, (W, S)> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { sizes, unit, input, normalizers, gradient, mut scratch, output, .. } = self;
        let Sizes { pixels, depth, .. } = sizes;
        let [tall, wide] = sizes.shapes();
        let rest = &mut scratch;
        let mut queries = Matrices::new(rest, rows_length::<W>(tall));
        let mut turned_queries = Matrices::new(rest, rows_length::<W>(wide));
        let mut keys = Matrices::new(rest, panel_length::<W>(tall));
        let mut turned_keys = Matrices::new(rest, panel_length::<W>(wide));
        let mut turned_values = Matrices::new(rest, panel_length::<W>(wide));
        let mut gradients = Matrices::new(rest, rows_length::<W>(tall));
        let mut turned_gradients = Matrices::new(rest, rows_length::<W>(wide));
        let mut query_gradients = Matrices::new(rest, rows_length::<Single>(tall));
        let mut key_gradients = Matrices::new(rest, rows_length::<Single>(wide));
        let mut value_gradients = Matrices::new(rest, rows_length::<Single>(wide));
        let [of_queries, of_keys, of_values] = sizes.heads::<S>(input, unit);
        let of_gradients = Head { values: gradient.values(), at: sizes.places::<S>(unit, 1, 0) };
        for first in (0..pixels).step_by(PIXELS) {
            let some = first..pixels.min(first + PIXELS);
            queries.fill_rows_of_pixels::<L, W, S>(of_queries, some.clone());
            turned_queries.fill_rows_of_channels::<L, W, S>(of_queries, some.clone());
            keys.fill_panel_of_channels::<L, W, S>(of_keys, some.clone());
            turned_keys.fill_panel_of_pixels::<L, W, S>(of_keys, some.clone());
            turned_values.fill_panel_of_pixels::<L, W, S>(of_values, some.clone());
            gradients.fill_rows_of_pixels::<L, W, S>(of_gradients, some.clone());
            turned_gradients.fill_rows_of_channels::<L, W, S>(of_gradients, some);
        }
        let (of_scores, of_panel) = (sizes.scores::<W>().0, panel_length::<W>([sizes.queries(), pixels]));
        let (scores, rest) = scratch.split_at_mut(of_scores);
        let (score_gradients, rest) = rest.split_at_mut(of_scores);
        let (panel, rest) = rest.split_at_mut(of_panel);
        let (gradient_panel, words) = rest.split_at_mut(of_panel);

        let (key_vectors, value_vectors) = sizes.vectors();
        let (head_chunks, pixel_chunks) = (row_chunks::<W>(depth), row_chunks::<W>(pixels));
        let head_words = depth.div_ceil(W::NUMBERS);
        let (scale, mask) = (L::splat(sizes.scale()), L::load(&sizes.mask()));
        for image in 0..LANES {
            for first in (0..pixels).step_by(sizes.queries()) {
                let count = sizes.queries().min(pixels - first);
                let scores = &mut scores[..count * key_vectors];
                let score_gradients = &mut score_gradients[..count * key_vectors];
                let rows = some_words(&queries.of(image)[first * head_chunks..], head_chunks, 0, head_words);
                multiply::<L, W>(rows, count, turned_keys.of(image), key_vectors, scores, true);
                let rows = some_words(&gradients.of(image)[first * head_chunks..], head_chunks, 0, head_words);
                multiply::<L, W>(rows, count, turned_values.of(image), key_vectors, score_gradients, true);
                // These queries are what is summed over for the gradients of values and keys.
                let (first_word, word_count) = (first / W::NUMBERS, count.div_ceil(W::NUMBERS));
                let normalizers = normalizers[image * pixels + first..][..count].chunks(W::NUMBERS);
                let rows = scores.chunks_mut(W::NUMBERS * key_vectors).zip(normalizers);
                let rows = rows.zip(score_gradients.chunks_mut(W::NUMBERS * key_vectors));
                for (k, ((scores, normalizers), gradients)) in rows.enumerate() {
                    let panels = [&mut *panel, &mut *gradient_panel];
                    Rows { scores, gradients, normalizers, scale, mask }.finish::<W>(k, word_count, panels);
                }
                let rows = some_words(turned_gradients.of(image), pixel_chunks, first_word, word_count);
                let sums = value_gradients.of_mut(image);
                multiply::<L, W>(rows, depth, panel, key_vectors, sums, first == 0);
                let rows = some_words(turned_queries.of(image), pixel_chunks, first_word, word_count);
                let sums = key_gradients.of_mut(image);
                multiply::<L, W>(rows, depth, gradient_panel, key_vectors, sums, first == 0);
                let rows = as_words::<L, W>(score_gradients, key_vectors, pixels, words);
                let sums = &mut query_gradients.of_mut(image)[first * value_vectors..];
                multiply::<L, W>(rows, count, keys.of(image), value_vectors, sums, true);
            }
        }
        // SAFETY: no other unit has this head and chunk, and the three parts are apart.
        unsafe {
            query_gradients.put_pixels::<L, S>(of_queries.at, output);
            key_gradients.put_channels::<L, S>(of_keys.at, output);
            value_gradients.put_channels::<L, S>(of_values.at, output);
        }
    }
}

/// The queries of a word: their scores, and the gradients of their probabilities.
struct Rows<'a, L> {
    scores: &'a mut [Chunk],
    gradients: &'a mut [Chunk],
    normalizers: &'a [Normalizer],
    scale: L,
    mask: L,
}

impl<L: Lanes> Rows<'_, L> {
    /// Gradients become those of the scores before scaling; these and the probabilities become word `k` of panels of `depth` words.
    #[inline(always)]
    fn finish<W: Word>(self, k: usize, depth: usize, [panel, gradient_panel]: [&mut [Chunk]; 2]) {
        let Self { scores, gradients, normalizers, scale, mask } = self;
        let (count, vectors) = (normalizers.len(), scores.len() / normalizers.len());
        let mut means = [L::splat(0.0); 2];
        for row in 0..count {
            let scores = &mut scores[row * vectors..][..vectors];
            means[row] = probabilities(scores, &gradients[row * vectors..][..vectors], normalizers[row], scale, mask);
        }
        let mut first = 0;
        while first < vectors {
            let width = panel_columns::<L>(vectors - first);
            let place = panel_place(first, width, depth, k);
            for column in 0..width {
                let (mut probability, mut gradient) = ([L::splat(0.0); 2], [L::splat(0.0); 2]);
                for row in 0..count {
                    let number = row * vectors + first + column;
                    probability[row] = L::load(&scores[number]);
                    gradient[row] = L::load(&gradients[number]).sub(means[row]).mul(probability[row]).mul(scale);
                    gradient[row].store(&mut gradients[number]);
                }
                W::of_lanes(probability[0], probability[1]).store(&mut panel[place + column]);
                W::of_lanes(gradient[0], gradient[1]).store(&mut gradient_panel[place + column]);
            }
            first += width;
        }
    }
}

/// The scores of a query become probabilities. The mean of their gradients by them, in all lanes.
#[inline(always)]
fn probabilities<L: Lanes>(scores: &mut [Chunk], gradients: &[Chunk], normalizer: Normalizer, scale: L, mask: L) -> L {
    let last = scores.len() - 1;
    L::load(&scores[last]).add(mask).store(&mut scores[last]);
    let mut sum = L::splat(0.0);
    for (score, gradient) in scores.iter_mut().zip(gradients) {
        let exp = L::load(score).sub(L::splat(normalizer.largest)).mul(scale).exp();
        let probability = exp.mul(L::splat(normalizer.factor));
        sum = probability.mul_add(L::load(gradient), sum);
        probability.store(score);
    }
    L::splat(sum.sum())
}
