use faer::{Mat, MatMut, MatRef};

use super::FrechetError;
use super::products::add_scatter;

/// Rows folded at a time. Blocks start at fixed rows, so the result does not depend on how the rows arrive.
const BLOCK_ROWS: usize = 256;

/// The mean and covariance of a set of feature vectors.
#[derive(Clone, Debug)]
pub struct Gaussian {
    pub mean: Vec<f64>,
    /// Symmetric, divided by n - 1.
    pub covariance: Mat<f64>,
}

/// Gathers a [`Gaussian`] from rows that arrive in parts, in f64 and without keeping them.
///
/// Blocks are centred on their own mean before squaring and merged pairwise (Chan, Golub and LeVeque 1983), so a mean
/// far from zero costs no digits. Fits of parts of a set, gathered anywhere, are merged the same way.
#[derive(Clone, Debug)]
pub struct GaussianFit {
    dimension: usize,
    /// Rows folded into `mean` and `scatter`.
    folded: usize,
    mean: Vec<f64>,
    /// Sum of (x - mean)(x - mean)^T over the folded rows; what is above the diagonal is not used.
    scatter: Mat<f64>,
    /// Rows not yet folded, one after another.
    pending: Vec<f64>,
}

impl GaussianFit {
    /// For feature vectors of `dimension` values.
    pub fn new(dimension: usize) -> Self {
        assert!(dimension > 0, "a feature vector has values");
        let scatter = Mat::zeros(dimension, dimension);
        Self { dimension, folded: 0, mean: vec![0.0; dimension], scatter, pending: vec![] }
    }

    /// Adds feature vectors, `[n, dimension]`.
    pub fn push(&mut self, features: &[f32]) -> Result<(), FrechetError> {
        if !features.len().is_multiple_of(self.dimension) {
            return Err(FrechetError::NotWhole { values: features.len(), dimension: self.dimension });
        }
        for row in features.chunks_exact(self.dimension) {
            if let Some(feature) = row.iter().position(|value| !value.is_finite()) {
                return Err(FrechetError::NotFinite { row: self.rows(), feature, value: row[feature] });
            }
            self.pending.extend(row.iter().map(|&value| f64::from(value)));
            if self.pending.len() == BLOCK_ROWS * self.dimension {
                self.fold();
            }
        }
        Ok(())
    }

    /// How many feature vectors were added.
    pub fn rows(&self) -> usize {
        self.folded + self.pending.len() / self.dimension
    }

