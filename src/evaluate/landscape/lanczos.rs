//! The largest eigenvalues of a symmetric matrix that is known by its products with vectors.

use faer::{Mat, Side};

use super::{Product, dot, length};

/// The result of some steps of Lanczos' method.
#[derive(Clone, Debug)]
pub struct Lanczos {
    /// Orthonormal, one a step.
    basis: Vec<Vec<f32>>,
    /// The diagonal and the one beside it, of which the last is the length of what was left after the last step.
    diagonal: Vec<f64>,
    beside: Vec<f64>,
}

/// An eigenvalue of the matrix, to within `residual`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RitzValue {
    pub value: f64,
    /// Length of A y - value y for the unit vector y that goes with it: some eigenvalue of A is no farther off.
    pub residual: f64,
}

/// `steps` steps from `start` (Golub and Van Loan, "Matrix Computations", section 10.1), each new vector made orthogonal to all
/// earlier ones twice, so that no eigenvalue is found again. It ends earlier where the space is exhausted. Errors are those of
/// `product`.
pub fn lanczos<E>(start: Vec<f32>, steps: usize, product: Product<'_, E>) -> Result<Lanczos, E> {
    let mut found = Lanczos { basis: vec![], diagonal: vec![], beside: vec![] };
    let mut next = start;
    let mut scale = 0.0f64;
    for step in 0..steps.min(next.len()) {
        let norm = length(&next);
        // What is left of a product after everything known is rounding.
        if norm == 0.0 || (step > 0 && norm <= 1e-6 * scale) {
            break;
        }
        next.iter_mut().for_each(|value| *value = (f64::from(*value) / norm) as f32);
        found.basis.push(next);
        let last = found.basis.last().expect("one was just added");
        let mut rest = product(last)?;
        scale = scale.max(length(&rest));
        found.diagonal.push(dot(&rest, last));
        for _ in 0..2 {
            for known in &found.basis {
                let share = dot(&rest, known);
                rest.iter_mut().zip(known).for_each(|(rest, known)| *rest -= (share * f64::from(*known)) as f32);
            }
        }
        found.beside.push(length(&rest));
        next = rest;
    }
    Ok(found)
}

impl Lanczos {
    /// Products that were asked for.
    pub fn steps(&self) -> usize {
        self.diagonal.len()
    }

    /// Approximate eigenvalues, the largest first; `None` where the small eigenvalue problem has no solution in numbers.
    pub fn values(&self) -> Option<Vec<RitzValue>> {
        Some(self.eigen()?.into_iter().map(|(value, _)| value).collect())
    }

    /// The unit vector that goes with the largest.
    pub fn first_vector(&self) -> Option<Vec<f32>> {
        let (_, shares) = self.eigen()?.into_iter().next()?;
        let mut vector = vec![0f64; self.basis[0].len()];
        for (share, known) in shares.iter().zip(&self.basis) {
            vector.iter_mut().zip(known).for_each(|(sum, known)| *sum += share * f64::from(*known));
        }
        let norm = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
        Some(vector.into_iter().map(|value| (value / norm) as f32).collect())
    }

    /// (value, its vector in the basis), the largest value first.
    fn eigen(&self) -> Option<Vec<(RitzValue, Vec<f64>)>> {
        let size = self.diagonal.len();
        let entry = |row: usize, column: usize| match row.abs_diff(column) {
            0 => self.diagonal[row],
            1 => self.beside[row.min(column)],
            _ => 0.0,
        };
        let matrix = Mat::from_fn(size, size, entry);
        let eigen = matrix.self_adjoint_eigen(Side::Lower).ok()?;
        let (vectors, values) = (eigen.U(), eigen.S().column_vector());
        let left = self.beside[size - 1];
        let pair = |index: usize| {
            let vector: Vec<f64> = (0..size).map(|row| vectors[(row, index)]).collect();
            (RitzValue { value: values[index], residual: (left * vector[size - 1]).abs() }, vector)
        };
        Some((0..size).rev().map(pair).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::landscape::normal;

    /// Products with Q diag(eigenvalues) Q, Q being the reflection that a vector makes: the Hessian of a quadratic of known
    /// spectrum.
    fn quadratic(eigenvalues: Vec<f64>) -> impl FnMut(&[f32]) -> Result<Vec<f32>, ()> {
        let mirror = normal(5, 0, eigenvalues.len());
        let squared = dot(&mirror, &mirror);
        let reflect = move |vector: &[f64]| -> Vec<f64> {
            let along: f64 = vector.iter().zip(&mirror).map(|(value, mirror)| value * f64::from(*mirror)).sum();
            vector
                .iter()
                .zip(&mirror)
                .map(|(value, mirror)| value - 2.0 * along / squared * f64::from(*mirror))
                .collect()
        };
        move |vector| {
            let vector: Vec<f64> = vector.iter().map(|&value| f64::from(value)).collect();
            let scaled: Vec<f64> = reflect(&vector).iter().zip(&eigenvalues).map(|(one, value)| one * value).collect();
            Ok(reflect(&scaled).into_iter().map(|value| value as f32).collect())
        }
    }

    #[test]
    fn the_largest_eigenvalues_of_a_known_spectrum_are_found_with_their_errors() {
        // Five large ones, two of them negative, over a bulk, as Hessians of networks have.
        let mut eigenvalues: Vec<f64> = (0..400).map(|index| 0.5 * (f64::from(index) / 400.0) - 0.1).collect();
        eigenvalues[..5].copy_from_slice(&[40.0, 20.0, 10.0, -6.0, -3.0]);
        let found = lanczos(normal(1, 7, 400), 30, &mut quadratic(eigenvalues)).unwrap();
        let values = found.values().unwrap();
        assert_eq!(found.steps(), 30);
        for (found, expected) in values.iter().zip([40.0, 20.0, 10.0]) {
            assert!((found.value - expected).abs() < 1e-4 && found.residual < 1e-3, "{found:?} {expected}");
        }
        assert!((values[29].value + 6.0).abs() < 1e-4 && (values[28].value + 3.0).abs() < 1e-4, "{values:?}");
        // Every value is as near to an eigenvalue as it says, to the rounding of f32.
        assert!(values.iter().all(|value| value.residual < 1.0));
        let vector = found.first_vector().unwrap();
        let mut eigenvalues = vec![0.0; 400];
        eigenvalues[0] = 40.0;
        let along = quadratic(eigenvalues)(&vector).unwrap();
        assert!((dot(&along, &vector) - 40.0).abs() < 1e-3);
    }

    #[test]
    fn a_space_that_is_exhausted_ends_it_and_nothing_is_found_twice() {
        let found = lanczos(normal(1, 0, 4), 30, &mut quadratic(vec![4.0, 3.0, 2.0, 1.0])).unwrap();
        let values: Vec<f64> = found.values().unwrap().iter().map(|value| value.value).collect();
        assert_eq!(values.len(), 4);
        assert!(values.iter().zip([4.0, 3.0, 2.0, 1.0]).all(|(found, expected)| (found - expected).abs() < 1e-5));
        // Only two different eigenvalues: two steps.
        let found = lanczos(normal(1, 0, 50), 30, &mut quadratic([vec![2.0; 25], vec![1.0; 25]].concat())).unwrap();
        assert_eq!(found.steps(), 2);
    }

    #[test]
    fn an_error_of_the_product_ends_it() {
        let mut broken = |_: &[f32]| Err("not finite");
        assert_eq!(lanczos(vec![1.0, 2.0], 3, &mut broken).unwrap_err(), "not finite");
    }
}
