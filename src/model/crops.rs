//! Where the pixels of a crop lie in its image, and how large the crops of a step are.

use burn::tensor::{Device, Tensor, TensorData};

use crate::random::{Draws, Stream};
use crate::spec::{PatchSchedule, RunSpec};

/// The side, in pixels, of what the network sees of each image in the step after `step` steps: that of the image, or of a crop.
pub fn seen_side(spec: &RunSpec, step: u64) -> usize {
    let side = spec.side_at(step);
    let patches = &spec.patch_diffusion;
    if !patches.is_on() {
        return side;
    }
    let place = match patches.schedule {
        PatchSchedule::Stochastic => Draws::new(spec.seed, Stream::CropSize, step).uniform(),
        PatchSchedule::Progressive => step as f64 / spec.train.steps as f64,
    };
    crop_side(side, patches.size_at(place))
}

/// The side of a crop of `size` of an image.
pub(super) fn crop_side(image_side: usize, size: f64) -> usize {
    (size * image_side as f64).round() as usize
}

/// `[2, side, side]`: the place of each pixel of a square in an image of `image_side` pixels, first from left to right, then from top to
/// bottom, from -1 to 1. The square's first pixel is at (row, column). As `pachify` of the authors' code (Wang et al. 2023, arXiv
/// 2304.12526) has them: 2 (place / (image_side - 1) - 0.5); of an image of one pixel they are 0.
pub fn coordinates(image_side: usize, side: usize, (row, column): (usize, usize)) -> Vec<f32> {
    let last = image_side.saturating_sub(1).max(1) as f64;
    let middle = if image_side > 1 { 0.5 } else { 0.0 };
    let place = |place: usize| (2.0 * (place as f64 / last - middle)) as f32;
    let across = (0..side * side).map(|pixel| place(column + pixel % side));
    let down = (0..side * side).map(|pixel| place(row + pixel / side));
    across.chain(down).collect()
}

/// [`coordinates`] of `batch` whole images, `[batch, 2, side, side]`.
pub(super) fn whole_images(batch: usize, side: usize, device: &Device) -> Tensor<4> {
    let places = TensorData::new(coordinates(side, side, (0, 0)), [1, 2, side, side]);
    Tensor::<4>::from_data(places, device).repeat_dim(0, batch)
}
