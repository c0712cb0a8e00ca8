//! Errors of images whose patches are partly masked.

use crate::kernels::TokenChoice;

/// `[images, side, side]`: the weight of each pixel's error in the mean over its image, so that this is the mean over the patches that are shown, plus
/// `masked` times the mean over those that are not.
pub fn pixel_weights(shown: &TokenChoice, side: usize, masked: f64) -> Vec<f32> {
    let patches = shown.tokens();
    let per_row = patches.isqrt();
    let patch = side / per_row;
    let shown_weight = (patches as f64 / shown.count() as f64) as f32;
    let masked_weight = (masked * patches as f64 / (patches - shown.count()) as f64) as f32;
    let mut weights = Vec::with_capacity(shown.images() * side * side);
    for shown in shown.places().chunks_exact(shown.count()) {
        let mut of_patches = vec![masked_weight; patches];
        shown.iter().for_each(|&place| of_patches[place as usize] = shown_weight);
        let pixels = (0..side * side).map(|pixel| of_patches[pixel / side / patch * per_row + pixel % side / patch]);
        weights.extend(pixels);
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of four patches of two by two pixels is shown.
    #[test]
    fn shown_patches_are_averaged_and_masked_ones_added_with_their_weight() {
        let shown = TokenChoice::new(4, 1, &[1, 2]);
        let weights = pixel_weights(&shown, 4, 0.3);
        let (of_shown, of_masked) = (4.0, 0.4);
        let row = |left: f32, right: f32| [left, left, right, right];
        let (above, below) = (row(of_masked, of_shown), row(of_masked, of_masked));
        assert_eq!(weights[..16], [above, above, below, below].concat());
        let (above, below) = (row(of_masked, of_masked), row(of_shown, of_masked));
        assert_eq!(weights[16..], [above, above, below, below].concat());
    }
}
