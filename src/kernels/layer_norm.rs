use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::lanes::{Chunk, Job, LANES, Lanes};
use super::panel::{Pair, Single, Word};
use super::parallel::{WORTH_SHARING, for_each_part};
use super::planes::{Planes, Storage};
use super::sums::add_up;

/// LayerNorm over the channels of each pixel (Ba et al. 2016, arXiv 1607.06450, equation 4), then a slope and a shift per
/// channel and image.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm {
    /// Added to the variance before the root.
    pub epsilon: f32,
    /// Of the output; the input is f32.
    pub storage: Storage,
}

/// Per pixel and image the mean, and one over the standard deviation: `[pixels, 2, chunks]`.
pub type Statistics = Vec<Chunk>;

/// Gradients with respect to the input, and to slopes and shifts (`[channels, chunks]`).
pub struct Gradients {
    pub input: Vec<Chunk>,
    pub slopes: Vec<Chunk>,
    pub shifts: Vec<Chunk>,
}

impl LayerNorm {
    /// `slopes` and `shifts` are `[channels, chunks]`. The output, and what [`LayerNorm::backward`] needs besides the
    /// input.
    pub fn forward(self, input: &Planes, slopes: &[Chunk], shifts: &[Chunk]) -> (Vec<Chunk>, Statistics) {
        match self.storage {
            Storage::F32 => self.forward_as::<Single>(input, slopes, shifts),
            Storage::Bf16 => self.forward_as::<Pair>(input, slopes, shifts),
        }
    }

    fn forward_as<O: Word>(self, input: &Planes, slopes: &[Chunk], shifts: &[Chunk]) -> (Vec<Chunk>, Statistics) {
        let pixel_length = input.channels * input.chunks;
        assert_eq!((slopes.len(), shifts.len()), (pixel_length, pixel_length), "slopes and shifts of each image");
        let mut output = Box::<[Chunk]>::new_uninit_slice(input.values().len() / O::NUMBERS);
        let mut statistics = vec![[0.0; LANES]; input.pixels() * 2 * input.chunks];
        let pixels = part_pixels(input);
        let mut parts: Vec<_> = output
            .chunks_mut(pixels * pixel_length / O::NUMBERS)
            .zip(statistics.chunks_mut(pixels * 2 * input.chunks))
            .map(|(output, statistics)| ForwardPart { output, statistics })
            .collect();
        for_each_part(&mut parts, 1, OPERATIONS * input.values().len(), |index, parts| {
            let ForwardPart { output, statistics } = &mut parts[0];
            let values = &input.values()[index * pixels * pixel_length..][..output.len() * O::NUMBERS];
            let (stored, sizes) = (PhantomData::<O>, (input.channels, input.chunks));
            O::run(Forward { stored, sizes, epsilon: self.epsilon, values, slopes, shifts, output, statistics });
        });
        drop(parts);
        // SAFETY: the parts are all pixels, and `Forward` writes every channel and chunk of each.
        (unsafe { output.assume_init() }.into_vec(), statistics)
    }

    /// The gradients. With x' = (x - mean) / deviation, z = slope x' + shift and d the gradient of z, the gradient of x
    /// is (slope d - mean(slope d) - x' mean(slope d x')) / deviation, the means over the channels.
    pub fn backward(self, input: &Planes, slopes: &[Chunk], statistics: &[Chunk], gradient: &Planes) -> Gradients {
        match gradient.storage {
            Storage::F32 => self.backward_as::<Single>(input, slopes, statistics, gradient),
            Storage::Bf16 => self.backward_as::<Pair>(input, slopes, statistics, gradient),
        }
    }

    fn backward_as<G: Word>(
        self,
        input: &Planes,
        slopes: &[Chunk],
        statistics: &[Chunk],
        gradient: &Planes,
    ) -> Gradients {
        assert_eq!(gradient.values().len() * G::NUMBERS, input.values().len(), "a gradient for each output");
        let pixel_length = input.channels * input.chunks;
        let pixels = part_pixels(input);
        let mut output = Box::<[Chunk]>::new_uninit_slice(input.values().len());
        let mut parts: Vec<_> = output
            .chunks_mut(pixels * pixel_length)
            .map(|output| BackwardPart { output, sums: vec![[0.0; LANES]; 2 * pixel_length] })
            .collect();
        for_each_part(&mut parts, 1, 2 * OPERATIONS * input.values().len(), |index, parts| {
            let BackwardPart { output, sums } = &mut parts[0];
            let place = index * pixels * pixel_length..index * pixels * pixel_length + output.len();
            G::run(Backward {
                stored: PhantomData::<G>,
                sizes: (input.channels, input.chunks),
                values: &input.values()[place.clone()],
                gradient: &gradient.values()[place.start / G::NUMBERS..place.end / G::NUMBERS],
                slopes,
                statistics: &statistics[index * pixels * 2 * input.chunks..],
                output,
                sums,
            });
        });
        let part_sums: Vec<_> = parts.into_iter().map(|part| part.sums).collect();
        let mut slope_gradients = add_up(part_sums);
        let shift_gradients = slope_gradients.split_off(pixel_length);
        // SAFETY: the parts are all pixels, and `Backward` writes every channel and chunk of each.
        let input = unsafe { output.assume_init() }.into_vec();
        Gradients { input, slopes: slope_gradients, shifts: shift_gradients }
    }
}

/// About how many operations a number costs.
const OPERATIONS: usize = 12 * LANES;

