//! The same fit with parabolas for lines, by which the end of a run is neither better nor worse than its middle.
//!
//! On a course that bends, a straight line through neighbours on one side is off by something else than one through neighbours on both:
//! to the last quality, where one arm's end is compared with another's middle, lines were 4 to 8 % off, parabolas are less than 2 % off, and 2 to 5 % where evaluations
//! scatter by 8 % (results/reference/band-simulation.md).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Standard deviation of the Gaussian kernel, in ln(images).
const BANDWIDTH: f64 = 0.5;
/// Where evaluations are sparse the kernel reaches this share of the way to the third nearest.
const REACH: f64 = 0.6;
/// Runs of a study are evaluated at the same steps; those of an imported table may each have their own.
const MOST_KNOWN: usize = 64;

/// Local quadratic regression of `y` on `x`, four or more that increase: its values at `x`.
pub(super) fn local_parabolas(x: &[f64], y: &[f64]) -> Vec<f64> {
    let weights = known_weights(x);
    weights.chunks_exact(x.len()).map(|weights| weights.iter().zip(y).map(|(weight, y)| weight * y).sum()).collect()
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
            for (fitted, y) in local_parabolas(&x, &y).iter().zip(&y) {
                assert!((fitted - y).abs() < 1e-9, "{fitted} is not {y}");
            }
        }
    }

    #[test]
    fn more_different_steps_than_are_kept_change_nothing() {
        let fitted = |shift: f64| local_parabolas(&[0.0, 1.0 + shift, 2.0, 3.0, 4.0], &[5.0, 3.0, 2.0, 1.5, 1.4]);
        let first = fitted(0.0);
        (1..200).for_each(|index| assert_ne!(fitted(f64::from(index) * 1e-3), first));
        assert_eq!(fitted(0.0), first);
    }
}
