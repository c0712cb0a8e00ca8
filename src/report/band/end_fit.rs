//! The same fit with parabolas for lines, by which the end of a run is neither better nor worse than its middle.
//!
//! Where a course bends, a straight line through neighbours on one side is off by something else than one through neighbours on both. To the last
//! quality one arm's end is compared with another's middle, and lines gave speedups that were 4 to 8 % too small. Parabolas are less than 2 % off,
//! and 2 to 5 % where evaluations scatter by 8 % (results/reference/band-simulation.md).

use super::fit::non_increasing;

/// Standard deviation of the Gaussian kernel, in ln(images).
const BANDWIDTH: f64 = 0.5;
/// Where evaluations are sparse the kernel reaches this share of the way to the third nearest.
const REACH: f64 = 0.6;

/// A run's evaluations fitted for its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct EndFit {
    /// ln(metric) at the evaluations, never increasing.
    pub y: Vec<f64>,
    /// Standard error of the last fitted ln(metric), by what evaluations scatter around the fit.
    pub error: f64,
}

/// Local quadratic regression of each of `curves` on `x`, four or more that increase, made non-increasing.
pub(super) fn end_fits(x: &[f64], curves: &[&[f64]]) -> Vec<EndFit> {
    let mut fitted = vec![Vec::with_capacity(x.len()); curves.len()];
    let (mut trace, mut leverage) = (0.0, 0.0);
    for (index, &center) in x.iter().enumerate() {
        let weights = weights_at(x, center);
        for (fitted, y) in fitted.iter_mut().zip(curves) {
            fitted.push(weights.iter().zip(*y).map(|(weight, y)| weight * y).sum::<f64>());
        }
        trace += weights[index];
        leverage = weights.iter().map(|weight| weight * weight).sum::<f64>().sqrt();
    }
    // So few evaluations that the fit goes through all of them say nothing of their scatter.
    let freedom = x.len() as f64 - trace;
    let fit = |(fitted, y): (Vec<f64>, &&[f64])| {
        let squares: f64 = fitted.iter().zip(*y).map(|(fitted, y)| (fitted - y).powi(2)).sum();
        let deviation = if freedom > 0.5 { (squares / freedom).sqrt() } else { 0.0 };
        EndFit { y: non_increasing(&fitted), error: deviation * leverage }
    };
    fitted.into_iter().zip(curves).map(fit).collect()
}

/// Of the parabola through all points, weighted by their nearness to `center`, the height there.
fn weights_at(x: &[f64], center: f64) -> Vec<f64> {
    let mut distances: Vec<f64> = x.iter().map(|x| (x - center).abs()).collect();
    // After the point itself and the two nearest.
    let (_, third_nearest, _) = distances.select_nth_unstable_by(3, f64::total_cmp);
    let bandwidth = BANDWIDTH.max(REACH * *third_nearest);
    let weight = |x: f64| (-0.5 * ((x - center) / bandwidth).powi(2)).exp();
    let mut sums = [0.0; 5];
    for &x in x {
        let mut term = weight(x);
        for sum in &mut sums {
            *sum += term;
            term *= x - center;
        }
    }
    // The first row of the inverse of the normal equations' matrix, by cofactors.
    let [s0, s1, s2, s3, s4] = sums;
    let row = [s2 * s4 - s3 * s3, s2 * s3 - s1 * s4, s1 * s3 - s2 * s2];
    let determinant = s0 * row[0] + s1 * row[1] + s2 * row[2];
    x.iter()
        .map(|&x| {
            let u = x - center;
            weight(x) * (row[0] + row[1] * u + row[2] * u * u) / determinant
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_falling_parabola_is_itself_and_curves_that_are_fitted_together_are_as_alone() {
        for x in [vec![0.0, 0.7, 1.1, 1.4, 1.6, 4.0], vec![0.0, 1.0, 2.0, 3.0]] {
            let y: Vec<f64> = x.iter().map(|x| 3.0 - 0.8 * x + 0.1 * x * x).collect();
            let other: Vec<f64> = x.iter().map(|x| 2.0 - (3.0 * x).sin()).collect();
            let found = end_fits(&x, &[&y, &other]);
            for (fitted, y) in found[0].y.iter().zip(&y) {
                assert!((fitted - y).abs() < 1e-9, "{fitted} is not {y}");
            }
            assert!(found[0].error < 1e-6, "{}", found[0].error);
            assert_eq!(found[1..], end_fits(&x, &[&other]));
        }
    }
}
