//! The Newton-Schulz iteration: it turns a matrix into one with about the same singular vectors and singular values near 1.

use burn::tensor::Tensor;

/// The coefficients of X <- a X + b (X X^T) X + c (X X^T)^2 X. They are Jordan's, chosen for a steep slope at 0: after five
/// steps singular values lie between about 0.7 and 1.2, and are not 1 exactly.
const COEFFICIENTS: (f32, f32, f32) = (3.4445, -4.7750, 2.0315);
/// Keeps a matrix of zeros what it is.
const LEAST_NORM: f32 = 1e-7;

/// U S' V^T of `matrix` = U S V^T, with S' near the identity: `steps` of the quintic Newton-Schulz iteration of Muon (Jordan
/// 2024, <https://kellerjordan.github.io/posts/muon/>), from the matrix divided by its Frobenius norm. In f32, where the
/// reference takes bf16 for speed.
pub fn orthogonalized(matrix: Tensor<2>, steps: usize) -> Tensor<2> {
    let (a, b, c) = COEFFICIENTS;
    let [rows, columns] = matrix.dims();
    // The smaller of the two products X X^T and X^T X.
    let is_tall = rows > columns;
    let mut x = if is_tall { matrix.transpose() } else { matrix };
    let norm = x.clone().square().sum().sqrt().clamp_min(LEAST_NORM);
    x = x.div(norm.unsqueeze());
    for _ in 0..steps {
        let gram = x.clone().matmul(x.clone().transpose());
        let polynomial = gram.clone().mul_scalar(b) + gram.clone().matmul(gram).mul_scalar(c);
        x = x.clone().mul_scalar(a) + polynomial.matmul(x);
    }
    if is_tall { x.transpose() } else { x }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::random::{Draws, Stream};

    fn random(rows: usize, columns: usize) -> Tensor<2> {
        let mut values = vec![0.0; rows * columns];
        Draws::new(7, Stream::Weights, (rows * 1000 + columns) as u64).fill_normal(&mut values);
        Tensor::from_data(TensorData::new(values, [rows, columns]), &Device::flex())
    }

    fn values(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    #[test]
    fn a_diagonal_matrix_goes_through_the_polynomial_entry_by_entry() {
        let diagonal = Tensor::<2>::from_data([[3.0, 0.0, 0.0], [0.0, -4.0, 0.0]], &Device::flex());
        let scalar = |mut x: f64| {
            for _ in 0..5 {
                x = 3.4445 * x - 4.775 * x.powi(3) + 2.0315 * x.powi(5);
            }
            x
        };
        let expected = [scalar(0.6), 0.0, 0.0, 0.0, scalar(-0.8), 0.0];
        for (value, expected) in values(orthogonalized(diagonal, 5)).iter().zip(expected) {
            assert!((f64::from(*value) - expected).abs() < 2e-5, "{value} is not {expected}");
        }
    }

    #[test]
    fn singular_values_come_near_one_whatever_the_shape_and_the_scale() {
        for (rows, columns) in [(4, 4), (3, 24), (24, 3), (16, 17), (1, 9)] {
            let wide = orthogonalized(random(rows, columns).mul_scalar(1e-3), 5);
            let wide = if rows > columns { wide.transpose() } else { wide };
            let gram = wide.clone().matmul(wide.transpose());
            let side = gram.dims()[0];
            for (index, value) in values(gram).iter().enumerate() {
                let expected = if index % (side + 1) == 0 { 1.0 } else { 0.0 };
                // Squares of singular values between 0.7 and 1.2.
                assert!((value - expected).abs() < 0.55, "{rows}x{columns}, {index}: {value}");
            }
        }
    }

    #[test]
    fn a_tall_matrix_is_the_transpose_of_a_wide_one() {
        let tall = random(9, 4);
        let wide = values(orthogonalized(tall.clone().transpose(), 5).transpose());
        assert_eq!(values(orthogonalized(tall, 5)), wide);
    }

    #[test]
    fn zeros_stay_zeros() {
        let zeros = Tensor::<2>::zeros([3, 2], &Device::flex());
        assert_eq!(values(orthogonalized(zeros, 5)), [0.0; 6]);
    }
}
