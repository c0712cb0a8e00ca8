//! Every random draw: a counter-based generator on the host, so that a draw is a function of (seed, stream, step).
//!
//! Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). There is no state to save: a
//! resumed run draws what an uninterrupted one would have drawn, and arms that share a seed share their draws.

use rayon::prelude::*;

/// The purpose of a draw. Each stream is independent of the others; the numbers are part of the record format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stream {
    /// Initial weights; `step` is the index of the parameter.
    Weights = 1,
    /// The shuffled order of the training images; `step` is the epoch.
    BatchOrder = 2,
    /// The noise added to the images of a step.
    Noise = 3,
    /// The uniforms that timesteps are drawn from by inverse CDF.
    Timesteps = 4,
    /// Horizontal flips.
    Flips = 5,
    /// Dropout masks.
    Dropout = 6,
    /// Which patches of a step's images are left in blocks that others go around, or that are not shown others.
    Patches = 9,
    /// The size of a step's crops.
    CropSize = 72,
    /// Where the crops of a step lie in their images: the row, then the column, of each.
    CropPlaces = 73,
    /// Which images of a step are trained on without their class.
    ClassDropout = 20,
    /// The noise that evaluation starts from; `step` is the index of the image.
    EvaluationNoise = 7,
    /// Noise and timesteps of the validation loss; `step` is the index of the image.
    Validation = 8,
    /// Directions in which the loss landscape is looked at; `step` is the index of the direction.
    Landscape = 24,
    /// The noise that some ODE samplers add on the way; `step` is the index of the image times 2^20 plus that of the step.
    GenerationNoise = 16,
    /// Which images are compared in a subset of a KID; `step` is twice the subset's index, plus one for the reference.
    KidSubsets = 40,
    /// Which generated images make a point of an FID-infinity; `step` is the point's index.
    FidSubsets = 41,
    /// The latent of an image of a batch, out of its posterior; `step` is the step times 2^20 plus the image's place.
    Posterior = 56,
    /// The latent of an image everywhere else; `step` is the index of the image.
    FixedPosterior = 57,
    /// Made-up studies without any effect; `step` is the number of the study.
    Looks = 48,
}

/// The draws of one (seed, stream, step), in order.
#[derive(Clone)]
pub struct Draws {
    key: [u32; 2],
    /// (block, stream, low and high half of step).
    counter: [u32; 4],
    block: [u32; 4],
    /// Words of `block` already used.
    used: usize,
}

impl Draws {
    pub fn new(seed: u64, stream: Stream, step: u64) -> Self {
        Self {
            key: [seed as u32, (seed >> 32) as u32],
            counter: [0, stream as u32, step as u32, (step >> 32) as u32],
            block: [0; 4],
            used: 4,
        }
    }

    /// 32 uniform bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            self.block = philox4x32_10(self.counter, self.key);
            self.counter[0] = self.counter[0].checked_add(1).expect("no step draws 2^34 numbers");
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    /// Passes over the next `count` numbers of [`Draws::next_u32`], without making them.
    pub fn skip(&mut self, count: usize) {
        let left = 4 - self.used;
        if count <= left {
            self.used += count;
            return;
        }
        let blocks = u32::try_from((count - left) / 4).ok().and_then(|blocks| self.counter[0].checked_add(blocks));
        self.counter[0] = blocks.expect("no step draws 2^34 numbers");
        self.used = 4;
        for _ in 0..(count - left) % 4 {
            self.next_u32();
        }
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        let high = u64::from(self.next_u32()) << 32;
        ((high | u64::from(self.next_u32())) >> 11) as f64 * (-53f64).exp2()
    }

