//! Eigenvectors of symmetric matrices for SOAP, in f64 on the host, with the same bits for any number of threads.

use burn::tensor::{Device, Tensor, TensorData};
use faer::linalg::solvers::{Qr, SelfAdjointEigen};
use faer::{Mat, Side};

/// The eigenvectors of `matrix` `[n, n]`, which is symmetric, as columns: that of the largest eigenvalue first.
///
/// Of a matrix that is not finite it gives the identity: the run has diverged, which its gradient shows.
pub fn eigenvectors(matrix: &Tensor<2>) -> Tensor<2> {
    let found = on_host(matrix);
    let identity = || Mat::identity(found.nrows(), found.ncols());
    let vectors = match is_finite(&found).then(|| SelfAdjointEigen::new(found.as_ref(), Side::Lower)) {
        Some(Ok(eigen)) => {
            let (vectors, last) = (eigen.U().to_owned(), found.ncols().saturating_sub(1));
            Mat::from_fn(found.nrows(), found.ncols(), |row, column| vectors[(row, last - column)])
        }
        Some(Err(_)) | None => identity(),
    };
    on_device(&vectors, &matrix.device())
}

/// One step of orthogonal iteration: the Q of the QR decomposition of `matrix` `vectors`, whose columns are first put in the order
/// of their Rayleigh quotients, the largest first; and that order.
pub fn refreshed(matrix: &Tensor<2>, vectors: &Tensor<2>) -> (Tensor<2>, Vec<i32>) {
    let [before, product] = [vectors.clone(), matrix.clone().matmul(vectors.clone())].map(|tensor| on_host(&tensor));
    let (rows, columns) = (before.nrows(), before.ncols());
    if !is_finite(&product) || !is_finite(&before) {
        return (vectors.clone(), (0..columns as i32).collect());
    }
    let quotient = |column: usize| -> f64 { (0..rows).map(|row| before[(row, column)] * product[(row, column)]).sum() };
    let quotients: Vec<f64> = (0..columns).map(quotient).collect();
    let mut order: Vec<usize> = (0..columns).collect();
    order.sort_by(|one, other| quotients[*other].total_cmp(&quotients[*one]));
    let ordered = Mat::from_fn(rows, columns, |row, column| product[(row, order[column])]);
    let q = Qr::new(ordered.as_ref()).compute_thin_Q();
    (on_device(&q, &matrix.device()), order.into_iter().map(|column| column as i32).collect())
}

fn is_finite(matrix: &Mat<f64>) -> bool {
    (0..matrix.ncols()).all(|column| (0..matrix.nrows()).all(|row| matrix[(row, column)].is_finite()))
}

fn on_host(tensor: &Tensor<2>) -> Mat<f64> {
    let [rows, columns] = tensor.dims();
    let values: Vec<f32> = tensor.clone().into_data().try_into_vec().expect("factors are f32");
    Mat::from_fn(rows, columns, |row, column| f64::from(values[row * columns + column]))
}

fn on_device(matrix: &Mat<f64>, device: &Device) -> Tensor<2> {
    let (rows, columns) = (matrix.nrows(), matrix.ncols());
    let values = (0..rows * columns).map(|index| matrix[(index / columns, index % columns)] as f32);
    Tensor::from_data(TensorData::new(values.collect::<Vec<f32>>(), [rows, columns]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    fn close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found.abs() - expected.abs()).abs() < 1e-5, "{found} for {expected}");
        }
    }

    /// [[2, 1], [1, 2]] has (1, 1) for 3 and (1, -1) for 1.
    #[test]
    fn eigenvectors_are_columns_in_falling_order_and_a_basis_finds_them_step_by_step() {
        let device = Device::flex();
        let matrix = Tensor::<2>::from_data([[2.0, 1.0], [1.0, 2.0]], &device);
        let half = 0.5f32.sqrt();
        let expected = [half, half, half, -half];
        close(&values(eigenvectors(&matrix)), &expected);
        let mut vectors = Tensor::<2>::from_data([[0.0, 1.0], [1.0, 0.0]], &device);
        for _ in 0..20 {
            vectors = refreshed(&matrix, &vectors).0;
        }
        close(&values(vectors), &expected);
    }

    #[test]
    fn columns_are_put_in_order_and_what_is_not_finite_changes_nothing() {
        let device = Device::flex();
        let matrix = Tensor::<2>::from_data([[1.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 2.0]], &device);
        let identity = Tensor::<2>::eye(3, &device);
        let (vectors, order) = refreshed(&matrix, &identity);
        assert_eq!(order, [1, 2, 0]);
        close(&values(vectors), &[0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        let broken = matrix.mul_scalar(f32::NAN);
        assert_eq!(values(eigenvectors(&broken)), values(identity.clone()));
        let (vectors, order) = refreshed(&broken, &identity);
        assert_eq!((values(vectors), order), (values(identity), vec![0, 1, 2]));
    }
}
