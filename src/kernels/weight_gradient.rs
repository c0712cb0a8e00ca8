use super::Convolution;
use super::convolution::even_blocks;
use super::lanes::{self, Chunk, Job, LANES, Lanes, unchecked};
use super::parallel::{WORTH_SHARING, for_each_part};
use super::planes::Planes;
use super::sums::add_parts;
use super::taps::{Segment, Taps};

/// `d weight[output, input, position] = sum over pixels and images of gradient[output] * input[input]`, flat as
/// [`Convolution`] says.
///
/// The pixels are taken in the segments of [`Taps`], a few images at a time. What a segment needs is packed side by
/// side first, so that all taps of a pair of channels find it in the first-level cache. Parts of the pixels are summed
/// apart and then added in order; how many there are depends on the shapes alone.
pub fn compute(shape: Convolution, taps: &Taps, input: &Planes, gradient: &Planes) -> Vec<f32> {
    let (outputs, inputs) = (shape.outputs, shape.inputs);
    assert_eq!((gradient.channels, gradient.chunks), (outputs, input.chunks), "gradient of {shape:?}");
    assert_eq!((gradient.height, gradient.width), (taps.output_height, taps.output_width), "gradient of {shape:?}");
    let groups: Vec<_> = even_blocks(input.chunks, CHUNKS).collect();
    let units = taps.segments.len() * groups.len();
    let pair_count: usize = taps.segments.iter().map(Segment::pair_count).sum();
    let operations = 2 * pair_count * outputs * inputs * input.chunks * LANES;
    let part_count = if operations < WORTH_SHARING { 1 } else { PARTS };
    let output_blocks: Vec<_> = even_blocks(outputs, OUTPUTS).collect();
    let input_blocks: Vec<_> = even_blocks(inputs, INPUTS).collect();
    let part_units: Vec<_> = even_blocks(units, units.div_ceil(part_count)).collect();
    // [part, tap, output, input]
    let part_length = taps.positions.len() * outputs * inputs;
    let mut sums = vec![0.0; part_units.len() * part_length];
    for_each_part(&mut sums, part_length, operations, |part, sums| {
        let (first_unit, units) = part_units[part];
        lanes::run(Units {
            segments: &taps.segments,
            groups: &groups,
            units: first_unit..first_unit + units,
            tap_count: taps.positions.len(),
            input,
            gradient,
            input_blocks: &input_blocks,
            output_blocks: &output_blocks,
            sums,
        });
    });

    let total = add_parts(sums, part_length);
    let area = shape.kernel * shape.kernel;
    let mut weights = vec![0.0; shape.weight_count()];
    for (positions, sums) in taps.positions.iter().zip(total.chunks_exact(outputs * inputs)) {
        for (weights, sum) in weights.chunks_exact_mut(area).zip(sums) {
            for &position in positions {
                weights[position] += sum;
            }
        }
    }
    weights
}

/// Channels of the output whose products with [`INPUTS`] channels of the input are summed together.
const OUTPUTS: usize = 5;
const INPUTS: usize = 4;
/// Chunks whose products are added up before the lanes are.
const CHUNKS: usize = 4;
/// At most, where there is much to do.
const PARTS: usize = 8;

/// Some of the units (a segment and a group of chunks, segments innermost), one after the other.
struct Units<'a> {
    segments: &'a [Segment],
    /// (first chunk, chunks)
    groups: &'a [(usize, usize)],
    units: std::ops::Range<usize>,
    tap_count: usize,
    input: &'a Planes,
    gradient: &'a Planes,
    /// (first channel, channels)
    input_blocks: &'a [(usize, usize)],
    output_blocks: &'a [(usize, usize)],
    /// `[tap, output, input]`
    sums: &'a mut [f32],
}

