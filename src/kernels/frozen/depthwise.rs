use std::mem::MaybeUninit;

use super::layer::FrozenDepthwise;
use super::planes::{FrozenPlanes, Target};
use crate::kernels::lanes::{self, Chunk, Job, LANES, Lanes};

impl FrozenDepthwise {
    pub(super) fn write(&self, input: &FrozenPlanes, mut target: Target<'_>) {
        let operations = 2 * target.height * target.width * self.weight.len() * LANES;
        let (width, pixel_length) = (target.width, target.channels);
        target.for_each_row(operations, |y, output| {
            lanes::run(Row { layer: self, input, y, width, pixel_length, output });
        });
    }
}

/// One row of pixels of the output.
struct Row<'a> {
    layer: &'a FrozenDepthwise,
    input: &'a FrozenPlanes,
    y: usize,
    width: usize,
    /// The length of a pixel of the output.
    pixel_length: usize,
    output: &'a mut [MaybeUninit<Chunk>],
}

impl Job for Row<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { layer, input, y, width, pixel_length, output } = self;
        let FrozenDepthwise { window, channels, ref weight, ref bias, activation, .. } = *layer;
        let mut seen = Vec::with_capacity(window.positions());
        for x in 0..width {
            input.look(window, (y, x), &mut seen);
            for (channel, output) in output[x * pixel_length..][..channels].iter_mut().enumerate() {
                let mut sum = L::splat(bias[channel]);
                for (position, pixel) in &seen {
                    sum = L::load(&pixel[channel]).mul_add(L::splat(weight[position * channels + channel]), sum);
                }
                activation.of(sum).write(output);
            }
        }
    }
}
