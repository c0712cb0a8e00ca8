//! CMMD (Jayasumana et al. 2024, arXiv 2401.09603): a kernel distance of CLIP's embeddings.

use faer::{Accum, Mat, MatRef};
use rayon::prelude::*;

use super::products::multiply;
use super::{FeatureRows, MeasureError};

/// The deviation of the Gaussian kernel (section 4 of the paper).
pub const CMMD_DEVIATION: f64 = 10.0;
/// What the distance is multiplied by, to be read easily.
const SCALE: f64 = 1000.0;
/// Images of a set, and of the other set, whose kernels a thread computes together. They are fixed, so that no sum is split differently on
/// another machine.
const ROWS: usize = 256;
const OTHERS: usize = 1024;

/// 1,000 times the squared maximum mean discrepancy of two sets of embeddings, each taken to length 1, with the kernel
/// exp(-|x - y|^2 / (2 sigma^2)), sigma = 10. Every image is compared with itself, too: the estimate is biased (Gretton et al. 2012, JMLR
/// 13, equation 5), as that of the authors' code is. `of_reference` is the [`mean_kernel`] of the reference with itself.
///
/// # Errors
/// If the embeddings differ in length, or a set has no images.
pub fn cmmd(generated: FeatureRows, reference: FeatureRows, of_reference: f64) -> Result<f64, MeasureError> {
    let (own, other) = (mean_kernel(generated, generated)?, mean_kernel(generated, reference)?);
    Ok(SCALE * (own + of_reference - 2.0 * other))
}

/// The mean of that kernel over all pairs of an image of `first` and one of `second`.
///
/// # Errors
/// If the embeddings differ in length, or a set has no images.
pub fn mean_kernel(first: FeatureRows, second: FeatureRows) -> Result<f64, MeasureError> {
    first.same_dimension(second)?;
    let (count, others) = (first.count(), second.count());
    if count.min(others) == 0 {
        return Err(MeasureError::TooFew { measure: "a CMMD", least: 1, images: 0 });
    }
    let sums: Vec<f64> = (0..count.div_ceil(ROWS))
        .into_par_iter()
        .map(|block| {
            let rows = unit_rows(first, block * ROWS..count.min((block + 1) * ROWS));
            let blocks = (0..others).step_by(OTHERS);
            blocks
                .map(|start| {
                    sum_of_kernels(&rows, &unit_rows(second, start..others.min(start + OTHERS)), first.dimension())
                })
                .sum()
        })
        .collect();
    Ok(sums.iter().sum::<f64>() / (count as f64 * others as f64))
}

/// The sum over all pairs of rows of length 1, or 0 where a row is zero.
fn sum_of_kernels(first: &[f64], second: &[f64], dimension: usize) -> f64 {
    let rows = |values: &[f64]| values.len() / dimension;
    let squares = |values: &[f64]| -> Vec<f64> {
        values.chunks_exact(dimension).map(|row| row.iter().map(|value| value * value).sum()).collect()
    };
    let (x, y) = (
        MatRef::from_row_major_slice(first, rows(first), dimension),
        MatRef::from_row_major_slice(second, rows(second), dimension),
    );
    let mut products = Mat::zeros(x.nrows(), y.nrows());
    multiply(products.as_mut(), Accum::Replace, x, y.transpose());
    let (of_first, of_second) = (squares(first), squares(second));
    let gamma = 1.0 / (2.0 * CMMD_DEVIATION * CMMD_DEVIATION);
    let mut sum = 0.0;
    for (column, of_second) in of_second.iter().enumerate() {
        for (product, of_first) in products.col(column).iter().zip(&of_first) {
            sum += (-gamma * (of_first + of_second - 2.0 * product)).exp();
        }
    }
    sum
}

/// Rows divided by their lengths.
fn unit_rows(rows: FeatureRows, range: std::ops::Range<usize>) -> Vec<f64> {
    let dimension = rows.dimension();
    let mut values = rows.widened(range);
    for row in values.chunks_exact_mut(dimension) {
        let length = row.iter().map(|value| value * value).sum::<f64>().sqrt();
        if length > 0.0 {
            row.iter_mut().for_each(|value| *value /= length);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Draws, Stream};

    fn normal(seed: u64, count: usize) -> Vec<f32> {
        let mut values = vec![0.0; 8 * count];
        Draws::new(seed, Stream::Noise, 0).fill_normal(&mut values);
        values
    }

    fn measured(generated: &[f32], reference: &[f32]) -> f64 {
        let (generated, reference) = (FeatureRows::new(generated, 8).unwrap(), FeatureRows::new(reference, 8).unwrap());
        cmmd(generated, reference, mean_kernel(reference, reference).unwrap()).unwrap()
    }

    #[test]
    fn equal_sets_are_at_distance_zero_and_lengths_do_not_count() {
        let (one, other) = (normal(1, 300), normal(2, 1100));
        let doubled: Vec<f32> = one.iter().map(|value| 2.0 * value).collect();
        assert!(measured(&one, &doubled).abs() < 1e-9);
        let distance = measured(&one, &other);
        assert!(distance > 1e-3 && (measured(&doubled, &other) - distance).abs() < 1e-9, "{distance}");
        // Opposite vectors are at a squared distance of 4 from each other.
        let [e, minus] = [1.0, -1.0].map(|value| [[value].as_slice(), &[0.0; 7]].concat());
        let expected = 1000.0 * (2.0 - 2.0 * (-4.0f64 / 200.0).exp());
        assert!((measured(&e, &minus) - expected).abs() < 1e-9);
    }

    #[test]
    fn the_number_of_threads_changes_no_bit_and_no_images_are_an_error() {
        let (one, other) = (normal(1, 700), normal(2, 1100));
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| measured(&one, &other))
        };
        assert_eq!(with(1), with(3));
        let error = mean_kernel(FeatureRows::new(&[], 8).unwrap(), FeatureRows::new(&one, 8).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "a CMMD needs at least 1 images in each set, not 0");
    }
}