impl Job for Units<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let (inputs, outputs) = (self.input.channels, self.gradient.channels);
        let mut packed_inputs = Vec::new();
        let mut packed_gradients = Vec::new();
        let mut products = vec![Products::ZERO; self.tap_count];
        for unit in self.units {
            let segment = &self.segments[unit % self.segments.len()];
            let (first_chunk, chunks) = self.groups[unit / self.segments.len()];
            let (slots, pixels) = (segment.inputs.len(), segment.outputs.len());
            packed_inputs.resize(chunks * inputs * slots, [0.0; LANES]);
            packed_gradients.resize(chunks * outputs * pixels, [0.0; LANES]);
            let chunk_range = first_chunk..first_chunk + chunks;
            pack(self.input, &segment.inputs, chunk_range.clone(), self.input_blocks, &mut packed_inputs);
            pack(self.gradient, &segment.outputs, chunk_range, self.output_blocks, &mut packed_gradients);
            for &(first_input, block_inputs) in self.input_blocks {
                for &(first_output, block_outputs) in self.output_blocks {
                    products.fill(Products::ZERO);
                    // All taps share what is in the first-level cache, which holds one chunk.
                    for chunk in 0..chunks {
                        let block = Block {
                            values: &packed_inputs[(chunk * inputs + first_input) * slots..],
                            gradients: &packed_gradients[(chunk * outputs + first_output) * pixels..],
                            block_inputs,
                            block_outputs,
                        };
                        for (tap, products) in products.iter_mut().enumerate() {
                            block.add::<L>(segment.pairs(tap), products);
                        }
                    }
                    for (products, sums) in products.iter().zip(self.sums.chunks_exact_mut(outputs * inputs)) {
                        for output in 0..block_outputs {
                            let sums = &mut sums[(first_output + output) * inputs + first_input..][..block_inputs];
                            for (sum, product) in sums.iter_mut().zip(&products.0[output * INPUTS..]) {
                                *sum += L::load(product).sum();
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Copies some chunks of `pixels`: chunk by chunk, block of channels by block, pixel by pixel, channel by channel.
#[inline(always)]
fn pack(
    planes: &Planes,
    pixels: &[u32],
    chunks: std::ops::Range<usize>,
    blocks: &[(usize, usize)],
    packed: &mut [Chunk],
) {
    let pixel_length = planes.channels * planes.chunks;
    let chunk_length = planes.channels * pixels.len();
    for (place, &pixel) in pixels.iter().enumerate() {
        let values = &planes.values()[pixel as usize * pixel_length..][..pixel_length];
        for &(first, channels) in blocks {
            for channel in 0..channels {
                let values = &values[(first + channel) * planes.chunks..][chunks.clone()];
                let mut target = first * pixels.len() + place * channels + channel;
                for value in values {
                    packed[target] = *value;
                    target += chunk_length;
                }
            }
        }
    }
}

/// `[output, input]` of a block of each, at cache lines.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Products([Chunk; OUTPUTS * INPUTS]);

impl Products {
    const ZERO: Self = Self([[0.0; LANES]; OUTPUTS * INPUTS]);
}

/// A block of inputs and one of outputs, of one segment and chunk.
#[derive(Clone, Copy)]
struct Block<'a> {
    /// `[slot, input]`
    values: &'a [Chunk],
    /// `[output pixel, output]`
    gradients: &'a [Chunk],
    block_inputs: usize,
    block_outputs: usize,
}

impl Block<'_> {
    /// Adds the products of all its outputs and inputs over `pairs`: all together where registers allow, else two by
    /// two.
    #[inline(always)]
    fn add<L: Lanes>(&self, pairs: &[(u32, u32)], products: &mut Products) {
        let mut input = 0;
        while input < self.block_inputs {
            let rest = self.block_inputs - input;
            if L::MANY_REGISTERS && rest == 4 {
                self.add_inputs::<L, 4>(pairs, input, products);
                input += 4;
            } else if L::MANY_REGISTERS && rest == 3 {
                self.add_inputs::<L, 3>(pairs, input, products);
                input += 3;
            } else if rest >= 2 {
                self.add_inputs::<L, 2>(pairs, input, products);
                input += 2;
            } else {
                self.add_inputs::<L, 1>(pairs, input, products);
                input += 1;
            }
        }
    }

    #[inline(always)]
    fn add_inputs<L: Lanes, const I: usize>(&self, pairs: &[(u32, u32)], input: usize, products: &mut Products) {
        if L::MANY_REGISTERS {
            return match self.block_outputs {
                1 => self.add_tile::<L, 1, I>(pairs, 0, input, products),
                2 => self.add_tile::<L, 2, I>(pairs, 0, input, products),
                3 => self.add_tile::<L, 3, I>(pairs, 0, input, products),
                4 => self.add_tile::<L, 4, I>(pairs, 0, input, products),
                _ => self.add_tile::<L, OUTPUTS, I>(pairs, 0, input, products),
            };
        }
        let mut output = 0;
        while output + 2 <= self.block_outputs {
            self.add_tile::<L, 2, I>(pairs, output, input, products);
            output += 2;
        }
        if output < self.block_outputs {
            self.add_tile::<L, 1, I>(pairs, output, input, products);
        }
    }

    #[inline(always)]
    fn add_tile<L: Lanes, const O: usize, const I: usize>(
        &self,
        pairs: &[(u32, u32)],
        output: usize,
        input: usize,
        products: &mut Products,
    ) {
        L::call(Tile::<O, I> { block: *self, pairs, output, input, products });
    }
}

/// O outputs and I inputs, their products in registers.
struct Tile<'a, const O: usize, const I: usize> {
    block: Block<'a>,
    pairs: &'a [(u32, u32)],
    output: usize,
    input: usize,
    products: &'a mut Products,
}

impl<const O: usize, const I: usize> Job for Tile<'_, O, I> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Block { values, gradients, block_inputs, block_outputs } = self.block;
        let mut products = [[L::splat(0.0); I]; O];
        for o in 0..O {
            for i in 0..I {
                products[o][i] = L::load(&self.products.0[(self.output + o) * INPUTS + self.input + i]);
            }
        }
        let (values, gradients) = (&values[self.input..], &gradients[self.output..]);
        for &(pixel, slot) in self.pairs {
            let gradients = &gradients[pixel as usize * block_outputs..][..O];
            let values = &values[slot as usize * block_inputs..][..I];
            let mut loaded = [L::splat(0.0); I];
            for i in 0..I {
                // SAFETY: i < I, and there are I values.
                loaded[i] = L::load(unsafe { unchecked(values, i) });
            }
            for o in 0..O {
                // SAFETY: o < O, and there are O gradients.
                let gradient = L::load(unsafe { unchecked(gradients, o) });
                for i in 0..I {
                    products[o][i] = gradient.mul_add(loaded[i], products[o][i]);
                }
            }
        }
        for o in 0..O {
            for i in 0..I {
                products[o][i].store(&mut self.products.0[(self.output + o) * INPUTS + self.input + i]);
            }
        }
    }
}