    /// Uniform among 0..bound, without bias (Lemire 2019, by rejection).
    pub fn below(&mut self, bound: u32) -> u32 {
        assert!(bound > 0, "there is nothing below 0");
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u64::from(self.next_u32()) * u64::from(bound);
            if product as u32 >= threshold {
                return (product >> 32) as u32;
            }
        }
    }

    /// Fills `values` with standard normals (Box-Muller, in f64 and rounded once).
    pub fn fill_normal(&mut self, values: &mut [f32]) {
        self.fill_by(values, 2, Self::fill_few_normals);
        if !values.len().is_multiple_of(2) {
            self.skip(2);
        }
    }

    /// Makes each of `values` of the next number of [`Self::next_u32`].
    pub fn fill_of_words(&mut self, values: &mut [f32], value_of: impl Fn(u32) -> f32 + Sync) {
        self.fill_by(values, 1, |draws, values| {
            values.iter_mut().for_each(|value| *value = value_of(draws.next_u32()))
        });
    }

    /// Fills `values` by `fill`, which takes `words` numbers for each of an even count of them; by all threads where they are many.
    fn fill_by(&mut self, values: &mut [f32], words: usize, fill: impl Fn(&mut Self, &mut [f32]) + Sync) {
        /// An even number.
        const PIECE: usize = 1 << 13;
        if values.len() <= PIECE {
            let mut draws = self.clone();
            fill(&mut draws, values);
            return self.skip(words * values.len());
        }
        values.par_chunks_mut(PIECE).enumerate().for_each(|(index, piece)| {
            let mut draws = self.clone();
            draws.skip(index * words * PIECE);
            fill(&mut draws, piece);
        });
        self.skip(words * values.len());
    }

    fn fill_few_normals(&mut self, values: &mut [f32]) {
        for pair in values.chunks_mut(2) {
            // 1 - u is in (0, 1], so its logarithm is finite.
            let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
            let angle = std::f64::consts::TAU * self.uniform();
            pair[0] = (radius * angle.cos()) as f32;
            if let Some(second) = pair.get_mut(1) {
                *second = (radius * angle.sin()) as f32;
            }
        }
    }

    /// `size` different numbers below `count`, every choice and order equally likely (Fisher-Yates, as far as it is needed).
    pub fn subset(&mut self, count: usize, size: usize) -> Vec<u32> {
        assert!(size <= count, "{count} cannot give {size}");
        let mut numbers: Vec<u32> = (0..u32::try_from(count).expect("fewer than 2^32 images")).collect();
        for place in 0..size {
            let other = place + self.below((count - place) as u32) as usize;
            numbers.swap(place, other);
        }
        numbers.truncate(size);
        numbers
    }

    /// For each of `sets` sets of `count` numbers the `size` smallest of as many random words, by their places in increasing order: every
    /// choice is equally likely. `[sets, size]`.
    pub fn subsets(&mut self, sets: usize, count: usize, size: usize) -> Vec<u32> {
        assert!(size <= count, "{count} cannot give {size}");
        let mut chosen = Vec::with_capacity(sets * size);
        for _ in 0..sets {
            let mut words: Vec<(u32, u32)> = (0..count as u32).map(|place| (self.next_u32(), place)).collect();
            words.sort_unstable();
            let start = chosen.len();
            chosen.extend(words[..size].iter().map(|&(_, place)| place));
            chosen[start..].sort_unstable();
        }
        chosen
    }

    /// A uniformly random order of 0..count (Fisher-Yates).
    pub fn permutation(&mut self, count: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..u32::try_from(count).expect("fewer than 2^32 images")).collect();
        for last in (1..order.len()).rev() {
            let other = self.below(last as u32 + 1) as usize;
            order.swap(last, other);
        }
        order
    }
}

/// What Philox4x32 multiplies two words of a counter by, and what it adds to the key after a round: for whoever makes the same words elsewhere.
pub const PHILOX_MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
pub const PHILOX_KEY_STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

