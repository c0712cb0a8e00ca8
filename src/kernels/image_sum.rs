use std::mem::MaybeUninit;

use super::lanes::{self, Chunk, Job, LANES, Lanes};
use super::parallel::for_each_part;
use super::planes::Planes;

/// Every image of `input` plus `image`, which is `[pixels, channels]`.
pub fn forward(input: &Planes, image: &[f32]) -> Vec<Chunk> {
    assert_eq!(image.len(), input.pixels() * input.channels, "a number for each pixel and channel");
    let mut output = Box::<[Chunk]>::new_uninit_slice(input.values().len());
    let length = NUMBERS * input.chunks;
    for_each_part(&mut output, length, OPERATIONS * input.values().len(), |index, output| {
        let values = &input.values()[index * length..][..output.len()];
        lanes::run(Forward { values, image: &image[index * NUMBERS..], chunks: input.chunks, output });
    });
    // SAFETY: the parts are the whole, and `Forward` writes all chunks of each number of the image.
    unsafe { output.assume_init() }.into_vec()
}

/// Numbers of the image that are computed together.
const NUMBERS: usize = 1024;
/// About how many operations a chunk costs, most of them memory's.
const OPERATIONS: usize = 6 * LANES;

struct Forward<'a> {
    values: &'a [Chunk],
    image: &'a [f32],
    chunks: usize,
    output: &'a mut [MaybeUninit<Chunk>],
}

impl Job for Forward<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let rows = self.output.chunks_exact_mut(self.chunks).zip(self.values.chunks_exact(self.chunks));
        for ((output, values), &number) in rows.zip(self.image) {
            for (output, value) in output.iter_mut().zip(values) {
                L::load(value).add(L::splat(number)).write(output);
            }
        }
    }
}
