//! 3x3 convolutions of stride 1 by Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray 2016, arXiv 1509.09308,
//! section 4.1): 16 products for four outputs instead of 36.
//!
//! With Y a 2x2 tile of the output, d the 4x4 tile of the input around it and g the kernel:
//! Y = A^T [(G g G^T) . (B^T d B)] A. The gradients are those of this formula: that of the input is the same
//! convolution with the kernel turned by 180 degrees, that of the kernel is G^T [sum of (A dY A^T) . (B^T d B)] G.
//! All transforms are sums and differences, and an error grows little (a test compares with plain convolution).

mod convolution;
mod outer_products;
mod transform;
mod weight_gradient;

pub use convolution::{Direction, Finish, Kernels, convolve, convolve_into};
pub use transform::TiledPlanes;
pub use weight_gradient::weight_gradient;

use super::{Convolution, Resample};
use crate::kernels::lanes::Chunk;

/// Whether this way is the faster one for planes of `height` x `width` pixels.
pub fn suits(shape: Convolution, height: usize, width: usize) -> bool {
    // With fewer channels the transforms of the planes cost more than the products that they save, with smaller planes
    // those of the kernels.
    shape.kernel == 3
        && shape.resample == Resample::Keep
        && shape.inputs.min(shape.outputs) >= LEAST_CHANNELS
        && height * width >= LEAST_PIXELS
}

const LEAST_CHANNELS: usize = 8;
/// Measured: planes of 4x4 gain 2 % of a network's step on one thread and 13 % on two, planes of 3x3 lose.
const LEAST_PIXELS: usize = 16;

/// Products for one tile and pair of channels.
const POSITIONS: usize = 16;

/// Side of a tile of the output, in pixels.
const TILE: usize = 2;

/// Bytes of transformed values that are worked on at once: half of a second-level cache.
const SCRATCH_BYTES: usize = 1 << 20;

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
