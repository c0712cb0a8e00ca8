//! Attention, image by image: scores of some queries at a time, so that memory grows with the tokens and not with their square.

mod backward;
mod forward;
mod matrices;

use self::matrices::{Head, Places, row_chunks};
use super::Products;
use super::lanes::{Chunk, LANES};
use super::panel::{Pair, ROWS, Single, Word};
use super::planes::{Planes, Storage};

/// softmax(q k^T / sqrt(head channels)) v between the pixels of each image (Vaswani et al. 2017, eq. 1). The input
/// has 3 * channels: queries, keys, values, and within each the heads one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    pub heads: usize,
    pub products: Products,
}

/// What gives the probabilities again, `[head, chunk, image, query]`.
pub type Normalizers = Vec<Normalizer>;

/// The probability of a score is `exp(scale * (score - largest)) * factor`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Normalizer {
    largest: f32,
    factor: f32,
}

impl Attention {
    /// The output `[pixels, channels, chunks]`, stored as the input, and what [`Attention::backward`] needs besides the input.
    pub fn forward(self, input: &Planes) -> (Vec<Chunk>, Normalizers) {
        let sizes = self.sizes(input);
        match (self.products, input.storage) {
            (Products::F32, Storage::F32) => forward::forward::<Single, Single>(sizes, input),
            (Products::Bf16, Storage::F32) => forward::forward::<Pair, Single>(sizes, input),
            (Products::Bf16, Storage::Bf16) => forward::forward::<Pair, Pair>(sizes, input),
            (Products::F32, Storage::Bf16) => panic!("products of f32 are not of planes of bf16"),
        }
    }

    /// The gradient with respect to the input. Probabilities are computed again (Dao et al. 2022, arXiv 2205.14135, section 3.1).
    pub fn backward(self, input: &Planes, normalizers: &[Normalizer], gradient: &Planes) -> Vec<Chunk> {
        let sizes = self.sizes(input);
        assert_eq!(input.storage, gradient.storage, "a gradient is stored as its output");
        match (self.products, input.storage) {
            (Products::F32, Storage::F32) => backward::backward::<Single, Single>(sizes, input, normalizers, gradient),
            (Products::Bf16, Storage::F32) => backward::backward::<Pair, Single>(sizes, input, normalizers, gradient),
            (Products::Bf16, Storage::Bf16) => backward::backward::<Pair, Pair>(sizes, input, normalizers, gradient),
            (Products::F32, Storage::Bf16) => panic!("products of f32 are not of planes of bf16"),
        }
    }

    fn sizes(self, input: &Planes) -> Sizes {
        let (heads, channels) = (self.heads, input.channels / 3);
        assert_eq!(input.channels, 3 * channels, "queries, keys and values");
        assert!(heads > 0 && channels.is_multiple_of(heads), "{heads} heads do not divide {channels} channels");
        let depth = channels / heads;
        assert!(depth.is_multiple_of(input.storage.numbers()), "heads of {depth} channels are whole words");
        Sizes { pixels: input.pixels(), channels, depth, heads, chunks: input.chunks }
    }
}

/// Every head of every chunk is a unit of its own. Chunks are innermost: what the processor fetches ahead for one, it uses for the next.
#[derive(Clone, Copy)]
struct Sizes {
    pixels: usize,
    channels: usize,
    /// Channels of a head.
    depth: usize,
    heads: usize,
    chunks: usize,
}

/// Pixels that are taken from planes together: whole chunks of words, so that memory is read once for all matrices of them.
const PIXELS: usize = 2 * LANES;

/// Which of the input's three parts.
const QUERIES: usize = 0;
const KEYS: usize = 1;
const VALUES: usize = 2;

/// Scores of one image that are there together: a quarter of a second-level cache of 1 MiB.
const SCORES: usize = 64 * 1024;

impl Sizes {
    fn operations(self) -> usize {
        4 * self.pixels * self.pixels * self.channels * self.chunks * LANES
    }

    fn units(self) -> usize {
        self.heads * self.chunks
    }

    fn scale(self) -> f32 {
        1.0 / (self.depth as f32).sqrt()
    }

    /// `[rows, columns]` of the matrix of a head, and of that transposed.
    fn shapes(self) -> [[usize; 2]; 2] {
        [[self.pixels, self.depth], [self.depth, self.pixels]]
    }

