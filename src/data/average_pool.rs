//! Smaller images by averaging.

/// Square planes of `side` pixels as planes of `smaller` pixels, each the mean of a square of pixels: in f64, row by row, rounded once.
/// `planes` holds them one after the other. PyTorch calls it `avg_pool2d`.
///
/// # Panics
/// If `smaller` does not divide `side`, or `planes` are not whole planes.
pub fn average_pooled(planes: &[f32], side: usize, smaller: usize) -> Vec<f32> {
    assert!(
        smaller > 0 && side.is_multiple_of(smaller),
        "squares of pixels of {side} x {side} for {smaller} x {smaller}"
    );
    assert!(planes.len().is_multiple_of(side * side), "whole planes");
    if smaller == side {
        return planes.to_vec();
    }
    let factor = side / smaller;
    let share = ((factor * factor) as f64).recip();
    let mut pooled = Vec::with_capacity(planes.len() / (factor * factor));
    for plane in planes.chunks_exact(side * side) {
        for rows in plane.chunks_exact(factor * side) {
            for column in 0..smaller {
                let squares = rows.chunks_exact(side).flat_map(|row| &row[column * factor..(column + 1) * factor]);
                pooled.push((squares.map(|&pixel| f64::from(pixel)).sum::<f64>() * share) as f32);
            }
        }
    }
    pooled
}
