use std::marker::PhantomData;
use std::ops::Range;

use super::lines::kernel_line;
use super::{LARGE, SMALL};
use crate::kernels::convolution::even_blocks;
use crate::kernels::lanes::{Chunk, Job, LANES, Lanes};
use crate::kernels::panel::{Single, Word};
use crate::kernels::parallel::for_each_part;
use crate::kernels::{Convolution, Resample};

/// The operands of the convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The input with the kernel.
    Forward,
    /// The gradient of the output with the kernel turned by 180 degrees: the gradient of the input.
    Backward,
}

/// Channels of the output that are computed together.
pub const BLOCK: usize = 6;

/// Kernels transformed for tiles of `span` pixels, in words of inputs: `[block of outputs, position, word, output]`, with [`LANES`] words of any
/// content after each position's.
pub struct Kernels<W = Single> {
    pub(super) word: PhantomData<W>,
    pub(super) span: usize,
    values: Vec<f32>,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// (first channel, channels)
    pub(super) blocks: Vec<(usize, usize)>,
}

impl<W: Word> Kernels<W> {
    /// The kernels of weights `[outputs, inputs, 3, 3]` that are used again and again.
    pub fn frozen(inputs: usize, outputs: usize, weight: &[f32]) -> Self {
        let shape = Convolution::square(inputs, outputs, Resample::Keep);
        Self::new(shape, Direction::Forward, weight, SMALL)
    }

    /// For tiles of `span` pixels.
    pub(super) fn new(shape: Convolution, direction: Direction, weight: &[f32], span: usize) -> Self {
        assert_eq!(weight.len(), shape.weight_count(), "weights of {shape:?}");
        let (inputs, outputs) = match direction {
            Direction::Forward => (shape.inputs, shape.outputs),
            Direction::Backward => (shape.outputs, shape.inputs),
        };
        let blocks: Vec<_> = even_blocks(outputs, BLOCK).collect();
        let positions = span * span;
        let mut values = vec![0.0; length_of(inputs.div_ceil(W::NUMBERS), outputs, blocks.len(), positions)];
        let mut rest = &mut values[..];
        let mut parts = Vec::with_capacity(blocks.len());
        for &(first, channels) in &blocks {
            let length = length_of(inputs.div_ceil(W::NUMBERS), channels, 1, positions);
            let (values, others) = rest.split_at_mut(length);
            parts.push(Block { direction, weight, shape, inputs, first, channels, values });
            rest = others;
        }
        for_each_part(&mut parts, 1, 64 * inputs * outputs, |_, parts| match span {
            SMALL => W::run(Transform::<W, SMALL> { word: PhantomData, block: &mut parts[0] }),
            _ => W::run(Transform::<W, LARGE> { word: PhantomData, block: &mut parts[0] }),
        });
        Self { word: PhantomData, span, values, inputs, outputs, blocks }
    }

    /// Words of inputs.
    pub(super) fn words(&self) -> usize {
        self.inputs.div_ceil(W::NUMBERS)
    }

    /// The outputs of some blocks: (first, count).
    #[inline(always)]
    pub(super) fn outputs_of(&self, blocks: Range<usize>) -> (usize, usize) {
        let (first, (last, channels)) = (self.blocks[blocks.start].0, self.blocks[blocks.end - 1]);
        (first, last + channels - first)
    }

    /// The kernels of one block and position: `[word, output]`.
    #[inline(always)]
    pub(super) fn block(&self, block: usize, position: usize) -> &[f32] {
        let (words, positions) = (self.words(), self.span * self.span);
        let (first, channels) = self.blocks[block];
        let start = length_of(words, first, block, positions) + length_of(words, channels, 1, position);
        &self.values[start..][..words * channels]
    }
}

/// Some outputs, of all inputs.
struct Block<'a> {
    direction: Direction,
    weight: &'a [f32],
    shape: Convolution,
    inputs: usize,
    first: usize,
    channels: usize,
    /// `[position, word, output]`, each position with its end.
    values: &'a mut [f32],
}

impl Block<'_> {
    /// Weight `[3, 3]` of one input and all outputs, in lanes; zeros where there is no such input.
    #[inline(always)]
    fn kernels(&self, input: usize) -> [Chunk; 9] {
        let mut kernels = [[0.0; LANES]; 9];
        if input >= self.inputs {
            return kernels;
        }
        for output in 0..self.channels {
            let (from, to) = match self.direction {
                Direction::Forward => (input, self.first + output),
                Direction::Backward => (self.first + output, input),
            };
            let kernel = &self.weight[(to * self.shape.inputs + from) * 9..][..9];
            for (index, &value) in kernel.iter().enumerate() {
                let turned = match self.direction {
                    Direction::Forward => index,
                    Direction::Backward => 8 - index,
                };
                kernels[turned][output] = value;
            }
        }
        kernels
    }
}

/// G g G^T of the kernels of a block, those of an input together.
struct Transform<'a, 'b, W, const S: usize> {
    word: PhantomData<W>,
    block: &'a mut Block<'b>,
}

impl<W: Word, const S: usize> Job for Transform<'_, '_, W, S> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let block = self.block;
        let words = block.inputs.div_ceil(W::NUMBERS);
        let position_length = words * block.channels + LANES;
        for word in 0..words {
            let mut tile = transformed::<L, S>(&block.kernels(W::NUMBERS * word));
            if W::NUMBERS > 1 {
                let second = transformed::<L, S>(&block.kernels(W::NUMBERS * word + 1));
                for row in 0..S {
                    for column in 0..S {
                        tile[row][column] = W::of_lanes(tile[row][column], second[row][column]);
                    }
                }
            }
            for row in 0..S {
                for column in 0..S {
                    // All lanes, of which the next words overwrite those of no output.
                    let place = (S * row + column) * position_length + word * block.channels;
                    let place =
                        block.values[place..].first_chunk_mut().expect("a position has an end of as many lanes");
                    tile[row][column].store(place);
                }
            }
        }
    }
}

/// G g G^T, by rows.
#[inline(always)]
fn transformed<L: Lanes, const S: usize>(kernels: &[Chunk; 9]) -> [[L; S]; S] {
    let mut columns = [[L::splat(0.0); S]; 3];
    for x in 0..3 {
        columns[x] = kernel_line([L::load(&kernels[x]), L::load(&kernels[3 + x]), L::load(&kernels[6 + x])]);
    }
    let mut tile = [[L::splat(0.0); S]; S];
    for row in 0..S {
        tile[row] = kernel_line([columns[0][row], columns[1][row], columns[2][row]]);
    }
    tile
}

/// The length of `positions` positions of `blocks` blocks of `outputs` outputs together.
fn length_of(words: usize, outputs: usize, blocks: usize, positions: usize) -> usize {
    positions * (words * outputs + blocks * LANES)
}
