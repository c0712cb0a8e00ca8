use std::mem::MaybeUninit;

use super::lanes::{self, Chunk, Job, LANES, Lanes};
use super::parallel::{WORTH_SHARING, for_each_part};
use super::planes::Planes;
use super::silu::silu_gradient;
use super::sums::add_up;

/// GroupNorm with scale and shift per channel, then the modulation if there is one, then SiLU if `silu`.
#[derive(Clone, Copy, Debug)]
pub struct GroupNorm {
    pub groups: usize,
    pub silu: bool,
    /// Added to the variances.
    pub epsilon: f32,
}

/// The scale and shift of each channel.
#[derive(Clone, Copy)]
pub struct Affine<'a> {
    /// Per channel.
    pub scale: &'a [f32],
    /// Per channel.
    pub shift: &'a [f32],
    /// Per channel and image s and then t, `[2, channels, chunks]`: (scale x + shift) (1 + s) + t.
    pub modulation: Option<&'a [Chunk]>,
}

/// Per group and image the mean, and one over the standard deviation: `[groups, 2, chunks]`.
pub type Statistics = Vec<Chunk>;

/// Gradients with respect to the input, the scales, the shifts and the modulation.
pub struct Gradients {
    pub input: Vec<Chunk>,
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
    /// `[2, channels, chunks]`; empty without a modulation.
    pub modulation: Vec<Chunk>,
}

impl GroupNorm {
    /// The output, and what [`GroupNorm::backward`] needs besides the input.
    pub fn forward(self, input: &Planes, affine: Affine) -> (Vec<Chunk>, Statistics) {
        let Affine { scale, shift, modulation } = affine;
        let (channels, groups) = (input.channels, self.groups);
        assert!(groups > 0 && channels.is_multiple_of(groups), "{groups} groups do not divide {channels} channels");
        assert_eq!((scale.len(), shift.len()), (channels, channels), "a scale and a shift for each channel");
        let length = modulation.map_or(2 * channels * input.chunks, <[Chunk]>::len);
        assert_eq!(length, 2 * channels * input.chunks, "a modulating scale and shift for each channel and image");
        let operations = OPERATIONS * input.values().len();
        let mut statistics = vec![[0.0; LANES]; groups * 2 * input.chunks];
        for_each_part(&mut statistics, 2 * input.chunks, operations, |group, statistics| {
            lanes::run(Moments { input, group, group_channels: channels / groups, epsilon: self.epsilon, statistics });
        });
        let lines = self.lines(input, affine, &statistics);
        let mut output = Box::<[Chunk]>::new_uninit_slice(input.values().len());
        let part_length = part_length(input);
        for_each_part(&mut output, part_length, operations, |part, output| {
            let values = &input.values()[part * part_length..][..output.len()];
            lanes::run(Apply { values, lines: &lines, silu: self.silu, output });
        });
        // SAFETY: a part is a number of whole pixels, and `Apply` writes all of them.
        (unsafe { output.assume_init() }.into_vec(), statistics)
    }

