//! The Fréchet distance of infinitely many generated images (FID-infinity: Chong and Forsyth 2020, arXiv 1911.07023).

use rayon::prelude::*;

use super::{FeatureRows, FrechetReference, GaussianFit, MeasureError};
use crate::random::{Draws, Stream};

/// Distances that the line is drawn through: what the authors' code uses.
const POINTS: usize = 15;
/// The smallest subset is this part of the images: the authors go from 5,000 of 50,000.
const SMALLEST: usize = 10;
/// The smallest subset has so many images for each value of a feature vector: the authors have 5,000 for 2,048, and nothing in
/// their code that keeps to it. The covariance of fewer than one is singular, and the distance no line in 1 / images.
const IMAGES_PER_VALUE: usize = 2;
/// Every run's subsets are the same, whatever its seed.
const SEED: u64 = 0;

/// The value of a straight line through (1 / images, distance) at 1 / images = 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FidInfinity {
    pub distance: f64,
    /// The standard error of the line's intercept, by ordinary least squares: how well the points lie on a line. The
    /// points share images, so it understates how far the distance would scatter with new images.
    pub standard_error: f64,
}

/// (how many subsets, how many images in the smallest) of so many images.
pub fn infinity_subset_counts(images: usize, dimension: usize) -> (usize, usize) {
    (POINTS, (images / SMALLEST).max(IMAGES_PER_VALUE * dimension).min(images))
}

/// The rows of each of the 15 subsets of `images`, each drawn anew, their sizes equally far apart (as the authors' code has it):
/// from a tenth of them, or twice `dimension` if that is more, to all.
pub fn infinity_subsets(images: usize, dimension: usize) -> Vec<Vec<u32>> {
    let (points, smallest) = infinity_subset_counts(images, dimension);
    let subset = |point: usize| {
        let count = smallest + (images - smallest) * point / (points - 1);
        Draws::new(SEED, Stream::FidSubsets, point as u64).subset(images, count)
    };
    (0..points).map(subset).collect()
}

/// FID has a bias of about a constant divided by the number of images; the line takes it out. It holds where every subset has
/// (many) more images than a feature vector has values: [`infinity_subsets`] sees to it.
///
/// # Errors
/// If there are fewer than three subsets, one has fewer than two images, or the feature vectors differ in length.
pub fn fid_infinity(
    generated: FeatureRows,
    reference: &FrechetReference,
    subsets: &[Vec<u32>],
) -> Result<FidInfinity, MeasureError> {
    if subsets.len() < 3 {
        return Err(MeasureError::TooFewSubsets { subsets: subsets.len() });
    }
    let points = subsets.par_iter().map(|rows| {
        let mut fit = GaussianFit::new(generated.dimension());
        rows.iter().try_for_each(|&row| fit.push(generated.row(row as usize)))?;
        Ok((1.0 / rows.len() as f64, reference.distance(&fit.finish()?)?))
    });
    let points: Vec<(f64, f64)> = points.collect::<Result<_, MeasureError>>()?;
    let (distance, standard_error) = intercept(&points);
    Ok(FidInfinity { distance, standard_error })
}

/// The intercept of the line through (x, y) by ordinary least squares, and its standard error.
fn intercept(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len() as f64;
    let mean = |value: fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / count;
    let (x_mean, y_mean) = (mean(|point| point.0), mean(|point| point.1));
    let x_squares: f64 = points.iter().map(|(x, _)| (x - x_mean).powi(2)).sum();
    let slope = points.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum::<f64>() / x_squares;
    let intercept = y_mean - slope * x_mean;
    let residuals: f64 = points.iter().map(|(x, y)| (y - intercept - slope * x).powi(2)).sum();
    let variance = residuals / (count - 2.0);
    (intercept, (variance * (1.0 / count + x_mean * x_mean / x_squares)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(seed: u64, count: usize) -> Vec<f32> {
        let mut values = vec![0.0; 16 * count];
        Draws::new(seed, Stream::Noise, 0).fill_normal(&mut values);
        values
    }

    fn reference() -> FrechetReference {
        let mut fit = GaussianFit::new(16);
        fit.push(&normal(0, 50_000)).unwrap();
        FrechetReference::new(fit.finish().unwrap()).unwrap()
    }

    #[test]
    fn the_bias_of_few_images_is_gone() {
        // Images of the reference's own distribution: the distance of infinitely many is (nearly) zero.
        let reference = reference();
        let found: Vec<(f64, FidInfinity)> = (1..=12)
            .map(|seed| {
                let values = normal(seed, 1000);
                let rows = FeatureRows::new(&values, 16).unwrap();
                let mut fit = GaussianFit::new(16);
                fit.push(&values).unwrap();
                let fid = reference.distance(&fit.finish().unwrap()).unwrap();
                (fid, fid_infinity(rows, &reference, &infinity_subsets(1000, 16)).unwrap())
            })
            .collect();
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
        let biased = mean(found.iter().map(|(fid, _)| *fid).collect());
        let unbiased = mean(found.iter().map(|(_, infinity)| infinity.distance).collect());
        assert!(biased > 0.05 && unbiased.abs() < 0.2 * biased, "{biased} and {unbiased}");
        assert!(found.iter().all(|(_, infinity)| infinity.standard_error < 0.05), "{found:?}");
    }

    #[test]
    fn subsets_go_from_a_tenth_to_all() {
        let subsets = infinity_subsets(50_000, 2048);
        let counts: Vec<usize> = subsets.iter().map(Vec::len).collect();
        assert_eq!((counts[0], counts[1], counts[7], counts[14]), (5000, 8214, 27_500, 50_000));
        assert_ne!(subsets[0], subsets[1][..5000], "drawn anew");
        // Two images for each value at least, also of few images.
        let counts = |images, dimension| {
            let subsets = infinity_subsets(images, dimension);
            subsets.iter().map(Vec::len).collect::<Vec<usize>>()
        };
        assert_eq!((counts(250, 64)[0], counts(250, 64)[14]), (128, 250));
        assert_eq!((counts(10_000, 2048)[0], counts(1280, 64)[0], counts(1300, 64)[0]), (4096, 128, 130));
        // The fewest that plans allow still give different sizes.
        assert!(counts(192, 64).windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_line_through_points_on_a_line_has_no_error() {
        let points: Vec<(f64, f64)> = (1..8).map(|n| (1.0 / f64::from(n), 3.0 + 7.0 / f64::from(n))).collect();
        let (intercept, standard_error) = intercept(&points);
        assert!((intercept - 3.0).abs() < 1e-12 && standard_error < 1e-12);
    }

    #[test]
    fn what_has_no_line_is_said() {
        let values = normal(1, 20);
        let rows = FeatureRows::new(&values, 16).unwrap();
        let error = fid_infinity(rows, &reference(), &[vec![0, 1], vec![2, 3]]).unwrap_err().to_string();
        assert_eq!(error, "a line needs at least 3 subsets, not 2");
        let error = fid_infinity(rows, &reference(), &[vec![0], vec![2, 3], vec![4, 5]]).unwrap_err().to_string();
        assert_eq!(error, "a Fréchet distance needs at least 2 images in each set, not 1");
    }
}
