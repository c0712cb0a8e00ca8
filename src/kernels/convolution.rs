use std::mem::MaybeUninit;

use super::lanes::{self, Chunk, Job, LANES, Lanes};
use super::parallel::for_each_part;
use super::planes::{Planes, Storage};
use super::pointwise::{Pointwise, transposed};
use super::sums::pixel_sums;
use super::taps::{Gather, Taps};
use super::winograd::{self, Direction};
use super::{Convolution, Products, Resample};
use super::{pointwise_gradient, weight_gradient};

/// Output of a convolution with bias, plus `added`: nothing, one chunk row per channel (for every pixel), or a whole
/// output. `[output pixels, outputs, chunks]`. Of `products`, see [`super::Kernels::Fused`]. Linear maps take and give planes of bf16,
/// too; where what is given is of bf16, nothing is added.
pub fn forward(
    shape: Convolution,
    (products, storage): (Products, Storage),
    input: &Planes,
    weight: &[f32],
    bias: &[f32],
    added: Option<&Planes>,
) -> Vec<Chunk> {
    assert_eq!(input.channels, shape.inputs, "channels of the input of {shape:?}");
    assert_eq!((weight.len(), bias.len()), (shape.weight_count(), shape.outputs), "weights of {shape:?}");
    let in_f32 = (input.storage, storage) == (Storage::F32, Storage::F32);
    assert!(is_pointwise(shape) || in_f32, "only linear maps take and give planes of bf16");
    let taps = Taps::cached(shape, input.height, input.width);
    if let Some(added) = added {
        let whole = (added.height, added.width) == (taps.output_height, taps.output_width);
        assert!(whole || added.pixels() == 1, "what is added to a convolution is a whole output or one pixel");
        assert_eq!((added.channels, added.chunks), (shape.outputs, input.chunks), "what is added to {shape:?}");
    }
    if winograd::suits(shape, input.height, input.width) {
        let added = added.map(Planes::values);
        return winograd::convolve(shape, products, Direction::Forward, input, weight, Some(bias), added);
    }
    if is_pointwise(shape) {
        let (bias, added, outputs) = (Some(bias), added.map(Planes::values), shape.outputs);
        return Pointwise { weight, bias, added, values: input, outputs, storage }.output(products);
    }
    let weight_of =
        |output, input, position| weight[(output * shape.inputs + input) * shape.kernel * shape.kernel + position];
    gather(Gathered {
        gather: &taps.forward,
        packed: &Packed::new(&taps, shape.outputs, shape.inputs, weight_of),
        values: input.values(),
        inputs: shape.inputs,
        chunks: input.chunks,
        bias: Some(bias),
        added: added.map(Planes::values),
    })
}

/// The gradient with respect to the input, `[input pixels, inputs, chunks]` and stored as the input, for the gradient of the output.
pub fn input_gradient(
    shape: Convolution,
    products: Products,
    input: &Planes,
    weight: &[f32],
    gradient: &Planes,
) -> Vec<Chunk> {
    if winograd::suits(shape, input.height, input.width) {
        return winograd::convolve(shape, products, Direction::Backward, gradient, weight, None, None);
    }
    if is_pointwise(shape) {
        return Pointwise {
            weight: &transposed(weight, shape.outputs, shape.inputs),
            bias: None,
            added: None,
            values: gradient,
            outputs: shape.inputs,
            storage: input.storage,
        }
        .output(products);
    }
    let taps = Taps::cached(shape, input.height, input.width);
    let weight_of =
        |input, output, position| weight[(output * shape.inputs + input) * shape.kernel * shape.kernel + position];
    gather(Gathered {
        gather: &taps.backward,
        packed: &Packed::new(&taps, shape.inputs, shape.outputs, weight_of),
        values: gradient.values(),
        inputs: shape.outputs,
        chunks: input.chunks,
        bias: None,
        added: None,
    })
}