    /// With z = scale (x - mean) / deviation + shift and d the gradient of z, the gradient of x is
    /// (scale d - mean(scale d) - x' mean(scale d x')) / deviation, where x' = (x - mean) / deviation and the means
    /// are over the group (Ioffe and Szegedy 2015, section 3, for a group in place of a batch). A modulation makes the
    /// scale of an image scale (1 + s); with the sums over pixels D of d and P of d x', the gradient of s is
    /// scale P + shift D, that of t is D, and those of scale and shift are the sums over images of (1 + s) P and (1 + s) D.
    pub fn backward(self, input: &Planes, affine: Affine, statistics: &[Chunk], gradient: &Planes) -> Gradients {
        assert_eq!(gradient.values().len(), input.values().len(), "a gradient for each output");
        let lines = self.lines(input, affine, statistics);
        let operations = 2 * OPERATIONS * input.values().len();
        let (part_length, sums_length) = (part_length(input), 2 * input.channels * input.chunks);
        let mut output = Box::<[Chunk]>::new_uninit_slice(input.values().len());
        let mut parts: Vec<_> = output
            .chunks_mut(part_length)
            .map(|output| Part { output, sums: vec![[0.0; LANES]; sums_length] })
            .collect();
        for_each_part(&mut parts, 1, operations, |index, parts| {
            let Part { output, sums } = &mut parts[0];
            let place = index * part_length..index * part_length + output.len();
            let (values, gradient) = (&input.values()[place.clone()], &gradient.values()[place]);
            lanes::run(Undo { values, gradient, lines: &lines, silu: self.silu, output, sums });
        });
        let sums = add_up(parts.into_iter().map(|part| part.sums).collect());
        // SAFETY: a part is a number of whole pixels, and `Undo` writes all of them.
        let mut output = unsafe { output.assume_init() }.into_vec();

        let mut totals = Totals {
            input,
            groups: self.groups,
            affine,
            statistics,
            sums: &sums,
            scale_gradient: vec![0.0; input.channels],
            shift_gradient: vec![0.0; input.channels],
            modulation_gradient: vec![[0.0; LANES]; affine.modulation.map_or(0, <[Chunk]>::len)],
            group_terms: vec![[0.0; LANES]; self.groups * 2 * input.chunks],
        };
        lanes::run(&mut totals);
        let Totals { scale_gradient, shift_gradient, modulation_gradient, group_terms, .. } = totals;
        let terms = self.group_terms(input, &group_terms);
        for_each_part(&mut output, part_length, operations, |index, output| {
            let values = &input.values()[index * part_length..][..output.len()];
            lanes::run(Center { values, lines: &lines, terms: &terms, output });
        });
        Gradients { input: output, scale: scale_gradient, shift: shift_gradient, modulation: modulation_gradient }
    }

    /// Per channel and chunk.
    fn lines(self, input: &Planes, affine: Affine, statistics: &[Chunk]) -> Vec<Line> {
        let Affine { scale, shift, modulation } = affine;
        let group_channels = input.channels / self.groups;
        let mut lines = Vec::with_capacity(input.channels * input.chunks);
        for (channel, (scale, shift)) in scale.iter().zip(shift).enumerate() {
            let statistics = &statistics[channel / group_channels * 2 * input.chunks..][..2 * input.chunks];
            let (means, factors) = statistics.split_at(input.chunks);
            for (&mean, factor) in means.iter().zip(factors) {
                let mut line = Line { slope: *factor, shift: [*shift; LANES], mean };
                line.slope.iter_mut().for_each(|slope| *slope *= scale);
                lines.push(line);
            }
        }
        if let Some(modulation) = modulation {
            let (scales, shifts) = modulation.split_at(lines.len());
            for (line, (scale, shift)) in lines.iter_mut().zip(scales.iter().zip(shifts)) {
                for lane in 0..LANES {
                    line.slope[lane] *= 1.0 + scale[lane];
                    line.shift[lane] = line.shift[lane] * (1.0 + scale[lane]) + shift[lane];
                }
            }
        }
        lines
    }

    /// The two terms of each group, for each of its channels and chunks.
    fn group_terms(self, input: &Planes, group_terms: &[Chunk]) -> Vec<[Chunk; 2]> {
        let group_channels = input.channels / self.groups;
        let mut terms = Vec::with_capacity(input.channels * input.chunks);
        for channel in 0..input.channels {
            let group = &group_terms[channel / group_channels * 2 * input.chunks..][..2 * input.chunks];
            let (factors, constants) = group.split_at(input.chunks);
            terms.extend(factors.iter().zip(constants).map(|(&factor, &constant)| [factor, constant]));
        }
        terms
    }
}

/// About how many operations a number costs.
const OPERATIONS: usize = 30 * LANES;

/// z = slope (x - mean) + shift.
struct Line {
    slope: Chunk,
    shift: Chunk,
    mean: Chunk,
}

struct Part<'a> {
    output: &'a mut [MaybeUninit<Chunk>],
    sums: Vec<Chunk>,
}

