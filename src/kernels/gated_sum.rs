use std::mem::MaybeUninit;

use super::lanes::{self, Chunk, Job, LANES, Lanes};
use super::layer_norm::part_pixels;
use super::parallel::for_each_part;
use super::planes::Planes;
use super::sums::add_up;

/// `kept + gate * branch`, where `gate` is one pixel, `[channels, chunks]`, for all pixels.
pub fn forward(kept: &Planes, gate: &Planes, branch: &Planes) -> Vec<Chunk> {
    let pixel_length = branch.channels * branch.chunks;
    assert_eq!(kept.values().len(), branch.values().len(), "what is added to has the shape of what is added");
    assert_eq!((gate.pixels(), gate.values().len()), (1, pixel_length), "one gate for each channel and image");
    let mut output = Box::<[Chunk]>::new_uninit_slice(branch.values().len());
    let length = part_pixels(branch) * pixel_length;
    for_each_part(&mut output, length, OPERATIONS * branch.values().len(), |index, output| {
        let place = index * length..index * length + output.len();
        let (kept, branch) = (&kept.values()[place.clone()], &branch.values()[place]);
        lanes::run(Forward { kept, gate: gate.values(), branch, output });
    });
    // SAFETY: the parts are all pixels, and `Forward` writes all chunks of a pixel.
    unsafe { output.assume_init() }.into_vec()
}

/// The gradients with respect to `gate`, `[channels, chunks]`, and `branch`.
pub fn backward(gate: &Planes, branch: &Planes, gradient: &Planes) -> (Vec<Chunk>, Vec<Chunk>) {
    assert_eq!(gradient.values().len(), branch.values().len(), "a gradient for each output");
    let pixel_length = branch.channels * branch.chunks;
    let mut output = Box::<[Chunk]>::new_uninit_slice(branch.values().len());
    let length = part_pixels(branch) * pixel_length;
    let mut parts: Vec<_> =
        output.chunks_mut(length).map(|output| Part { output, sums: vec![[0.0; LANES]; pixel_length] }).collect();
    for_each_part(&mut parts, 1, 2 * OPERATIONS * branch.values().len(), |index, parts| {
        let Part { output, sums } = &mut parts[0];
        let place = index * length..index * length + output.len();
        let (branch, gradient) = (&branch.values()[place.clone()], &gradient.values()[place]);
        lanes::run(Backward { gate: gate.values(), branch, gradient, output, sums });
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

struct Forward<'a> {
    kept: &'a [Chunk],
    gate: &'a [Chunk],
    branch: &'a [Chunk],
    output: &'a mut [MaybeUninit<Chunk>],
}

impl Job for Forward<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let length = self.gate.len();
        let inputs = self.kept.chunks_exact(length).zip(self.branch.chunks_exact(length));
        for (output, (kept, branch)) in self.output.chunks_exact_mut(length).zip(inputs) {
            for ((output, gate), (kept, branch)) in output.iter_mut().zip(self.gate).zip(kept.iter().zip(branch)) {
                L::load(gate).mul_add(L::load(branch), L::load(kept)).write(output);
            }
        }
    }
}

struct Backward<'a> {
    gate: &'a [Chunk],
    branch: &'a [Chunk],
    gradient: &'a [Chunk],
    output: &'a mut [MaybeUninit<Chunk>],
    sums: &'a mut [Chunk],
}

impl Job for Backward<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let length = self.gate.len();
        let inputs = self.branch.chunks_exact(length).zip(self.gradient.chunks_exact(length));
        for (output, (branch, gradient)) in self.output.chunks_exact_mut(length).zip(inputs) {
            let numbers = self.gate.iter().zip(branch.iter().zip(gradient));
            for ((output, sum), (gate, (branch, gradient))) in output.iter_mut().zip(self.sums.iter_mut()).zip(numbers)
            {
                let gradient = L::load(gradient);
                gradient.mul(L::load(gate)).write(output);
                gradient.mul_add(L::load(branch), L::load(sum)).store(sum);
            }
        }
    }
}