/// The gradients with respect to the parameters of a convolution.
pub struct ParameterGradients {
    /// Flat, as [`Convolution`] says.
    pub weights: Vec<f32>,
    /// The sum of the gradient over all pixels, `[outputs, chunks]`: the gradient of what was added to every pixel. Summed
    /// over the images it is that of the bias.
    pub pixel_sums: Vec<Chunk>,
}

/// For the gradient of the output.
pub fn parameter_gradients(
    shape: Convolution,
    products: Products,
    input: &Planes,
    gradient: &Planes,
) -> ParameterGradients {
    if is_pointwise(shape) {
        return pointwise_gradient::parameter_gradients(shape, products, input, gradient);
    }
    let weights = if winograd::suits(shape, input.height, input.width) {
        winograd::weight_gradient(shape, products, input, gradient)
    } else {
        weight_gradient::compute(shape, &Taps::cached(shape, input.height, input.width), input, gradient)
    };
    ParameterGradients { weights, pixel_sums: pixel_sums(gradient) }
}

/// Whether it is a linear map of each pixel on its own.
fn is_pointwise(shape: Convolution) -> bool {
    (shape.kernel, shape.resample) == (1, Resample::Keep)
}

/// Channels of the output that are computed together.
const BLOCK: usize = 6;

/// Weights in the order in which they are used: block of output channels, tap, input channel, output channel.
struct Packed {
    values: Vec<f32>,
    blocks: Vec<Block>,
}

struct Block {
    first_channel: usize,
    channels: usize,
    /// The start of the block in the values.
    start: usize,
}

impl Packed {
    fn new(taps: &Taps, outputs: usize, inputs: usize, weight_of: impl Fn(usize, usize, usize) -> f32) -> Self {
        let mut values = Vec::with_capacity(outputs * inputs * taps.positions.len());
        let mut blocks = Vec::new();
        for (first_channel, channels) in even_blocks(outputs, BLOCK) {
            blocks.push(Block { first_channel, channels, start: values.len() });
            for positions in &taps.positions {
                for input in 0..inputs {
                    let outputs = first_channel..first_channel + channels;
                    match positions[..] {
                        [position] => values.extend(outputs.map(|output| weight_of(output, input, position))),
                        _ => values.extend(outputs.map(|output| {
                            positions.iter().map(|&position| weight_of(output, input, position)).sum::<f32>()
                        })),
                    }
                }
            }
        }
        Self { values, blocks }
    }
}

/// Splits `count` into the fewest blocks of at most `most`, as even as can be: (start, length).
pub fn even_blocks(count: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let blocks = count.div_ceil(most);
    (0..blocks).map(move |block| {
        let (start, end) = (block * count / blocks, (block + 1) * count / blocks);
        (start, end - start)
    })
}

/// `output[pixel] = bias + added[pixel] + sum over sources of packed[tap] * values[source pixel]`.
#[derive(Clone, Copy)]
struct Gathered<'a> {
    gather: &'a Gather,
    packed: &'a Packed,
    values: &'a [Chunk],
    /// Channels of `values`.
    inputs: usize,
    chunks: usize,
    bias: Option<&'a [f32]>,
    added: Option<&'a [Chunk]>,
}

fn gather(job: Gathered) -> Vec<Chunk> {
    let outputs: usize = job.packed.blocks.iter().map(|block| block.channels).sum();
    let pixel_length = outputs * job.chunks;
    let pixels = job.gather.pixel_count();
    let mut output = Box::<[Chunk]>::new_uninit_slice(pixels * pixel_length);
    let operations = 2 * job.packed.values.len() * pixels * job.chunks * LANES;
    for_each_part(&mut output, PIXELS_PER_PART * pixel_length, operations, |part, output| {
        lanes::run(PixelRange { gathered: job, first_pixel: part * PIXELS_PER_PART, pixel_length, output });
    });
    // SAFETY: the parts are all pixels, the blocks all channels of each, and tiles write all chunks of theirs.
    unsafe { output.assume_init() }.into_vec()
}

