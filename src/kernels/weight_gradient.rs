use super::Convolution;
use super::convolution::even_blocks;
use super::lanes::{self, Chunk, Job, Lanes, unchecked};
use super::parallel::for_each_part;
use super::planes::Planes;
use super::taps::Taps;

/// d weight[output, input, position] = sum over pixels and images of gradient[output] * input[input], flat as
/// [`Convolution`] says. Each weight is summed by one thread, in an order that depends on the shapes alone.
pub fn compute(shape: Convolution, taps: &Taps, input: &Planes, gradient: &Planes) -> Vec<f32> {
    let (outputs, inputs) = (shape.outputs, shape.inputs);
    assert_eq!((gradient.channels, gradient.chunks), (outputs, input.chunks), "gradient of {shape:?}");
    assert_eq!((gradient.height, gradient.width), (taps.output_height, taps.output_width), "gradient of {shape:?}");
    let blocks: Vec<_> = even_blocks(outputs, OUTPUTS).collect();
    let tap_count = taps.positions.len();
    let block_length = tap_count * inputs * OUTPUTS;
    // [block of outputs, tap, input, output of the block]
    let mut sums = vec![0.0; blocks.len() * block_length];
    let pair_count: usize = taps.pairs.iter().map(Vec::len).sum();
    let operations = 2 * pair_count * outputs * inputs * input.chunks * lanes::LANES;
    for_each_part(&mut sums, block_length, operations, |block, sums| {
        let (first_output, outputs) = blocks[block];
        lanes::run(BlockOfOutputs { taps, input, gradient, first_output, outputs, sums });
    });

    let area = shape.kernel * shape.kernel;
    let mut weights = vec![0.0; shape.weight_count()];
    for (&(first_output, block_outputs), sums) in blocks.iter().zip(sums.chunks_exact(block_length)) {
        for (positions, sums) in taps.positions.iter().zip(sums.chunks_exact(inputs * OUTPUTS)) {
            for (input, sums) in sums.as_chunks::<OUTPUTS>().0.iter().enumerate() {
                for (output, sum) in sums[..block_outputs].iter().enumerate() {
                    let start = ((first_output + output) * inputs + input) * area;
                    for position in positions {
                        weights[start + position] += sum;
                    }
                }
            }
        }
    }
    weights
}

/// Channels of the output whose products with an input are summed together.
const OUTPUTS: usize = 5;
/// Chunks of one channel of the gradient that stay in the first-level cache: 5 * 64 * 64 bytes are 20 KiB.
const SEGMENT_CHUNKS: usize = 64;

struct BlockOfOutputs<'a> {
    taps: &'a Taps,
    input: &'a Planes,
    gradient: &'a Planes,
    first_output: usize,
    outputs: usize,
    /// `[tap, input, output of the block]`
    sums: &'a mut [f32],
}

impl Job for BlockOfOutputs<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let inputs = self.input.channels;
        let products = Products {
            input: self.input.values(),
            gradient: self.gradient.values(),
            input_length: inputs * self.input.chunks,
            gradient_length: self.gradient.channels * self.gradient.chunks,
            chunks: self.input.chunks,
        };
        let segment = (SEGMENT_CHUNKS / self.input.chunks).max(1);
        for (pairs, sums) in self.taps.pairs.iter().zip(self.sums.chunks_exact_mut(inputs * OUTPUTS)) {
            let (sums, _) = sums.as_chunks_mut::<OUTPUTS>();
            for pairs in pairs.chunks(segment) {
                let mut input = 0;
                while input < inputs {
                    let sums = &mut sums[input..];
                    if L::MANY_REGISTERS && input + 4 <= inputs {
                        products.add_all::<L, 4>(pairs, self.first_output, self.outputs, input, sums);
                        input += 4;
                    } else if input + 2 <= inputs {
                        products.add_all::<L, 2>(pairs, self.first_output, self.outputs, input, sums);
                        input += 2;
                    } else {
                        products.add_all::<L, 1>(pairs, self.first_output, self.outputs, input, sums);
                        input += 1;
                    }
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Products<'a> {
    input: &'a [Chunk],
    gradient: &'a [Chunk],
    /// Chunks of a pixel.
    input_length: usize,
    gradient_length: usize,
    /// Chunks of a channel.
    chunks: usize,
}

impl Products<'_> {
    /// Up to [`OUTPUTS`] outputs: all together where registers allow, else two by two.
    #[inline(always)]
    fn add_all<L: Lanes, const I: usize>(
        &self,
        pairs: &[(u32, u32)],
        first_output: usize,
        outputs: usize,
        input: usize,
        sums: &mut [[f32; OUTPUTS]],
    ) {
        if L::MANY_REGISTERS {
            return match outputs {
                1 => self.add::<L, 1, I>(pairs, first_output, input, 0, sums),
                2 => self.add::<L, 2, I>(pairs, first_output, input, 0, sums),
                3 => self.add::<L, 3, I>(pairs, first_output, input, 0, sums),
                4 => self.add::<L, 4, I>(pairs, first_output, input, 0, sums),
                _ => self.add::<L, OUTPUTS, I>(pairs, first_output, input, 0, sums),
            };
        }
        let mut output = 0;
        while output + 2 <= outputs {
            self.add::<L, 2, I>(pairs, first_output + output, input, output, sums);
            output += 2;
        }
        if output < outputs {
            self.add::<L, 1, I>(pairs, first_output + output, input, output, sums);
        }
    }

    /// Adds the products of O outputs and I inputs over `pairs` to `sums[input][place + output]`.
    #[inline(always)]
    fn add<L: Lanes, const O: usize, const I: usize>(
        &self,
        pairs: &[(u32, u32)],
        output: usize,
        input: usize,
        place: usize,
        sums: &mut [[f32; OUTPUTS]],
    ) {
        let products = *self;
        L::call(Tile::<O, I> { products, pairs, output, input, place, sums });
    }
}

/// O outputs and I inputs, their products in registers.
struct Tile<'a, const O: usize, const I: usize> {
    products: Products<'a>,
    pairs: &'a [(u32, u32)],
    output: usize,
    input: usize,
    place: usize,
    sums: &'a mut [[f32; OUTPUTS]],
}

impl<const O: usize, const I: usize> Job for Tile<'_, O, I> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let chunks = self.products.chunks;
        let mut products = [[L::splat(0.0); I]; O];
        for &(output_pixel, input_pixel) in self.pairs {
            let start = output_pixel as usize * self.products.gradient_length + self.output * chunks;
            let gradients = &self.products.gradient[start..start + O * chunks];
            let start = input_pixel as usize * self.products.input_length + self.input * chunks;
            let values = &self.products.input[start..start + I * chunks];
            for chunk in 0..chunks {
                let mut loaded = [L::splat(0.0); I];
                for i in 0..I {
                    // SAFETY: i < I and chunk < chunks, and there are I * chunks values.
                    loaded[i] = L::load(unsafe { unchecked(values, i * chunks + chunk) });
                }
                for o in 0..O {
                    // SAFETY: o < O and chunk < chunks, and there are O * chunks gradients.
                    let gradient = L::load(unsafe { unchecked(gradients, o * chunks + chunk) });
                    for i in 0..I {
                        products[o][i] = gradient.mul_add(loaded[i], products[o][i]);
                    }
                }
            }
        }
        for i in 0..I {
            for o in 0..O {
                self.sums[i][self.place + o] += products[o][i].sum();
            }
        }
    }
}
