use std::ops::Range;

use super::FrechetError;

/// Feature vectors of a set of images, `[count, dimension]`, all finite.
#[derive(Clone, Copy, Debug)]
pub struct FeatureRows<'a> {
    values: &'a [f32],
    dimension: usize,
}

impl<'a> FeatureRows<'a> {
    /// # Errors
    /// If `values` are not whole rows, or one of them is not finite.
    pub fn new(values: &'a [f32], dimension: usize) -> Result<Self, FrechetError> {
        assert!(dimension > 0, "a feature vector has values");
        if !values.len().is_multiple_of(dimension) {
            return Err(FrechetError::NotWhole { values: values.len(), dimension });
        }
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            let (row, feature) = (index / dimension, index % dimension);
            return Err(FrechetError::NotFinite { row, feature, value: values[index] });
        }
        Ok(Self { values, dimension })
    }

    pub fn count(self) -> usize {
        self.values.len() / self.dimension
    }

    pub fn dimension(self) -> usize {
        self.dimension
    }

    pub fn row(self, index: usize) -> &'a [f32] {
        &self.values[index * self.dimension..][..self.dimension]
    }

    /// Some rows next to each other, `[rows, dimension]`.
    pub(super) fn widened(self, rows: Range<usize>) -> Vec<f64> {
        let values = &self.values[rows.start * self.dimension..rows.end * self.dimension];
        values.iter().map(|&value| f64::from(value)).collect()
    }

    /// The rows that `indices` name, `[indices, dimension]`.
    pub(super) fn gathered(self, indices: &[u32]) -> Vec<f64> {
        indices.iter().flat_map(|&index| self.row(index as usize)).map(|&value| f64::from(value)).collect()
    }

    /// # Errors
    /// If the vectors of `other` have another length.
    pub(super) fn same_dimension(self, other: FeatureRows) -> Result<(), FrechetError> {
        if self.dimension != other.dimension {
            return Err(FrechetError::Dimensions { first: self.dimension, second: other.dimension });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_whole_and_finite() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let rows = FeatureRows::new(&values, 2).unwrap();
        assert_eq!((rows.count(), rows.dimension()), (3, 2));
        assert_eq!(rows.gathered(&[2, 0]), [5.0, 6.0, 1.0, 2.0]);
        assert_eq!(rows.widened(1..3), [3.0, 4.0, 5.0, 6.0]);
        let error = FeatureRows::new(&values, 4).unwrap_err().to_string();
        assert_eq!(error, "6 values are no whole number of feature vectors of 4");
        let error = FeatureRows::new(&[0.0, f32::NAN, 0.0, 0.0], 2).unwrap_err().to_string();
        assert_eq!(error, "feature 1 of image 0 is NaN");
        assert!(rows.same_dimension(FeatureRows::new(&values, 3).unwrap()).is_err());
    }
}