/// Pixels that are computed together: all where there is little to do, an eighth otherwise. A function of the shape
/// alone, so that sums over parts do not depend on the number of threads.
pub fn part_pixels(input: &Planes) -> usize {
    let parts = if OPERATIONS * input.values().len() < WORTH_SHARING { 1 } else { 8 };
    input.pixels().div_ceil(parts).max(1)
}

struct ForwardPart<'a> {
    output: &'a mut [MaybeUninit<Chunk>],
    statistics: &'a mut [Chunk],
}

struct BackwardPart<'a> {
    output: &'a mut [MaybeUninit<Chunk>],
    /// Sums over the pixels of the gradients of slopes and shifts, `[2, channels, chunks]`.
    sums: Vec<Chunk>,
}

struct Forward<'a, O> {
    stored: PhantomData<O>,
    /// (channels, chunks)
    sizes: (usize, usize),
    epsilon: f32,
    values: &'a [Chunk],
    slopes: &'a [Chunk],
    shifts: &'a [Chunk],
    output: &'a mut [MaybeUninit<Chunk>],
    statistics: &'a mut [Chunk],
}

impl<O: Word> Job for Forward<'_, O> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let (channels, chunks) = self.sizes;
        let pixel_length = channels * chunks;
        let count = L::splat(1.0 / channels as f32);
        let outputs = self.output.chunks_exact_mut(pixel_length / O::NUMBERS);
        let pixels = self.values.chunks_exact(pixel_length).zip(outputs);
        for ((values, output), statistics) in pixels.zip(self.statistics.chunks_exact_mut(2 * chunks)) {
            // One chunk at a time: its channels stay in the first-level cache for all three passes.
            for chunk in 0..chunks {
                let mut sum = L::splat(0.0);
                for channel in 0..channels {
                    sum = sum.add(L::load(&values[channel * chunks + chunk]));
                }
                let mean = sum.mul(count);
                let mut squares = L::splat(0.0);
                for channel in 0..channels {
                    let centered = L::load(&values[channel * chunks + chunk]).sub(mean);
                    squares = centered.mul_add(centered, squares);
                }
                let variance = squares.mul(count);
                let factor = L::splat(1.0).div(variance.add(L::splat(self.epsilon)).sqrt());
                mean.store(&mut statistics[chunk]);
                factor.store(&mut statistics[chunks + chunk]);
                for word in 0..channels / O::NUMBERS {
                    let mut both = [L::splat(0.0); 2];
                    for number in 0..O::NUMBERS {
                        let place = (word * O::NUMBERS + number) * chunks + chunk;
                        let normalized = L::load(&values[place]).sub(mean).mul(factor);
                        let (slope, shift) = (L::load(&self.slopes[place]), L::load(&self.shifts[place]));
                        both[number] = normalized.mul_add(slope, shift);
                    }
                    O::of_lanes(both[0], both[1]).write(&mut output[word * chunks + chunk]);
                }
            }
        }
    }
}

struct Backward<'a, G> {
    stored: PhantomData<G>,
    /// (channels, chunks)
    sizes: (usize, usize),
    values: &'a [Chunk],
    gradient: &'a [Chunk],
    slopes: &'a [Chunk],
    statistics: &'a [Chunk],
    output: &'a mut [MaybeUninit<Chunk>],
    sums: &'a mut [Chunk],
}

impl<G: Word> Job for Backward<'_, G> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let (channels, chunks) = self.sizes;
        let pixel_length = channels * chunks;
        let count = L::splat(1.0 / channels as f32);
        let (slope_sums, shift_sums) = self.sums.split_at_mut(pixel_length);
        let gradients = self.gradient.chunks_exact(pixel_length / G::NUMBERS);
        let inputs = self.values.chunks_exact(pixel_length).zip(gradients);
        let outputs = self.output.chunks_exact_mut(pixel_length).zip(self.statistics.chunks_exact(2 * chunks));
        for ((values, gradient), (output, statistics)) in inputs.zip(outputs) {
            for chunk in 0..chunks {
                let (mean, factor) = (L::load(&statistics[chunk]), L::load(&statistics[chunks + chunk]));
                let (mut sum, mut product) = (L::splat(0.0), L::splat(0.0));
                for word in 0..channels / G::NUMBERS {
                    let both = G::to_lanes(L::load(&gradient[word * chunks + chunk]));
                    for number in 0..G::NUMBERS {
                        let place = (word * G::NUMBERS + number) * chunks + chunk;
                        let normalized = L::load(&values[place]).sub(mean).mul(factor);
                        let gradient = both[number];
                        let sloped = gradient.mul(L::load(&self.slopes[place]));
                        sum = sum.add(sloped);
                        product = sloped.mul_add(normalized, product);
                        gradient.mul_add(normalized, L::load(&slope_sums[place])).store(&mut slope_sums[place]);
                        L::load(&shift_sums[place]).add(gradient).store(&mut shift_sums[place]);
                    }
                }
                let (mean_sum, mean_product) = (sum.mul(count), product.mul(count));
                for word in 0..channels / G::NUMBERS {
                    let both = G::to_lanes(L::load(&gradient[word * chunks + chunk]));
                    for number in 0..G::NUMBERS {
                        let place = (word * G::NUMBERS + number) * chunks + chunk;
                        let normalized = L::load(&values[place]).sub(mean).mul(factor);
                        let sloped = both[number].mul(L::load(&self.slopes[place]));
                        let rest = sloped.sub(mean_sum).sub(normalized.mul(mean_product));
                        rest.mul(factor).write(&mut output[place]);
                    }
                }
            }
        }
    }
}
