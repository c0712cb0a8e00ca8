//! Products of matrices over all threads, with the same bits for any number of threads.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// Columns of a product that one thread computes: fixed, so that no sum is split differently on another machine.
const PANEL: usize = 256;

/// `target = left right`, or added to it.
pub fn multiply(target: MatMut<'_, f64>, accumulate: Accum, left: MatRef<'_, f64>, right: MatRef<'_, f64>) {
    let columns = target.ncols();
    if columns <= PANEL {
        return matmul(target, accumulate, left, right, 1.0, Par::Seq);
    }
    let middle = middle(columns);
    let (first, second) = target.split_at_col_mut(middle);
    let (right_first, right_second) = right.split_at_col(middle);
    rayon::join(|| multiply(first, accumulate, left, right_first), || multiply(second, accumulate, left, right_second));
}

/// Adds rows^T rows to `target`, at and below the diagonal only (above it, something).
pub fn add_scatter(target: MatMut<'_, f64>, rows: MatRef<'_, f64>) {
    add_scatter_from(0, target, rows);
}

/// `target` holds the columns from `first` on.
fn add_scatter_from(first: usize, target: MatMut<'_, f64>, rows: MatRef<'_, f64>) {
    let columns = target.ncols();
    if columns <= PANEL {
        let below = rows.subcols(first, rows.ncols() - first);
        let (_, target) = target.split_at_row_mut(first);
        return matmul(target, Accum::Add, below.transpose(), rows.subcols(first, columns), 1.0, Par::Seq);
    }
    let middle = middle(columns);
    let (left, right) = target.split_at_col_mut(middle);
    rayon::join(|| add_scatter_from(first, left, rows), || add_scatter_from(first + middle, right, rows));
}

/// A whole number of panels, about half.
fn middle(columns: usize) -> usize {
    columns.div_ceil(PANEL).div_ceil(2) * PANEL
}

#[cfg(test)]
mod tests {
    use faer::Mat;

    use super::*;

    fn matrix(rows: usize, columns: usize, step: usize) -> Mat<f64> {
        Mat::from_fn(rows, columns, |row, column| ((row * step + column * 13) % 17) as f64 - 8.0)
    }

    #[test]
    fn panels_give_the_whole_product() {
        // Whole numbers, so that the sums are exact.
        let (left, right) = (matrix(30, 41, 7), matrix(41, 700, 5));
        let mut product = Mat::zeros(30, 700);
        multiply(product.as_mut(), Accum::Replace, left.as_ref(), right.as_ref());
        assert_eq!(product, &left * &right);
        multiply(product.as_mut(), Accum::Add, left.as_ref(), right.as_ref());
        assert_eq!(product[(29, 699)], 2.0 * (&left * &right)[(29, 699)]);
    }

    #[test]
    fn a_scatter_is_right_at_and_below_the_diagonal() {
        for columns in [1, 256, 257, 600] {
            let rows = matrix(20, columns, 3);
            let expected = rows.transpose() * &rows;
            let mut scatter = Mat::from_fn(columns, columns, |_, _| 1.0);
            add_scatter(scatter.as_mut(), rows.as_ref());
            for column in 0..columns {
                for row in column..columns {
                    assert_eq!(scatter[(row, column)], expected[(row, column)] + 1.0, "{row}, {column} of {columns}");
                }
            }
        }
    }
}