/// Few enough that their values stay near, many enough that the weights are worth fetching.
const PIXELS_PER_PART: usize = 8;

struct PixelRange<'a> {
    gathered: Gathered<'a>,
    first_pixel: usize,
    /// Chunks of a pixel of the output.
    pixel_length: usize,
    output: &'a mut [MaybeUninit<Chunk>],
}

impl Job for PixelRange<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        for block in &self.gathered.packed.blocks {
            for (index, output) in self.output.chunks_exact_mut(self.pixel_length).enumerate() {
                let pixel = self.first_pixel + index;
                match block.channels {
                    1 => self.gathered.pixel::<L, 1>(block, pixel, output),
                    2 => self.gathered.pixel::<L, 2>(block, pixel, output),
                    3 => self.gathered.pixel::<L, 3>(block, pixel, output),
                    4 => self.gathered.pixel::<L, 4>(block, pixel, output),
                    5 => self.gathered.pixel::<L, 5>(block, pixel, output),
                    _ => self.gathered.pixel::<L, BLOCK>(block, pixel, output),
                }
            }
        }
    }
}

impl Gathered<'_> {
    #[inline(always)]
    fn pixel<L: Lanes, const C: usize>(&self, block: &Block, pixel: usize, output: &mut [MaybeUninit<Chunk>]) {
        let mut chunk = 0;
        if L::MANY_REGISTERS {
            while chunk + 4 <= self.chunks {
                let first_chunk = chunk;
                L::call(Tile::<C, 4> { gathered: *self, block, pixel, first_chunk, output: &mut *output });
                chunk += 4;
            }
        }
        while chunk < self.chunks {
            let first_chunk = chunk;
            L::call(Tile::<C, 1> { gathered: *self, block, pixel, first_chunk, output: &mut *output });
            chunk += 1;
        }
    }
}

/// C channels of V chunks of one pixel, with all sums in registers.
struct Tile<'a, const C: usize, const V: usize> {
    gathered: Gathered<'a>,
    block: &'a Block,
    pixel: usize,
    first_chunk: usize,
    /// The pixel, all channels and chunks.
    output: &'a mut [MaybeUninit<Chunk>],
}

impl<const C: usize, const V: usize> Job for Tile<'_, C, V> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Gathered { gather, packed, values, inputs, chunks, bias, added } = self.gathered;
        let mut sums = [[L::splat(0.0); V]; C];
        if let Some(bias) = bias {
            for c in 0..C {
                sums[c] = [L::splat(bias[self.block.first_channel + c]); V];
            }
        }
        let place = self.block.first_channel * chunks + self.first_chunk;
        if let Some(added) = added {
            // One pixel is added to every pixel; otherwise `added` is as long as the output.
            let start = if added.len() == self.output.len() { 0 } else { self.pixel * self.output.len() };
            for c in 0..C {
                for v in 0..V {
                    sums[c][v] = sums[c][v].add(L::load(&added[start + place + c * chunks + v]));
                }
            }
        }
        for source in gather.sources(self.pixel) {
            let values = &values[source.pixel as usize * inputs * chunks..][..inputs * chunks];
            let weights = &packed.values[self.block.start + source.tap as usize * inputs * C..][..inputs * C];
            for (values, weights) in values.chunks_exact(chunks).zip(weights.as_chunks::<C>().0) {
                let values = &values[self.first_chunk..self.first_chunk + V];
                let mut loaded = [L::splat(0.0); V];
                for v in 0..V {
                    loaded[v] = L::load(&values[v]);
                }
                for c in 0..C {
                    let weight = L::splat(weights[c]);
                    for v in 0..V {
                        sums[c][v] = loaded[v].mul_add(weight, sums[c][v]);
                    }
                }
            }
        }
        for c in 0..C {
            for v in 0..V {
                sums[c][v].write(&mut self.output[place + c * chunks + v]);
            }
        }
    }
}
