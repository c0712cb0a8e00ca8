//! The trace of a matrix that is known by its products with vectors.

use super::{Product, dot, length, rademacher};

/// An estimate and how far off it may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TraceEstimate {
    pub trace: f64,
    /// The standard error of the mean over the samples; `None` for a single sample.
    pub standard_error: Option<f64>,
    pub samples: usize,
}

/// The mean of z^T A z over vectors z of random signs (Hutchinson 1990, "A stochastic estimator of the trace of the influence
/// matrix for Laplacian smoothing splines"). `first` is the index of the first draw. `None` without samples.
pub fn hutchinson<E>(
    seed: u64,
    first: u64,
    count: usize,
    samples: usize,
    product: Product<'_, E>,
) -> Result<Option<TraceEstimate>, E> {
    let mut values = Vec::with_capacity(samples);
    for sample in 0..samples as u64 {
        let mut signs = rademacher(seed, first + sample, count);
        let norm = length(&signs);
        signs.iter_mut().for_each(|sign| *sign = (f64::from(*sign) / norm) as f32);
        values.push(dot(&product(&signs)?, &signs) * norm * norm);
    }
    if values.is_empty() {
        return Ok(None);
    }
    let n = values.len() as f64;
    let trace = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - trace).powi(2)).sum();
    let standard_error = (values.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt());
    Ok(Some(TraceEstimate { trace, standard_error, samples }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_trace_is_within_a_few_standard_errors_and_a_diagonal_one_exact() {
        let count = 300;
        // A = diagonal + c c^T: z^T A z varies through c alone.
        let diagonal: Vec<f64> = (0..count).map(|index| f64::from(index) / 100.0 - 0.5).collect();
        let across: Vec<f64> = (0..count).map(|index| 0.1 * (f64::from(index)).sin()).collect();
        let trace: f64 = diagonal.iter().sum::<f64>() + across.iter().map(|value| value * value).sum::<f64>();
        let mut product = |vector: &[f32]| -> Result<Vec<f32>, ()> {
            let along: f64 = vector.iter().zip(&across).map(|(value, across)| f64::from(*value) * across).sum();
            let value = |((value, diagonal), across): ((&f32, &f64), &f64)| {
                (f64::from(*value) * diagonal + along * across) as f32
            };
            Ok(vector.iter().zip(&diagonal).zip(&across).map(value).collect())
        };
        let found = hutchinson(1, 0, count as usize, 40, &mut product).unwrap().unwrap();
        let error = found.standard_error.unwrap();
        assert!(error > 0.0 && (found.trace - trace).abs() < 4.0 * error, "{found:?} {trace}");
        let mut only_diagonal = |vector: &[f32]| -> Result<Vec<f32>, ()> {
            Ok(vector.iter().zip(&diagonal).map(|(value, diagonal)| (f64::from(*value) * diagonal) as f32).collect())
        };
        let found = hutchinson(1, 0, count as usize, 1, &mut only_diagonal).unwrap().unwrap();
        assert!((found.trace - diagonal.iter().sum::<f64>()).abs() < 1e-3 && found.standard_error.is_none());
        assert_eq!(hutchinson(1, 0, 3, 0, &mut only_diagonal), Ok(None));
    }
}