/// Chunks of the pixels that are computed together: all pixels where there is little to do, an eighth otherwise. A
/// function of the shape alone, so that sums over parts do not depend on the number of threads.
fn part_length(input: &Planes) -> usize {
    let parts = if OPERATIONS * input.values().len() < WORTH_SHARING { 1 } else { 8 };
    input.pixels().div_ceil(parts).max(1) * input.channels * input.chunks
}

/// Mean and one over the standard deviation of a group, in two passes.
struct Moments<'a> {
    input: &'a Planes,
    group: usize,
    group_channels: usize,
    epsilon: f32,
    /// `[2, chunks]`
    statistics: &'a mut [Chunk],
}

impl Job for Moments<'_> {
    #[inline(always)]
    fn run<L: Lanes>(mut self) {
        let chunks = self.input.chunks;
        let mut chunk = 0;
        while chunk + 4 <= chunks {
            self.of_chunks::<L, 4>(chunk);
            chunk += 4;
        }
        while chunk < chunks {
            self.of_chunks::<L, 1>(chunk);
            chunk += 1;
        }
    }
}

impl Moments<'_> {
    /// Those of V chunks from the one at `first`.
    #[inline(always)]
    fn of_chunks<L: Lanes, const V: usize>(&mut self, first: usize) {
        let count = L::splat(1.0 / (self.group_channels * self.input.pixels()) as f32);
        let mut means = self.sums::<L, V>(first, None);
        for v in 0..V {
            means[v] = means[v].mul(count);
        }
        let squares = self.sums(first, Some(means));
        let (all_means, factors) = self.statistics.split_at_mut(self.input.chunks);
        for v in 0..V {
            means[v].store(&mut all_means[first + v]);
            let deviation = squares[v].mul_add(count, L::splat(self.epsilon)).sqrt();
            L::splat(1.0).div(deviation).store(&mut factors[first + v]);
        }
    }

    /// The sums over the group of V chunks, or of their squared distances from `means`.
    #[inline(always)]
    fn sums<L: Lanes, const V: usize>(&self, first: usize, means: Option<[L; V]>) -> [L; V] {
        let (chunks, channels) = (self.input.chunks, self.input.channels);
        let mut sums = [L::splat(0.0); V];
        for pixel in self.input.values().chunks_exact(channels * chunks) {
            let group = &pixel[self.group * self.group_channels * chunks..][..self.group_channels * chunks];
            for channel in group.chunks_exact(chunks) {
                let values = &channel[first..first + V];
                for v in 0..V {
                    let value = L::load(&values[v]);
                    sums[v] = match means {
                        None => sums[v].add(value),
                        Some(means) => {
                            let centered = value.sub(means[v]);
                            centered.mul_add(centered, sums[v])
                        }
                    };
                }
            }
        }
        sums
    }
}

struct Apply<'a> {
    values: &'a [Chunk],
    lines: &'a [Line],
    silu: bool,
    output: &'a mut [MaybeUninit<Chunk>],
}

impl Job for Apply<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let length = self.lines.len();
        for (output, values) in self.output.chunks_exact_mut(length).zip(self.values.chunks_exact(length)) {
            for ((output, value), line) in output.iter_mut().zip(values).zip(self.lines) {
                let z = line.at(L::load(value));
                (if self.silu { z.mul(z.sigmoid()) } else { z }).write(output);
            }
        }
    }
}

impl Line {
    #[inline(always)]
    fn at<L: Lanes>(&self, value: L) -> L {
        value.sub(L::load(&self.mean)).mul_add(L::load(&self.slope), L::load(&self.shift))
    }
}

/// Output: the gradient of z. Sums over the pixels: of it, and of it times (x - mean); `[2, channels, chunks]`.
struct Undo<'a> {
    values: &'a [Chunk],
    gradient: &'a [Chunk],
    lines: &'a [Line],
    silu: bool,
    output: &'a mut [MaybeUninit<Chunk>],
    sums: &'a mut [Chunk],
}

