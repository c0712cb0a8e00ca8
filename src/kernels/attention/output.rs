//! Attention that keeps no probabilities: nothing is differentiated.

use std::marker::PhantomData;

use super::product::multiply;
use super::{Attention, KEYS, QUERIES, Sizes, VALUES, softmax_in_place};
use crate::kernels::Products;
use crate::kernels::lanes::{Chunk, Job, Lanes};
use crate::kernels::panel::{Pair, Single, Word};
use crate::kernels::parallel::{Scattered, for_each_index};
use crate::kernels::planes::Planes;
use crate::kernels::scratch::with_scratch;

/// Queries whose probabilities are there together where nobody keeps them: as many as fit a second-level cache beside a few hundred
/// keys.
const QUERIES_AT_ONCE: usize = 24;

impl Attention {
    /// The output alone, with the bits that [`Attention::forward`] gives, and without room for all probabilities: those of a few
    /// queries are there at a time.
    pub fn output(self, input: &Planes) -> Vec<Chunk> {
        match self.products {
            Products::F32 => self.output_by::<Single>(input),
            Products::Bf16 => self.output_by::<Pair>(input),
        }
    }

    fn output_by<W: Word>(self, input: &Planes) -> Vec<Chunk> {
        let sizes = self.sizes(input);
        let mut output = Box::<[Chunk]>::new_uninit_slice(sizes.pixels * sizes.channels * input.chunks);
        let scattered = Scattered::new(&mut output);
        let scratch_length = 2 * sizes.matrix() + QUERIES_AT_ONCE * (sizes.depth + sizes.pixels) + sizes.words::<W>();
        for_each_index(input.chunks * self.heads, sizes.operations(input.chunks), |unit| {
            with_scratch(scratch_length, |scratch| {
                let (word, output) = (PhantomData::<W>, &scattered);
                W::run(OutputAlone { word, sizes, unit, input, scratch, output });
            });
        });
        // SAFETY: each unit writes all pixels and channels of its head and chunk.
        unsafe { output.assume_init() }.into_vec()
    }
}

struct OutputAlone<'a, W> {
    word: PhantomData<W>,
    sizes: Sizes,
    unit: usize,
    input: &'a Planes,
    /// Keys, values, some queries, their scores, and the words of a product's factors, of any content.
    scratch: &'a mut [Chunk],
    output: &'a Scattered<'a, Chunk>,
}

impl<W: Word> Job for OutputAlone<'_, W> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { sizes, unit, input, scratch, output, .. } = self;
        let Sizes { pixels, depth, .. } = sizes;
        let (of_head, of_scores) = (sizes.of_head(), sizes.scores());
        let (keys, rest) = scratch.split_at_mut(sizes.matrix());
        let (values, rest) = rest.split_at_mut(sizes.matrix());
        let (queries, rest) = rest.split_at_mut(QUERIES_AT_ONCE * depth);
        let (scores, words) = rest.split_at_mut(QUERIES_AT_ONCE * pixels);
        sizes.take::<L>(input, unit, 3, KEYS, keys);
        sizes.take::<L>(input, unit, 3, VALUES, values);
        let scale = L::splat(sizes.scale());
        let mut first = 0;
        while first < pixels {
            let count = QUERIES_AT_ONCE.min(pixels - first);
            let (queries, scores) = (&mut queries[..count * depth], &mut scores[..count * pixels]);
            sizes.take_from::<L>(first, input, unit, 3, QUERIES, queries);
            // Keys are the rows, so that each is loaded once for all of these queries.
            let (of_keys, of_queries) = ((&*keys, of_head), (&*queries, of_head));
            multiply::<L, W>(scores, of_scores.turned(), of_keys, of_queries, [pixels, count, depth], words);
            for row in scores.chunks_exact_mut(pixels) {
                softmax_in_place(row, scale);
            }
            let of_values = (&*values, of_head.turned());
            multiply::<L, W>(queries, of_head, (&*scores, of_scores), of_values, [count, depth, pixels], words);
            sizes.put_from::<L>(first, queries, output, unit, 1, 0);
            first += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::lanes::LANES;
    use crate::kernels::lanes::tests::on_all_lanes;
    use crate::kernels::planes::planes_tensor;
    use crate::random::{Draws, Stream};

    #[test]
    fn the_output_alone_has_the_bits_of_the_output_with_its_probabilities() {
        // Small enough for one thread: others have the lanes of this processor.
        for (heads, [width, depth, chunks]) in [(1, [5, 3, 1]), (2, [25, 2, 2]), (1, [49, 3, 1])] {
            let channels = 3 * heads * depth;
            let mut numbers = vec![0.0; width * channels * chunks * LANES];
            Draws::new(7, Stream::Noise, 0).fill_normal(&mut numbers);
            let values = numbers.as_chunks::<LANES>().0.to_vec();
            let input = Planes::new(&planes_tensor(values, 1, width, channels));
            for products in [Products::F32, Products::Bf16] {
                let attention = Attention { heads, products };
                on_all_lanes(|kind| {
                    let same = attention.forward(&input).0 == attention.output(&input);
                    assert!(same, "{heads} heads, {width} pixels, {products:?}, {kind:?}");
                });
            }
        }
    }
}
