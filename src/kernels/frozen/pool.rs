use std::mem::MaybeUninit;

use super::planes::{FrozenPlanes, Target};
use super::window::Window;
use crate::kernels::lanes::{self, Chunk, Job, LANES, Lanes};

/// The largest of the pixels that the window sees, for each channel.
pub(super) fn largest(window: Window, input: &FrozenPlanes, target: Target<'_>) {
    pool(window, input, false, target);
}

/// The mean of the pixels that the window sees, for each channel.
pub(super) fn mean(window: Window, input: &FrozenPlanes, target: Target<'_>) {
    pool(window, input, true, target);
}

fn pool(window: Window, input: &FrozenPlanes, mean: bool, mut target: Target<'_>) {
    let operations = target.height * target.width * input.channels * window.positions() * LANES;
    let (width, pixel_length) = (target.width, target.channels);
    target.for_each_row(operations, |y, output| {
        lanes::run(Row { window, input, mean, y, width, pixel_length, output });
    });
}

/// One row of pixels of the output.
struct Row<'a> {
    window: Window,
    input: &'a FrozenPlanes,
    /// Rather than the largest.
    mean: bool,
    y: usize,
    width: usize,
    /// The length of a pixel of the output.
    pixel_length: usize,
    output: &'a mut [MaybeUninit<Chunk>],
}

impl Job for Row<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { window, input, mean, y, width, pixel_length, output } = self;
        let mut seen = Vec::with_capacity(window.positions());
        for x in 0..width {
            input.look(window, (y, x), &mut seen);
            let ((_, first), others) = seen.split_first().expect("a window sees at least a pixel");
            let share = L::splat(1.0 / seen.len() as f32);
            for (channel, output) in output[x * pixel_length..][..input.channels].iter_mut().enumerate() {
                let mut value = L::load(&first[channel]);
                for (_, pixel) in others {
                    let other = L::load(&pixel[channel]);
                    value = if mean { value.add(other) } else { value.max(other) };
                }
                let value = if mean { value.mul(share) } else { value };
                value.write(output);
            }
        }
    }
}
