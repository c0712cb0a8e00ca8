use std::cell::Cell;
use std::rc::Rc;

use super::{FrozenKernels, Operation, Part};

/// Counts what a network does instead of doing it: its planes have shapes and no values.
#[derive(Default)]
pub struct CountedFrozen {
    counts: Rc<Counts>,
}

#[derive(Default)]
struct Counts {
    flops: Cell<usize>,
    weights: Cell<usize>,
    live: Cell<usize>,
    most_live: Cell<usize>,
}

/// `[height, width, channels]` of one image.
pub struct CountedPlanes {
    shape: [usize; 3],
    counts: Rc<Counts>,
}

impl CountedFrozen {
    /// Floating-point operations of the convolutions for one image, two for a multiplication and an addition.
    pub fn flops(&self) -> usize {
        self.counts.flops.get()
    }

    /// Values that the convolutions hold, those for Winograd's tiles among them.
    pub fn weights(&self) -> usize {
        self.counts.weights.get()
    }

    /// The most values of one image's planes that there were at a time.
    pub fn most_live(&self) -> usize {
        self.counts.most_live.get()
    }

    fn planes(&self, shape: [usize; 3]) -> CountedPlanes {
        let Counts { live, most_live, .. } = &*self.counts;
        live.set(live.get() + shape.iter().product::<usize>());
        most_live.set(most_live.get().max(live.get()));
        CountedPlanes { shape, counts: Rc::clone(&self.counts) }
    }
}

impl Drop for CountedPlanes {
    fn drop(&mut self) {
        let live = &self.counts.live;
        live.set(live.get() - self.shape.iter().product::<usize>());
    }
}

impl FrozenKernels for CountedFrozen {
    type Planes = CountedPlanes;

    fn enter(&self, _images: &[Vec<f32>], shape: [usize; 3]) -> CountedPlanes {
        self.planes(shape)
    }

    fn join(&self, parts: &[Part<'_, CountedPlanes>]) -> CountedPlanes {
        let Counts { flops, weights, .. } = &*self.counts;
        let mut joined = [0; 3];
        for Part { operation, input, .. } in parts {
            let [height, width, channels] = input.shape;
            let (window, outputs) = match operation {
                Operation::Convolution(layer) => (layer.window, layer.outputs),
                Operation::Depthwise(layer) => (layer.window, layer.channels),
                Operation::MaxPool(window) | Operation::AveragePool(window) => (*window, channels),
            };
            let (height, width) = (window.rows(height).1, window.columns(width).1);
            joined = [height, width, joined[2] + outputs];
            let (layer_weights, held) = match operation {
                Operation::Convolution(layer) => {
                    // Sixteen for each pair of channels instead of nine: tiles of 4x4 pixels.
                    let tiles = if layer.has_winograd() { 16 * layer.inputs * layer.outputs } else { 0 };
                    (layer.weight_count(), layer.weight_count() + layer.bias.len() + tiles)
                }
                Operation::Depthwise(layer) => (layer.weight.len(), layer.weight.len() + layer.bias.len()),
                Operation::MaxPool(_) | Operation::AveragePool(_) => (0, 0),
            };
            flops.set(flops.get() + 2 * layer_weights * height * width);
            weights.set(weights.get() + held);
        }
        self.planes(joined)
    }

    fn means(&self, planes: &CountedPlanes, count: usize) -> Vec<f32> {
        vec![0.0; count * planes.shape[2]]
    }

    fn values(&self, planes: &CountedPlanes, count: usize, channels: usize) -> Vec<f32> {
        vec![0.0; count * planes.shape[0] * planes.shape[1] * channels]
    }
}
