//! 3x3 convolutions of stride 1 by Winograd's minimal filtering F(2x2, 3x3) and F(4x4, 3x3) (Lavin and Gray 2016, arXiv 1509.09308,
//! sections 4.1 and 4.3): 16 products for four outputs instead of 36, or 36 for sixteen instead of 144.
//!
//! With Y a tile of S - 2 pixels a side of the output, d the S x S tile of the input around it and g the kernel, S being 4 or 6:
//! Y = A^T [(G g G^T) . (B^T d B)] A. The gradients are those of this formula: that of the input is the same
//! convolution with the kernel turned by 180 degrees, that of the kernel is G^T [sum of (A dY A^T) . (B^T d B)] G.
//! In tiles of 2x2 all transforms are sums and differences, and an error hardly grows; in tiles of 4x4 it grows some fivefold (a test
//! compares with plain convolution, another with a convolution in f64). A convolution that doubles its input sees each pixel four times.

mod convolution;
mod finish;
mod kernels;
mod lines;
mod transform;
mod weight_gradient;

pub use convolution::{convolve, convolve_into};
pub use finish::Finish;
pub use kernels::{Direction, Kernels};
pub use transform::TiledPlanes;
pub use weight_gradient::weight_gradient;

use super::{Convolution, Resample};
use crate::kernels::lanes::Chunk;

/// Whether this way is the faster one for planes of `height` x `width` pixels.
pub fn suits(shape: Convolution, height: usize, width: usize) -> bool {
    // With fewer channels the transforms of the planes cost more than the products that they save, with smaller planes
    // those of the kernels.
    let scale = scale_of(shape);
    shape.kernel == 3
        && shape.resample != Resample::Halve
        && shape.inputs.min(shape.outputs) >= LEAST_CHANNELS
        && scale * height * scale * width >= LEAST_PIXELS
}

/// Pixels of what is convolved to one of the input, in both directions.
fn scale_of(shape: Convolution) -> usize {
    if shape.resample == Resample::Double { 2 } else { 1 }
}

const LEAST_CHANNELS: usize = 8;
/// Measured: planes of 4x4 gain 2 % of a network's step on one thread and 13 % on two, planes of 3x3 lose.
const LEAST_PIXELS: usize = 16;

/// Sides of a tile of the input, in pixels.
const SMALL: usize = 4;
const LARGE: usize = 6;

/// The side of the tiles that planes are cut into: where few of their pixels would lie outside, large ones take fewer products.
fn span(height: usize, width: usize) -> usize {
    let count = |span: usize| height.div_ceil(span - 2) * width.div_ceil(span - 2) * span * span;
    if count(LARGE) < count(SMALL) { LARGE } else { SMALL }
}

/// Bytes of transformed values that are worked on at once: a quarter of a second-level cache of 1 MiB, where the pixels are, too.
const SCRATCH_BYTES: usize = 1 << 18;

/// Vectors (tiles times chunks) whose transformed values, of `channels` channels at `positions` positions, fit.
fn vectors_at_once(channels: usize, positions: usize) -> usize {
    (SCRATCH_BYTES / (channels * positions * size_of::<Chunk>())).clamp(4, 64)
}

/// Splits the chunks of a batch and the tiles of a row so that a group of both has about `vectors` vectors.
#[derive(Clone, Copy)]
struct Groups {
    chunks: usize,
    tiles: usize,
}

