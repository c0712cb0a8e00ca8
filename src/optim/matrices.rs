//! The matrices of hidden layers in the flat tensor of all parameters, and the parameters between them.

use std::ops::Range;

use burn::tensor::Tensor;

/// The place of a matrix in the flat tensor of all parameters: `rows` outputs of `columns` inputs. The weights of a
/// convolution, `[outputs, inputs, kernel, kernel]`, are a matrix of inputs x kernel x kernel columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    pub start: usize,
    pub rows: usize,
    pub columns: usize,
}

impl Matrix {
    pub fn range(&self) -> Range<usize> {
        self.start..self.start + self.rows * self.columns
    }

    /// Its part of the flat tensor, `[rows, columns]`.
    pub fn of(&self, flat: &Tensor<1>) -> Tensor<2> {
        flat.clone().narrow(0, self.start, self.rows * self.columns).reshape([self.rows, self.columns])
    }
}

/// All parameters as matrices and the rest.
pub struct Partition {
    /// In the order of the flat tensor.
    pub matrices: Vec<Matrix>,
    /// The parameters between them, in order.
    rest: Vec<Range<usize>>,
}

impl Partition {
    /// # Panics
    /// If `matrices` overlap, are not in order, or lie beyond the parameters.
    pub fn new(matrices: &[Matrix], parameter_count: usize) -> Self {
        let mut rest = Vec::new();
        let mut end = 0;
        for matrix in matrices {
            assert!(matrix.start >= end, "matrices are in order and do not overlap");
            rest.push(end..matrix.start);
            end = matrix.range().end;
        }
        assert!(end <= parameter_count, "matrices are among the parameters");
        rest.push(end..parameter_count);
        rest.retain(|range| !range.is_empty());
        Self { matrices: matrices.to_vec(), rest }
    }

    /// The number of parameters that are in no matrix.
    pub fn rest_len(&self) -> usize {
        self.rest.iter().map(ExactSizeIterator::len).sum()
    }

    /// The values that are in no matrix, end to end, of one value a parameter.
    pub fn rest_of(&self, values: &[f32]) -> Vec<f32> {
        self.rest.iter().flat_map(|range| &values[range.clone()]).copied().collect()
    }

    /// One value a parameter, of the rest's and each matrix's.
    pub fn joined<'v>(&self, rest: &[f32], matrices: impl IntoIterator<Item = &'v [f32]>) -> Vec<f32> {
        let mut values = vec![0.0; rest.len() + self.matrices.iter().map(|matrix| matrix.range().len()).sum::<usize>()];
        let mut taken = 0;
        for range in &self.rest {
            values[range.clone()].copy_from_slice(&rest[taken..taken + range.len()]);
            taken += range.len();
        }
        for (matrix, of_matrix) in self.matrices.iter().zip(matrices) {
            values[matrix.range()].copy_from_slice(of_matrix);
        }
        values
    }

    /// The parameters that are in no matrix, end to end; none if there are none.
    pub fn gather(&self, flat: &Tensor<1>) -> Option<Tensor<1>> {
        let parts: Vec<_> = self.rest.iter().map(|range| flat.clone().narrow(0, range.start, range.len())).collect();
        (!parts.is_empty()).then(|| Tensor::cat(parts, 0))
    }

    /// All parameters in order, from the rest, if there is any, and the matrices, each laid flat.
    pub fn scatter(&self, rest: Option<Tensor<1>>, matrices: Vec<Tensor<1>>) -> Tensor<1> {
        let Some(rest) = rest else { return Tensor::cat(matrices, 0) };
        let mut taken = 0;
        let rest = self.rest.iter().map(|range| {
            taken += range.len();
            (range.start, rest.clone().narrow(0, taken - range.len(), range.len()))
        });
        let mut parts: Vec<_> = rest.collect();
        parts.extend(self.matrices.iter().map(|matrix| matrix.start).zip(matrices));
        parts.sort_by_key(|(start, _)| *start);
        Tensor::cat(parts.into_iter().map(|(_, part)| part).collect(), 0)
    }
}
