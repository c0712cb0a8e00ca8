use std::mem::MaybeUninit;

use super::{FrozenKernels, Operation, Part, Window};
use crate::kernels::lanes::{self, Chunk, Job, LANES, Lanes};
use crate::kernels::parallel::for_each_part;

/// Images that pass through a network together.
pub const IMAGES_AT_ONCE: usize = LANES;

/// Frozen networks on the CPU.
#[derive(Clone, Copy, Debug, Default)]
pub struct FusedFrozen;

/// Sixteen images: `[height, width, channels]`, a lane for each image.
pub struct FrozenPlanes {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    pub(super) values: Vec<Chunk>,
}

impl FrozenPlanes {
    /// All channels of a pixel; `None` outside. Rows and columns are counted from `before` rows and columns outside.
    #[inline(always)]
    pub(super) fn pixel(&self, y: usize, x: usize, before: (usize, usize)) -> Option<&[Chunk]> {
        let (y, x) = (y.wrapping_sub(before.0), x.wrapping_sub(before.1));
        let inside = y < self.height && x < self.width;
        inside.then(|| &self.values[(y * self.width + x) * self.channels..][..self.channels])
    }
}

impl<'a> FrozenPlanes {
    /// (position, pixel) of all pixels that `window` sees for pixel (y, x) of its output: replaces what `seen` holds.
    #[inline(always)]
    pub(super) fn look(&'a self, window: Window, (y, x): (usize, usize), seen: &mut Vec<(usize, &'a [Chunk])>) {
        let before = (window.rows(self.height).0, window.columns(self.width).0);
        seen.clear();
        for position in 0..window.positions() {
            let (dy, dx) = (position / window.width, position % window.width);
            if let Some(pixel) = self.pixel(y * window.stride + dy, x * window.stride + dx, before) {
                seen.push((position, pixel));
            }
        }
    }
}

/// The place of one part's results: some channels of each pixel.
pub(super) struct Target<'a> {
    pub height: usize,
    pub width: usize,
    /// Channels of all parts.
    pub channels: usize,
    /// The first channel of this part.
    pub first: usize,
    pub output: &'a mut [MaybeUninit<Chunk>],
}

impl Target<'_> {
    /// Calls `row` with the index of each row of pixels and its output, from the part's first channel on.
    pub fn for_each_row(&mut self, operations: usize, row: impl Fn(usize, &mut [MaybeUninit<Chunk>]) + Sync) {
        let first = self.first;
        for_each_part(self.output, self.width * self.channels, operations, |y, output| row(y, &mut output[first..]));
    }
}

impl FrozenKernels for FusedFrozen {
    type Planes = FrozenPlanes;

    fn enter(&self, images: &[Vec<f32>], [height, width, channels]: [usize; 3]) -> FrozenPlanes {
        assert!((1..=LANES).contains(&images.len()), "{} images at once", images.len());
        let length = height * width * channels;
        assert!(images.iter().all(|image| image.len() == length), "images of {height} x {width} x {channels} values");
        let mut values = vec![[0.0; LANES]; length];
        for_each_part(&mut values, ENTERED_AT_ONCE, length * LANES, |index, values| {
            lanes::run(Enter { images, first: index * ENTERED_AT_ONCE, values });
        });
        FrozenPlanes { height, width, channels, values }
    }

    fn join(&self, parts: &[Part<'_, FrozenPlanes>]) -> FrozenPlanes {
        let shapes: Vec<[usize; 3]> = parts.iter().map(Part::output_shape).collect();
        let [height, width, _] = shapes[0];
        assert!(shapes.iter().all(|shape| shape[..2] == [height, width]), "planes of several sizes: {shapes:?}");
        let channels = shapes.iter().map(|shape| shape[2]).sum();
        let mut output = Box::<[Chunk]>::new_uninit_slice(height * width * channels);
        let mut first = 0;
        for (part, shape) in parts.iter().zip(&shapes) {
            part.write(Target { height, width, channels, first, output: &mut output });
            first += shape[2];
        }
        // SAFETY: every part writes all of its channels of all pixels, and the parts are all channels.
        let values = unsafe { output.assume_init() }.into_vec();
        FrozenPlanes { height, width, channels, values }
    }

    fn means(&self, planes: &FrozenPlanes, count: usize) -> Vec<f32> {
        let mut sums = vec![[0.0f32; LANES]; planes.channels];
        for pixel in planes.values.chunks_exact(planes.channels) {
            for (sum, chunk) in sums.iter_mut().zip(pixel) {
                sum.iter_mut().zip(chunk).for_each(|(sum, value)| *sum += value);
            }
        }
        let pixels = (planes.height * planes.width) as f32;
        (0..count).flat_map(|lane| sums.iter().map(move |sum| sum[lane] / pixels)).collect()
    }

    fn values(&self, planes: &FrozenPlanes, count: usize, channels: usize) -> Vec<f32> {
        let pixels = || planes.values.chunks_exact(planes.channels);
        (0..count)
            .flat_map(|lane| pixels().flat_map(move |pixel| pixel[..channels].iter().map(move |value| value[lane])))
            .collect()
    }
}

impl Part<'_, FrozenPlanes> {
    /// `[height, width, channels]`
    fn output_shape(&self) -> [usize; 3] {
        let (window, inputs, outputs) = match self.operation {
            Operation::Convolution(layer) => (layer.window, layer.inputs, layer.outputs),
            Operation::Depthwise(layer) => (layer.window, layer.channels, layer.channels),
            Operation::MaxPool(window) | Operation::AveragePool(window) => {
                (window, self.input.channels, self.input.channels)
            }
        };
        assert_eq!(inputs, self.input.channels, "channels that a layer takes");
        let shape = [window.rows(self.input.height).1, window.columns(self.input.width).1, outputs];
        if let Some(added) = self.added {
            assert!(matches!(self.operation, Operation::Convolution(_)), "only a convolution adds");
            assert_eq!([added.height, added.width, added.channels], shape, "what is added to a convolution");
        }
        shape
    }

    fn write(&self, target: Target<'_>) {
        match self.operation {
            Operation::Convolution(layer) => layer.write(self.input, self.added, target),
            Operation::Depthwise(layer) => layer.write(self.input, target),
            Operation::MaxPool(window) => super::pool::largest(window, self.input, target),
            Operation::AveragePool(window) => super::pool::mean(window, self.input, target),
        }
    }
}

/// A whole number of sixteens.
const ENTERED_AT_ONCE: usize = 4096;

struct Enter<'a> {
    images: &'a [Vec<f32>],
    /// The first value of each image.
    first: usize,
    values: &'a mut [Chunk],
}

impl Job for Enter<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        for (block, values) in self.values.chunks_mut(LANES).enumerate() {
            let first = self.first + block * LANES;
            let mut rows = [L::splat(0.0); LANES];
            for (row, image) in rows.iter_mut().zip(self.images) {
                let mut chunk = [0.0; LANES];
                chunk[..values.len()].copy_from_slice(&image[first..first + values.len()]);
                *row = L::load(&chunk);
            }
            let turned = L::turned(rows);
            for (value, turned) in values.iter_mut().zip(turned) {
                turned.store(value);
            }
        }
    }
}