    /// Vectors of all keys, and of the channels of a head.
    fn vectors(self) -> (usize, usize) {
        (self.pixels.div_ceil(LANES), self.depth.div_ceil(LANES))
    }

    /// Queries whose scores are there together, in pairs: whole tiles of rows, some for a panel to be loaded for, and few enough for
    /// the matrices of an image to be near, too.
    fn queries(self) -> usize {
        const TILES: usize = 2 * ROWS;
        (SCORES / self.pixels / TILES * TILES).clamp(2 * TILES, 8 * TILES).min(self.pixels)
    }

    /// Chunks of the scores of these, and of their words where they are not numbers.
    fn scores<W: Word>(self) -> (usize, usize) {
        let words = if W::NUMBERS == 1 { 0 } else { row_chunks::<W>(self.pixels) };
        (self.queries() * self.vectors().0, self.queries() * words)
    }

    /// Where a unit is among planes of `parts` times the channels, stored as S.
    #[inline(always)]
    fn places<S: Word>(self, unit: usize, parts: usize, part: usize) -> Places {
        let (chunk, head) = (unit % self.chunks, unit / self.chunks);
        Places {
            start: (part * self.channels + head * self.depth) / S::NUMBERS * self.chunks + chunk,
            pixels: self.pixels,
            channels: self.depth,
            pixel_step: parts * self.channels / S::NUMBERS * self.chunks,
            word_step: self.chunks,
        }
    }

    /// Queries, keys and values of a unit.
    #[inline(always)]
    fn heads<S: Word>(self, input: &Planes, unit: usize) -> [Head<'_>; 3] {
        let values = input.values();
        [
            Head { values, at: self.places::<S>(unit, 3, QUERIES) },
            Head { values, at: self.places::<S>(unit, 3, KEYS) },
            Head { values, at: self.places::<S>(unit, 3, VALUES) },
        ]
    }

    /// Added to the last scores of a query: nothing where there is a key, else what leaves no probability.
    fn mask(self) -> Chunk {
        let last = (self.pixels - 1) % LANES;
        std::array::from_fn(|lane| if lane <= last { 0.0 } else { f32::MIN / 2.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::lanes::tests::on_all_lanes;
    use crate::kernels::planes::planes_tensor;
    use crate::random::{Draws, Stream};

    /// Softmax of scores in f64, against which neither lanes nor blocks of queries show.
    #[test]
    fn many_queries_of_large_scores_agree_with_f64() {
        for (heads, pixels, depth) in [(1, 200, 20), (2, 131, 3), (1, 17, 40), (1, 1, 5)] {
            let channels = heads * depth;
            let mut numbers = vec![0.0; pixels * 3 * channels * LANES];
            Draws::new(7, Stream::Noise, 0).fill_normal(&mut numbers);
            numbers.iter_mut().for_each(|number| *number *= 4.0);
            let values = numbers.as_chunks::<LANES>().0.to_vec();
            let input = Planes::new(&planes_tensor(values.clone(), 1, pixels, 3 * channels));
            let number = |part: usize, pixel: usize, channel: usize, image: usize| {
                f64::from(values[(pixel * 3 + part) * channels + channel][image])
            };
            on_all_lanes(|kind| {
                let output = Attention { heads, products: Products::F32 }.forward(&input).0;
                for (head, query, image) in [(0, 0, 0), (heads - 1, pixels - 1, 15), (0, pixels / 2, 7)] {
                    let channels_of_head = || head * depth..(head + 1) * depth;
                    let scores: Vec<f64> = (0..pixels)
                        .map(|key| {
                            let products = channels_of_head()
                                .map(|c| number(QUERIES, query, c, image) * number(KEYS, key, c, image));
                            products.sum::<f64>() / (depth as f64).sqrt()
                        })
                        .collect();
                    let largest = scores.iter().fold(f64::MIN, |a, &b| a.max(b));
                    let shares: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
                    let whole: f64 = shares.iter().sum();
                    for channel in channels_of_head() {
                        let expected: f64 =
                            (0..pixels).map(|key| shares[key] / whole * number(VALUES, key, channel, image)).sum();
                        let found = f64::from(output[query * channels + channel][image]);
                        assert!(
                            (found - expected).abs() < 2e-5 * expected.abs().max(1.0),
                            "{kind:?}: {found} for {expected}"
                        );
                    }
                }
            });
        }
    }
}