fn philox4x32_10(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(PHILOX_KEY_STEPS[0]), key[1].wrapping_add(PHILOX_KEY_STEPS[1])];
        }
        let first = u64::from(counter[0]) * u64::from(PHILOX_MULTIPLIERS[0]);
        let second = u64::from(counter[2]) * u64::from(PHILOX_MULTIPLIERS[1]);
        counter = [
            (second >> 32) as u32 ^ counter[1] ^ key[0],
            second as u32,
            (first >> 32) as u32 ^ counter[3] ^ key[1],
            first as u32,
        ];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that come with the authors' Random123 1.14 (kat_vectors, philox4x32 10).
    #[test]
    fn philox_gives_the_published_known_answers() {
        assert_eq!(philox4x32_10([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox4x32_10([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox4x32_10([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn draws_are_a_function_of_seed_stream_and_step() {
        let draw = |seed, stream, step| Draws::new(seed, stream, step).next_u32();
        assert_eq!(draw(1, Stream::Noise, 7), draw(1, Stream::Noise, 7));
        assert_ne!(draw(1, Stream::Noise, 7), draw(2, Stream::Noise, 7));
        assert_ne!(draw(1, Stream::Noise, 7), draw(1, Stream::Flips, 7));
        assert_ne!(draw(1, Stream::Noise, 7), draw(1, Stream::Noise, 7 + (1 << 32)));
    }

    #[test]
    fn skipping_numbers_is_drawing_them_for_nothing() {
        for before in 0..6 {
            for count in 0..14 {
                let draws = || Draws::new(1, Stream::Dropout, 7);
                let (mut drawn, mut skipped) = (draws(), draws());
                for _ in 0..before + count {
                    drawn.next_u32();
                }
                for _ in 0..before {
                    skipped.next_u32();
                }
                skipped.skip(count);
                for place in 0..6 {
                    assert_eq!(drawn.next_u32(), skipped.next_u32(), "{before} before, {count} skipped, {place} after");
                }
            }
        }
    }

    #[test]
    fn many_normals_are_those_that_are_drawn_one_after_the_other() {
        for (before, count) in [(0, 8193), (3, 20_001), (4, 16_384), (1, 5)] {
            let draws = || {
                let mut draws = Draws::new(5, Stream::Noise, 9);
                draws.skip(before);
                draws
            };
            let (mut few, mut many) = (draws(), draws());
            let [mut expected, mut found] = [vec![0f32; count], vec![0f32; count]];
            few.fill_few_normals(&mut expected);
            many.fill_normal(&mut found);
            assert_eq!(expected, found);
            assert_eq!(few.next_u32(), many.next_u32(), "what is drawn next");
        }
    }

    #[test]
    fn values_of_many_words_are_those_of_words_drawn_one_after_the_other() {
        let (mut one, mut all) = (Draws::new(5, Stream::Dropout, 2), Draws::new(5, Stream::Dropout, 2));
        one.skip(7);
        all.skip(7);
        let mut values = vec![0f32; 20_003];
        all.fill_of_words(&mut values, |word| (word >> 8) as f32);
        assert!(values.iter().all(|&value| value == (one.next_u32() >> 8) as f32));
        assert_eq!(one.next_u32(), all.next_u32(), "what is drawn next");
    }

    #[test]
    fn normals_have_the_moments_of_a_standard_normal() {
        let mut values = vec![0f32; 1_000_001];
        Draws::new(3, Stream::Noise, 0).fill_normal(&mut values);
        let count = values.len() as f64;
        let moment = |power: i32| values.iter().map(|&value| f64::from(value).powi(power)).sum::<f64>() / count;
        // Five standard errors: sqrt(1/n), sqrt(2/n), sqrt(15/n), sqrt(96/n).
        for (power, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
            assert!(
                (moment(power) - expected).abs() < 5.0 * (variance / count).sqrt(),
                "moment {power}: {}",
                moment(power)
            );
        }
    }

    #[test]
    fn a_subset_holds_each_number_at_most_once_and_all_of_them_equally_often() {
        let mut drawn = [0u32; 10];
        for step in 0..5000 {
            let mut subset = Draws::new(0, Stream::KidSubsets, step).subset(10, 3);
            subset.iter().for_each(|&number| drawn[number as usize] += 1);
            subset.sort_unstable();
            subset.dedup();
            assert_eq!(subset.len(), 3);
        }
        // 1500 each, within five standard deviations of a binomial.
        assert!(drawn.iter().all(|count| count.abs_diff(1500) < 163), "{drawn:?}");
        assert!(Draws::new(0, Stream::KidSubsets, 0).subset(4, 0).is_empty());
    }

    #[test]
    fn subsets_are_in_order_and_hold_every_number_equally_often() {
        let chosen = Draws::new(0, Stream::Patches, 3).subsets(5000, 10, 3);
        assert!(chosen.chunks_exact(3).all(|subset| subset.is_sorted_by(|one, next| one < next)));
        let drawn: Vec<usize> = (0..10).map(|number| chosen.iter().filter(|&&found| found == number).count()).collect();
        // 1500 each, within five standard deviations of a binomial.
        assert!(drawn.iter().all(|count| count.abs_diff(1500) < 163), "{drawn:?}");
        assert_ne!(chosen[..3], chosen[3..6]);
        // The first sets are the same, however many there are.
        assert_eq!(Draws::new(0, Stream::Patches, 3).subsets(7, 10, 3), chosen[..21]);
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = Draws::new(0, Stream::BatchOrder, 4).permutation(1000);
        assert_ne!(order[..4], [0, 1, 2, 3]);
        order.sort_unstable();
        assert!(order.iter().enumerate().all(|(index, &value)| index == value as usize));
    }
}