    /// Takes in the rows of `other`. Merging parts gives what one fit of all rows gives, but for rounding (a relative 1e-12);
    /// the order in which parts are merged is part of the result's last bits.
    ///
    /// # Errors
    /// If the feature vectors have different lengths.
    pub fn merge(&mut self, mut other: Self) -> Result<(), FrechetError> {
        if self.dimension != other.dimension {
            return Err(FrechetError::Dimensions { first: self.dimension, second: other.dimension });
        }
        self.fold();
        other.fold();
        if other.folded > 0 {
            for column in 0..self.dimension {
                for row in column..self.dimension {
                    self.scatter[(row, column)] += other.scatter[(row, column)];
                }
            }
            self.shift_towards(&other.mean, other.folded);
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<Gaussian, FrechetError> {
        self.fold();
        if self.folded < 2 {
            return Err(FrechetError::TooFew { rows: self.folded });
        }
        let scale = 1.0 / (self.folded - 1) as f64;
        let covariance = Mat::from_fn(self.dimension, self.dimension, |row, column| {
            self.scatter[(row.max(column), row.min(column))] * scale
        });
        Ok(Gaussian { mean: self.mean, covariance })
    }

    fn fold(&mut self) {
        let mut block = std::mem::take(&mut self.pending);
        let rows = block.len() / self.dimension;
        if rows == 0 {
            return;
        }
        let mut block_mean = vec![0.0; self.dimension];
        for row in block.chunks_exact(self.dimension) {
            block_mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        block_mean.iter_mut().for_each(|sum| *sum /= rows as f64);
        for row in block.chunks_exact_mut(self.dimension) {
            row.iter_mut().zip(&block_mean).for_each(|(value, mean)| *value -= mean);
        }
        add_scatter(self.scatter.as_mut(), MatRef::from_row_major_slice(&block, rows, self.dimension));
        self.shift_towards(&block_mean, rows);
        block.clear();
        self.pending = block;
    }

    /// The change by `rows` more rows around `mean`, once their own scatter has been added.
    fn shift_towards(&mut self, mean: &[f64], rows: usize) {
        let (old, new) = (self.folded as f64, rows as f64);
        let shift: Vec<f64> = mean.iter().zip(&self.mean).map(|(new, old)| new - old).collect();
        add_outer_square(self.scatter.as_mut(), &shift, old * new / (old + new));
        self.mean.iter_mut().zip(&shift).for_each(|(mean, shift)| *mean += shift * new / (old + new));
        self.folded += rows;
    }
}

/// `matrix += factor * vector vector^T`.
fn add_outer_square(mut matrix: MatMut<'_, f64>, vector: &[f64], factor: f64) {
    for (column, right) in vector.iter().enumerate() {
        for (row, left) in vector.iter().enumerate() {
            matrix[(row, column)] += factor * left * right;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize) -> Vec<f32> {
        // Around 1,000, where a sum of squares minus a squared mean would lose ten of f64's digits.
        (0..count)
            .flat_map(|row| [1000.0 + (row % 7) as f32, 1000.0 - (row % 5) as f32, (row * row % 11) as f32])
            .collect()
    }

    #[test]
    fn mean_and_covariance_are_those_of_the_definition() {
        let features = rows(700);
        let mut fit = GaussianFit::new(3);
        fit.push(&features).unwrap();
        let gaussian = fit.finish().unwrap();
        let mean =
            |index: usize| features.iter().skip(index).step_by(3).map(|&value| f64::from(value)).sum::<f64>() / 700.0;
        for left in 0..3 {
            assert!((gaussian.mean[left] - mean(left)).abs() < 1e-10);
            for right in 0..3 {
                let products = features
                    .chunks(3)
                    .map(|row| (f64::from(row[left]) - mean(left)) * (f64::from(row[right]) - mean(right)));
                let expected = products.sum::<f64>() / 699.0;
                assert!((gaussian.covariance[(left, right)] - expected).abs() < 1e-10);
            }
        }
    }

    #[test]
    fn how_the_rows_arrive_changes_no_bit() {
        let features = rows(700);
        let fit = |rows_at_once: usize| {
            let mut fit = GaussianFit::new(3);
            features.chunks(3 * rows_at_once).for_each(|part| fit.push(part).unwrap());
            fit.finish().unwrap()
        };
        let (whole, parts) = (fit(700), fit(33));
        assert_eq!(whole.mean, parts.mean);
        assert_eq!(whole.covariance, parts.covariance);
    }

    /// Of 300 values a row, so that the scatter has two panels; means far from zero.
    fn wide_rows(count: usize) -> Vec<f32> {
        (0..count * 300).map(|index| 500.0 + (index * index % 1009) as f32 / 100.0).collect()
    }

    #[test]
    fn merging_parts_gives_the_whole() {
        let features = wide_rows(1000);
        let part = |rows: std::ops::Range<usize>| {
            let mut fit = GaussianFit::new(300);
            fit.push(&features[rows.start * 300..rows.end * 300]).unwrap();
            fit
        };
        let whole = part(0..1000).finish().unwrap();
        let largest = (0..300).map(|index| whole.covariance[(index, index)]).fold(0.0, f64::max);
        for cuts in [vec![0, 1000], vec![0, 1, 1000], vec![0, 256, 512, 513, 900, 1000], vec![0, 0, 500, 500, 1000]] {
            let mut merged = GaussianFit::new(300);
            cuts.windows(2).for_each(|cut| merged.merge(part(cut[0]..cut[1])).unwrap());
            assert_eq!(merged.rows(), 1000);
            let merged = merged.finish().unwrap();
            for row in 0..300 {
                assert!((merged.mean[row] / whole.mean[row] - 1.0).abs() < 1e-12, "{cuts:?}");
                for column in 0..300 {
                    let difference = (merged.covariance[(row, column)] - whole.covariance[(row, column)]).abs();
                    assert!(difference < 1e-12 * largest, "{cuts:?}: {difference} at {row}, {column}");
                }
            }
        }
        let error = part(0..2).merge(GaussianFit::new(299)).unwrap_err().to_string();
        assert_eq!(error, "feature vectors of 300 and of 299 values cannot be compared");
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let features = wide_rows(600);
        let fit = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut fit = GaussianFit::new(300);
            pool.install(|| fit.push(&features)).unwrap();
            fit.finish().unwrap().covariance
        };
        assert_eq!(fit(1), fit(3));
    }

    #[test]
    fn what_cannot_be_fitted_is_said() {
        let error = |features: &[f32]| {
            let mut fit = GaussianFit::new(2);
            fit.push(features).err().or_else(|| fit.finish().err()).map(|error| error.to_string())
        };
        assert_eq!(error(&[1.0, 2.0]).unwrap(), "a Fréchet distance needs at least 2 images in each set, not 1");
        assert_eq!(error(&[]).unwrap(), "a Fréchet distance needs at least 2 images in each set, not 0");
        assert_eq!(error(&[1.0, 2.0, 3.0]).unwrap(), "3 values are no whole number of feature vectors of 2");
        assert_eq!(error(&[1.0, 2.0, 3.0, f32::NAN]).unwrap(), "feature 1 of image 1 is NaN");
        assert_eq!(error(&[f32::INFINITY, 2.0]).unwrap(), "feature 0 of image 0 is inf");
    }
}
