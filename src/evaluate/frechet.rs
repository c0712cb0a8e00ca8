//! The Fréchet distance of two Gaussians (Dowson and Landau 1982; as FID, Heusel et al. 2017, arXiv 1706.08500).

use faer::{Accum, Mat, Side};

use super::Gaussian;
use super::products::multiply;

/// Why there is no Fréchet distance.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum FrechetError {
    #[error("a Fréchet distance needs at least 2 images in each set, not {rows}")]
    TooFew { rows: usize },
    #[error("feature {feature} of image {row} is {value}")]
    NotFinite { row: usize, feature: usize, value: f32 },
    #[error("{values} values are no whole number of feature vectors of {dimension}")]
    NotWhole { values: usize, dimension: usize },
    #[error("feature vectors of {first} and of {second} values cannot be compared")]
    Dimensions { first: usize, second: usize },
    #[error("the eigenvalues of a covariance of features did not converge")]
    NoConvergence,
}

/// |mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr sqrt(S1 S2), at least 0.
pub fn frechet_distance(first: &Gaussian, second: &Gaussian) -> Result<f64, FrechetError> {
    FrechetReference::new(first.clone())?.distance(second)
}

/// One side of many Fréchet distances: what the other sides do not change is computed once.
pub struct FrechetReference {
    gaussian: Gaussian,
    /// R with S = R R^T: the eigenvectors of S, scaled, without those whose eigenvalue is zero to rounding: fewer images
    /// than features leave S singular, where a root of a product of covariances is ill-conditioned and may fail.
    root: Mat<f64>,
}

impl FrechetReference {
    pub fn new(gaussian: Gaussian) -> Result<Self, FrechetError> {
        let root = root(&gaussian.covariance)?;
        Ok(Self { gaussian, root })
    }

    /// The distance to `other`, at least 0.
    pub fn distance(&self, other: &Gaussian) -> Result<f64, FrechetError> {
        let Gaussian { mean, covariance } = &self.gaussian;
        if mean.len() != other.mean.len() {
            return Err(FrechetError::Dimensions { first: mean.len(), second: other.mean.len() });
        }
        let mean_term: f64 = mean.iter().zip(&other.mean).map(|(first, second)| (first - second).powi(2)).sum();
        let distance = mean_term + trace(covariance) + trace(&other.covariance)
            - 2.0 * self.trace_of_root_of_product(&other.covariance)?;
        // The exact value is never negative; that of (nearly) equal sets is, by rounding.
        Ok(if distance < 0.0 { 0.0 } else { distance })
    }

    /// tr sqrt(S1 S2) = sum of sqrt(eig(R^T S2 R)) with S1 = R R^T.
    fn trace_of_root_of_product(&self, other: &Mat<f64>) -> Result<f64, FrechetError> {
        let (size, rank) = (self.root.nrows(), self.root.ncols());
        if rank == 0 {
            return Ok(0.0);
        }
        let mut half = Mat::zeros(size, rank);
        multiply(half.as_mut(), Accum::Replace, other.as_ref(), self.root.as_ref());
        let mut product = Mat::zeros(rank, rank);
        multiply(product.as_mut(), Accum::Replace, self.root.transpose(), half.as_ref());
        let roots = product.self_adjoint_eigenvalues(Side::Lower).map_err(|_| FrechetError::NoConvergence)?;
        Ok(roots.iter().map(|value| value.max(0.0).sqrt()).sum())
    }
}

fn trace(matrix: &Mat<f64>) -> f64 {
    (0..matrix.nrows()).map(|index| matrix[(index, index)]).sum()
}

/// `[size, rank]`: see [`FrechetReference`].
fn root(covariance: &Mat<f64>) -> Result<Mat<f64>, FrechetError> {
    let eigen = covariance.self_adjoint_eigen(Side::Lower).map_err(|_| FrechetError::NoConvergence)?;
    let (vectors, values) = (eigen.U(), eigen.S().column_vector());
    let size = covariance.nrows();
    // In nondecreasing order.
    let zero = values[size - 1] * f64::EPSILON * size as f64;
    let null_dimensions = (0..size).take_while(|&index| values[index] <= zero).count();
    Ok(Mat::from_fn(size, size - null_dimensions, |row, column| {
        let index = null_dimensions + column;
        vectors[(row, index)] * values[index].sqrt()
    }))
}

#[cfg(test)]
mod tests {
    use super::super::GaussianFit;
    use super::*;
    use crate::random::{Draws, Stream};

    fn normal(seed: u64, rows: usize, dimension: usize, shift: f32, spread: f32) -> Vec<f32> {
        let mut features = vec![0.0; rows * dimension];
        Draws::new(seed, Stream::Noise, 0).fill_normal(&mut features);
        features.iter().map(|value| value * spread + shift).collect()
    }

    fn fit(features: &[f32], dimension: usize) -> Gaussian {
        let mut fit = GaussianFit::new(dimension);
        fit.push(features).unwrap();
        fit.finish().unwrap()
    }

    #[test]
    fn in_one_dimension_it_is_the_textbook_formula() {
        // (mu1 - mu2)^2 + (sigma1 - sigma2)^2; here means 1 and 4, standard deviations sqrt(2) and 2 sqrt(2).
        let distance = frechet_distance(&fit(&[0.0, 2.0], 1), &fit(&[2.0, 6.0], 1)).unwrap();
        assert!((distance - 11.0).abs() < 1e-12, "{distance}");
    }

    #[test]
    fn equal_sets_are_at_distance_zero_also_with_fewer_images_than_features() {
        for rows in [5, 40, 2000] {
            let gaussian = fit(&normal(1, rows, 64, 3.0, 2.0), 64);
            let distance = frechet_distance(&gaussian, &gaussian).unwrap();
            assert!(distance < 1e-6 * trace(&gaussian.covariance), "{rows} rows: {distance}");
        }
    }

    #[test]
    fn it_is_symmetric_and_grows_with_the_shift() {
        let (near, far) = (fit(&normal(2, 500, 16, 0.1, 1.0), 16), fit(&normal(3, 500, 16, 1.0, 1.0), 16));
        let origin = fit(&normal(1, 500, 16, 0.0, 1.0), 16);
        let distance = |first, second| frechet_distance(first, second).unwrap();
        assert!((distance(&origin, &far) - distance(&far, &origin)).abs() < 1e-9);
        assert!(distance(&origin, &far) > distance(&origin, &near));
    }

    #[test]
    fn a_set_that_never_varies_has_a_distance_too() {
        // Point mass against variance 2: 0 + 0 + 2 - 0.
        let distance = frechet_distance(&fit(&[1.0, 1.0], 1), &fit(&[0.0, 2.0], 1)).unwrap();
        assert!((distance - 2.0).abs() < 1e-12, "{distance}");
        assert_eq!(frechet_distance(&fit(&[7.0, 7.0], 1), &fit(&[7.0, 7.0], 1)).unwrap(), 0.0);
    }

    #[test]
    fn different_dimensions_are_refused() {
        let error = frechet_distance(&fit(&[0.0, 1.0], 1), &fit(&[0.0, 1.0, 2.0, 3.0], 2)).unwrap_err();
        assert_eq!(error.to_string(), "feature vectors of 1 and of 2 values cannot be compared");
    }
}
