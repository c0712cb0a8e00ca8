use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::lanes::{Chunk, Job, LANES, Lanes};
use super::layer_norm::part_pixels;
use super::panel::{Pair, Single, Word};
use super::parallel::for_each_part;
use super::planes::{Planes, Storage};
use super::sums::add_up;

/// `kept + gate * branch`, where `gate` is one pixel, `[channels, chunks]`, for all pixels. `branch` may be of bf16.
pub fn forward(kept: &Planes, gate: &Planes, branch: &Planes) -> Vec<Chunk> {
    match branch.storage {
        Storage::F32 => forward_of::<Single>(kept, gate, branch),
        Storage::Bf16 => forward_of::<Pair>(kept, gate, branch),
    }
}

fn forward_of<B: Word>(kept: &Planes, gate: &Planes, branch: &Planes) -> Vec<Chunk> {
    let pixel_length = kept.channels * kept.chunks;
    assert_eq!(
        kept.values().len(),
        branch.values().len() * B::NUMBERS,
        "what is added to has the shape of what is added"
    );
    assert_eq!((gate.pixels(), gate.values().len()), (1, pixel_length), "one gate for each channel and image");
    let mut output = Box::<[Chunk]>::new_uninit_slice(kept.values().len());
    let length = part_pixels(kept) * pixel_length;
    for_each_part(&mut output, length, OPERATIONS * kept.values().len(), |index, output| {
        let place = index * length..index * length + output.len();
        let branch = &branch.values()[place.start / B::NUMBERS..place.end / B::NUMBERS];
        let (stored, kept) = (PhantomData::<B>, &kept.values()[place]);
        B::run(Forward { stored, chunks: gate.chunks, kept, gate: gate.values(), branch, output });
    });
    // SAFETY: the parts are all pixels, and `Forward` writes all chunks of a pixel.
    unsafe { output.assume_init() }.into_vec()
}

/// The gradients with respect to `gate`, `[channels, chunks]`, and `branch`, stored as it is.
pub fn backward(gate: &Planes, branch: &Planes, gradient: &Planes) -> (Vec<Chunk>, Vec<Chunk>) {
    match branch.storage {
        Storage::F32 => backward_of::<Single>(gate, branch, gradient),
        Storage::Bf16 => backward_of::<Pair>(gate, branch, gradient),
    }
}

fn backward_of<B: Word>(gate: &Planes, branch: &Planes, gradient: &Planes) -> (Vec<Chunk>, Vec<Chunk>) {
    assert_eq!(gradient.values().len(), branch.values().len() * B::NUMBERS, "a gradient for each output");
    let pixel_length = gradient.channels * gradient.chunks;
    let mut output = Box::<[Chunk]>::new_uninit_slice(branch.values().len());
    let length = part_pixels(gradient) * pixel_length;
    let mut parts: Vec<_> = output
        .chunks_mut(length / B::NUMBERS)
        .map(|output| Part { output, sums: vec![[0.0; LANES]; pixel_length] })
        .collect();
    for_each_part(&mut parts, 1, 2 * OPERATIONS * gradient.values().len(), |index, parts| {
        let Part { output, sums } = &mut parts[0];
        let place = index * length / B::NUMBERS..index * length / B::NUMBERS + output.len();
        let gradient = &gradient.values()[place.start * B::NUMBERS..place.end * B::NUMBERS];
        let (stored, branch) = (PhantomData::<B>, &branch.values()[place]);
        B::run(Backward { stored, chunks: gate.chunks, gate: gate.values(), branch, gradient, output, sums });
    });
    let gate_gradient = add_up(parts.into_iter().map(|part| part.sums).collect());
    // SAFETY: the parts are all pixels, and `Backward` writes all chunks of a pixel.
    (gate_gradient, unsafe { output.assume_init() }.into_vec())
}

/// About how many operations a chunk costs, most of them memory's.
const OPERATIONS: usize = 8 * LANES;

struct Part<'a> {
    output: &'a mut [MaybeUninit<Chunk>],
    /// Sums over the pixels, `[channels, chunks]`.
    sums: Vec<Chunk>,
}

struct Forward<'a, B> {
    stored: PhantomData<B>,
    chunks: usize,
    kept: &'a [Chunk],
    gate: &'a [Chunk],
    branch: &'a [Chunk],
    output: &'a mut [MaybeUninit<Chunk>],
}

impl<B: Word> Job for Forward<'_, B> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        // Channels of a word of the branch lie `chunks` apart in all others.
        let (length, of_word) = (self.gate.len(), B::NUMBERS * self.chunks);
        let inputs = self.kept.chunks_exact(length).zip(self.branch.chunks_exact(length / B::NUMBERS));
        for (output, (kept, branch)) in self.output.chunks_exact_mut(length).zip(inputs) {
            let words = output.chunks_exact_mut(of_word).zip(kept.chunks_exact(of_word));
            let words = words.zip(self.gate.chunks_exact(of_word).zip(branch.chunks_exact(self.chunks)));
            for ((output, kept), (gate, branch)) in words {
                for chunk in 0..self.chunks {
                    let numbers = B::to_lanes(L::load(&branch[chunk]));
                    for number in 0..B::NUMBERS {
                        let place = number * self.chunks + chunk;
                        let sum = L::load(&gate[place]).mul_add(numbers[number], L::load(&kept[place]));
                        sum.write(&mut output[place]);
                    }
                }
            }
        }
    }
}

struct Backward<'a, B> {
    stored: PhantomData<B>,
    chunks: usize,
    gate: &'a [Chunk],
    branch: &'a [Chunk],
    gradient: &'a [Chunk],
    output: &'a mut [MaybeUninit<Chunk>],
    sums: &'a mut [Chunk],
}

impl<B: Word> Job for Backward<'_, B> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let (length, of_word) = (self.gate.len(), B::NUMBERS * self.chunks);
        let inputs = self.branch.chunks_exact(length / B::NUMBERS).zip(self.gradient.chunks_exact(length));
        for (output, (branch, gradient)) in self.output.chunks_exact_mut(length / B::NUMBERS).zip(inputs) {
            let words = output.chunks_exact_mut(self.chunks).zip(branch.chunks_exact(self.chunks));
            let others = gradient.chunks_exact(of_word).zip(self.gate.chunks_exact(of_word));
            let words = words.zip(others.zip(self.sums.chunks_exact_mut(of_word)));
            for ((output, branch), ((gradient, gate), sums)) in words {
                for chunk in 0..self.chunks {
                    let mut numbers = B::to_lanes(L::load(&branch[chunk]));
                    for number in 0..B::NUMBERS {
                        let place = number * self.chunks + chunk;
                        let gradient = L::load(&gradient[place]);
                        gradient.mul_add(numbers[number], L::load(&sums[place])).store(&mut sums[place]);
                        numbers[number] = gradient.mul(L::load(&gate[place]));
                    }
                    B::of_lanes(numbers[0], numbers[1]).write(&mut output[chunk]);
                }
            }
        }
    }
}