impl Job for Undo<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let length = self.lines.len();
        let (sums, products) = self.sums.split_at_mut(length);
        let pixels = self.values.chunks_exact(length).zip(self.gradient.chunks_exact(length));
        for (output, (values, gradient)) in self.output.chunks_exact_mut(length).zip(pixels) {
            let inputs = values.iter().zip(gradient).zip(self.lines);
            let outputs = output.iter_mut().zip(sums.iter_mut()).zip(products.iter_mut());
            for (((value, gradient), line), ((output, sum), product)) in inputs.zip(outputs) {
                let value = L::load(value);
                let mut gradient = L::load(gradient);
                if self.silu {
                    gradient = silu_gradient(line.at(value), gradient);
                }
                gradient.write(output);
                L::load(sum).add(gradient).store(sum);
                gradient.mul_add(value.sub(L::load(&line.mean)), L::load(product)).store(product);
            }
        }
    }
}

/// From the sums of [`Undo`]: the gradients of scale, shift and modulation, and per group the factor of (x - mean) and the
/// constant in the gradient of x, `[groups, 2, chunks]`.
struct Totals<'a> {
    input: &'a Planes,
    groups: usize,
    affine: Affine<'a>,
    statistics: &'a [Chunk],
    sums: &'a [Chunk],
    scale_gradient: Vec<f32>,
    shift_gradient: Vec<f32>,
    modulation_gradient: Vec<Chunk>,
    group_terms: Vec<Chunk>,
}

impl Job for &mut Totals<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let chunks = self.input.chunks;
        let group_channels = self.input.channels / self.groups;
        let (sums, products) = self.sums.split_at(self.input.channels * chunks);
        let count = 1.0 / (group_channels * self.input.pixels()) as f32;
        let Affine { scale, shift, modulation } = self.affine;
        let shifts_start = self.input.channels * chunks;
        for group in 0..self.groups {
            for chunk in 0..chunks {
                let place = group * 2 * chunks + chunk;
                let factor = L::load(&self.statistics[place + chunks]);
                let (mut mean_gradient, mut mean_product) = (L::splat(0.0), L::splat(0.0));
                for channel in group * group_channels..(group + 1) * group_channels {
                    let place = channel * chunks + chunk;
                    let mut sum = L::load(&sums[place]);
                    let mut product = L::load(&products[place]).mul(factor);
                    if let Some(modulation) = modulation {
                        sum.store(&mut self.modulation_gradient[shifts_start + place]);
                        product
                            .mul_add(L::splat(scale[channel]), sum.mul(L::splat(shift[channel])))
                            .store(&mut self.modulation_gradient[place]);
                        let growth = L::splat(1.0).add(L::load(&modulation[place]));
                        (sum, product) = (sum.mul(growth), product.mul(growth));
                    }
                    self.shift_gradient[channel] += sum.sum();
                    self.scale_gradient[channel] += product.sum();
                    let weight = L::splat(scale[channel] * count);
                    mean_gradient = sum.mul_add(weight, mean_gradient);
                    mean_product = product.mul_add(weight, mean_product);
                }
                let negative = L::splat(0.0).sub(factor);
                factor.mul(negative).mul(mean_product).store(&mut self.group_terms[place]);
                negative.mul(mean_gradient).store(&mut self.group_terms[place + chunks]);
            }
        }
    }
}

/// Turns the gradient of z in `output` into the gradient of x.
struct Center<'a> {
    values: &'a [Chunk],
    lines: &'a [Line],
    terms: &'a [[Chunk; 2]],
    output: &'a mut [Chunk],
}

impl Job for Center<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let length = self.lines.len();
        for (output, values) in self.output.chunks_exact_mut(length).zip(self.values.chunks_exact(length)) {
            for (((output, value), line), [factor, constant]) in
                output.iter_mut().zip(values).zip(self.lines).zip(self.terms)
            {
                let centered = L::load(value).sub(L::load(&line.mean));
                let rest = centered.mul_add(L::load(factor), L::load(constant));
                L::load(output).mul_add(L::load(&line.slope), rest).store(output);
            }
        }
    }
}