impl Groups {
    fn new(chunks: usize, vectors: usize) -> Self {
        let chunks = chunks.min(vectors);
        Self { chunks, tiles: (vectors / chunks).max(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Products;
    use crate::kernels::lanes::LANES;
    use crate::kernels::lanes::tests::on_all_lanes;
    use crate::kernels::planes::{Planes, planes_tensor};
    use crate::random::{Draws, Stream};

    fn normals(count: usize, index: u64) -> Vec<f32> {
        let mut values = vec![0.0; count];
        Draws::new(3, Stream::Noise, index).fill_normal(&mut values);
        values
    }

    fn planes(values: &[f32], height: usize, width: usize, channels: usize) -> Planes {
        Planes::new(&planes_tensor(values.as_chunks().0.to_vec(), height, width, channels))
    }

    /// The norm of the difference over that of what is exact.
    fn error<'a>(found: impl IntoIterator<Item = &'a f32>, exact: &[f64]) -> f64 {
        let pairs = found.into_iter().zip(exact);
        let difference: f64 = pairs.map(|(&found, exact)| (f64::from(found) - exact).powi(2)).sum();
        (difference / exact.iter().map(|exact| exact.powi(2)).sum::<f64>()).sqrt()
    }

    #[test]
    fn planes_take_the_tiles_with_the_fewest_products() {
        let large = [(4, 4), (8, 8), (7, 7), (9, 9), (32, 32), (3, 12), (28, 28)];
        let small = [(1, 16), (6, 6), (5, 5), (2, 8)];
        assert!(large.iter().all(|&(height, width)| span(height, width) == LARGE));
        assert!(small.iter().all(|&(height, width)| span(height, width) == SMALL));
    }

    /// Both kinds of tiles against sums in f64: of plain f32 sums of as many terms the errors are 1e-7 to 3e-7, of products of numbers that
    /// were rounded to bf16 2.3e-3.
    #[test]
    fn errors_stay_near_those_of_plain_sums() {
        for (height, width, products, most) in [
            (6, 6, Products::F32, 1e-6),
            (8, 8, Products::F32, 1e-6),
            (7, 4, Products::F32, 1e-6),
            (6, 6, Products::Bf16, 0.005),
            (8, 8, Products::Bf16, 0.014),
            (7, 4, Products::Bf16, 0.014),
        ] {
            let (inputs, outputs) = (24, 17);
            let shape = Convolution::square(inputs, outputs, Resample::Keep);
            let (values, weight) = (normals(height * width * inputs * LANES, 0), normals(shape.weight_count(), 1));
            let gradients = normals(height * width * outputs * LANES, 2);
            let mut output = vec![0f64; gradients.len()];
            let (mut of_input, mut of_weight) = (vec![0f64; values.len()], vec![0f64; weight.len()]);
            for (y, x, position) in
                (0..height * width * 9).map(|index| (index / 9 / width, index / 9 % width, index % 9))
            {
                let (from_y, from_x) = ((y + position / 3).wrapping_sub(1), (x + position % 3).wrapping_sub(1));
                if from_y >= height || from_x >= width {
                    continue;
                }
                for (from, to, lane) in (0..inputs * outputs * LANES)
                    .map(|index| (index / LANES / outputs, index / LANES % outputs, index % LANES))
                {
                    let source = ((from_y * width + from_x) * inputs + from) * LANES + lane;
                    let target = ((y * width + x) * outputs + to) * LANES + lane;
                    let number = (to * inputs + from) * 9 + position;
                    let [value, gradient, weight] = [values[source], gradients[target], weight[number]].map(f64::from);
                    output[target] += value * weight;
                    of_input[source] += gradient * weight;
                    of_weight[number] += gradient * value;
                }
            }
            let (input, gradient) =
                (planes(&values, height, width, inputs), planes(&gradients, height, width, outputs));
            on_all_lanes(|kind| {
                let convolve = |direction, planes| convolve(shape, products, direction, planes, &weight, None, None);
                let errors = [
                    error(convolve(Direction::Forward, &input).as_flattened(), &output),
                    error(convolve(Direction::Backward, &gradient).as_flattened(), &of_input),
                    error(&weight_gradient(shape, products, &input, &gradient), &of_weight),
                ];
                println!("{height}x{width}, {products:?}, {kind:?}: {errors:?}");
                assert!(
                    errors.iter().all(|&error| error < most),
                    "{height}x{width}, {products:?}, {kind:?}: {errors:?}"
                );
            });
        }
    }
}
