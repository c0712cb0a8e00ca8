//! The same fit with parabolas for lines, by which the end of a run is neither better nor worse than its middle.
//!
//! Where a course bends, a straight line through neighbours on one side is off by something else than one through neighbours on both. To the last
//! quality one arm's end is compared with another's middle, and lines gave speedups that were 4 to 8 % too small. Parabolas are less than 2 % off,
//! and 2 to 5 % where evaluations scatter by 8 % (results/reference/band-simulation.md).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::FittedCurve;

/// Standard deviation of the Gaussian kernel, in ln(images).
const BANDWIDTH: f64 = 0.5;
/// Where evaluations are sparse the kernel reaches this share of the way to the third nearest.
const REACH: f64 = 0.6;
/// Runs of a study are evaluated at the same steps; those of an imported table may each have their own.
const MOST_KNOWN: usize = 64;

/// A run is said to level off where its fitted value falls by less than so many standard errors from half of its images to its end.
const LEVEL_ERRORS: f64 = 1.5;
/// Weights for more evaluations than these are computed anew for each run: kept, they would take memory by the square.
const MOST_KEPT: usize = 512;

/// A run's fit for its end.
#[derive(Clone, Debug, PartialEq)]
pub struct EndFit {
    pub curve: FittedCurve,
    /// Standard error of the last fitted ln(metric), by what evaluations scatter around the fit.
    pub(super) end_error: f64,
}

impl EndFit {
    /// Whether the run is not seen to improve in the second half of its images: when it came to its last quality cannot be told then.
    pub fn levels_off(&self) -> bool {
        let fall = self.curve.at(self.curve.end() - 2f64.ln()) - self.curve.final_value();
        fall <= LEVEL_ERRORS * self.end_error + 1e-9
    }
}

pub(super) struct Parabolas {
    pub(super) values: Vec<f64>,
    pub(super) end_error: f64,
}

/// Local quadratic regression of `y` on `x`, four or more that increase: its values at `x`.
pub(super) fn local_parabolas(x: &[f64], y: &[f64]) -> Parabolas {
    let known = (x.len() <= MOST_KEPT).then(|| known_weights(x));
    let (mut values, mut trace, mut leverage) = (Vec::with_capacity(x.len()), 0.0, 0.0);
    for (index, &center) in x.iter().enumerate() {
        let anew;
        let row = match &known {
            Some(weights) => &weights[index * x.len()..][..x.len()],
            None => {
                anew = weights_at(x, center);
                &anew[..]
            }
        };
        values.push(row.iter().zip(y).map(|(weight, y)| weight * y).sum::<f64>());
        trace += row[index];
        leverage = row.iter().map(|weight| weight * weight).sum::<f64>().sqrt();
    }
    let squares: f64 = values.iter().zip(y).map(|(value, y)| (value - y).powi(2)).sum();
    // So few evaluations that the fit goes through all of them say nothing of their scatter.
    let freedom = x.len() as f64 - trace;
    let deviation = if freedom > 0.5 { (squares / freedom).sqrt() } else { 0.0 };
    Parabolas { values, end_error: deviation * leverage }
}

/// Row by row, what each `y` counts in the fitted value at each `x`.
fn known_weights(x: &[f64]) -> Arc<Vec<f64>> {
    static KNOWN: Mutex<BTreeMap<Vec<u64>, Arc<Vec<f64>>>> = Mutex::new(BTreeMap::new());
    let key: Vec<u64> = x.iter().map(|x| x.to_bits()).collect();
    let mut known = KNOWN.lock().expect("computing weights does not panic");
    if let Some(weights) = known.get(&key) {
        return Arc::clone(weights);
    }
    if known.len() >= MOST_KNOWN {
        known.clear();
    }
    let weights = Arc::new(x.iter().flat_map(|&center| weights_at(x, center)).collect());
    known.insert(key, Arc::clone(&weights));
    weights
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
    fn a_parabola_is_itself() {
        for x in [vec![0.0, 0.7, 1.1, 1.4, 1.6, 4.0], vec![0.0, 1.0, 2.0, 3.0]] {
            let y: Vec<f64> = x.iter().map(|x| 3.0 - 0.8 * x + 0.1 * x * x).collect();
            for (fitted, y) in local_parabolas(&x, &y).values.iter().zip(&y) {
                assert!((fitted - y).abs() < 1e-9, "{fitted} is not {y}");
            }
        }
    }

    #[test]
    fn more_different_steps_than_are_kept_change_nothing() {
        let fitted =
            |shift: f64| local_parabolas(&[0.0, 1.0 + shift, 2.0, 3.0, 4.0], &[5.0, 3.0, 2.0, 1.5, 1.4]).values;
        let first = fitted(0.0);
        (1..200).for_each(|index| assert_ne!(fitted(f64::from(index) * 1e-3), first));
        assert_eq!(fitted(0.0), first);
    }

    #[test]
    fn many_evaluations_are_fitted_as_few_are() {
        let x: Vec<f64> = (1..=MOST_KEPT + 1).map(|index| (index as f64).ln()).collect();
        let y: Vec<f64> = x.iter().enumerate().map(|(index, x)| 1.0 / (1.0 + x) + 0.01 * (index % 3) as f64).collect();
        let of = |count: usize| local_parabolas(&x[..count], &y[..count]);
        let (kept, anew) = (of(MOST_KEPT), of(MOST_KEPT + 1));
        // One evaluation more at the far end moves the beginning by nothing that is seen.
        for (kept, anew) in kept.values.iter().zip(&anew.values).take(10) {
            assert!((kept - anew).abs() < 1e-9, "{kept} {anew}");
        }
        assert!((kept.end_error / anew.end_error - 1.0).abs() < 0.02, "{} {}", kept.end_error, anew.end_error);
    }
}
