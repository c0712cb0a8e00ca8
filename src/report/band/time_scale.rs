//! One factor for the whole curve: the arm has at `x` images the quality that the baseline has at `factor * x`.

use super::fit::{FEWEST, FittedCurve};

/// Factors from 1/8 to 8.
const LARGEST: f64 = 2.079_441_541_679_835_7; // ln 8
const STEPS: i32 = 416;
/// Evaluations before this share of the curve's images are left out: curves of all methods differ there.
const FROM: f64 = 0.15;

/// ln(factor) by which `candidate`'s evaluations lie closest to `baseline`'s curve and the other way round, in squares of
/// ln(metric); `None` where the curves have too little in common.
pub fn time_scale(baseline: &FittedCurve, candidate: &FittedCurve) -> Option<f64> {
    let distance = |shift: f64, most: f64| {
        let forth = misfit(candidate, baseline, shift, most)?;
        Some(forth + misfit(baseline, candidate, -shift, most - forth)?)
    };
    let step = LARGEST / f64::from(STEPS / 2);
    // From no shift on outwards: most curves are close to each other, and what is further off than the closest is soon seen to be.
    let mut indices: Vec<i32> = (-STEPS / 2..=STEPS / 2).collect();
    indices.sort_by_key(|index| index.abs());
    let mut closest: Option<(i32, f64)> = None;
    for index in indices {
        let most = closest.map_or(f64::INFINITY, |(_, least)| least);
        let Some(found) = distance(f64::from(index) * step, most) else { continue };
        if closest.is_none_or(|(best, least)| found < least || found == least && index < best) {
            closest = Some((index, found));
        }
    }
    let (best, least) = closest?;
    let best = f64::from(best) * step;
    let distance = |shift: f64| distance(shift, f64::INFINITY);
    // A minimum at the edge of what can be compared is none. The vertex is that of the parabola through its neighbours.
    let (left, right) = (distance(best - step)?, distance(best + step)?);
    let curvature = left + right - 2.0 * least;
    let vertex = if curvature > 0.0 { 0.5 * step * (left - right) / curvature } else { 0.0 };
    (best.abs() < LARGEST - step).then_some(best + vertex)
}

/// Mean square of what `points`' evaluations, moved by `shift`, differ from `curve` by, or infinity where that is more than `most`;
/// [`FEWEST`] of them must lie on it.
fn misfit(points: &FittedCurve, curve: &FittedCurve, shift: f64, most: f64) -> Option<f64> {
    let (x, y) = points.measured_from(points.end() + FROM.ln());
    let first = x.partition_point(|x| x + shift < curve.start());
    let beyond = x.partition_point(|x| x + shift <= curve.end());
    let count = beyond.saturating_sub(first);
    if count < FEWEST {
        return None;
    }
    // Rounding is no reason to give up.
    let most_squares = most * count as f64 * (1.0 + 1e-9);
    let mut squares = 0.0;
    let mut values = curve.walk();
    for (x, y) in x[first..beyond].iter().zip(&y[first..beyond]) {
        squares += (y - values.at(x + shift)).powi(2);
        if squares > most_squares {
            return Some(f64::INFINITY);
        }
    }
    Some(squares / count as f64)
}

#[cfg(test)]
mod tests {
    use super::super::fit::tests::curve;
    use super::*;

    #[test]
    fn a_curve_twice_as_fast_has_a_factor_of_two() {
        let at = |speed: f64| {
            let value = |index: i32| 1.0 + 0.9 / (speed * f64::from(index) / 10.0);
            FittedCurve::of(&curve(&(1..=40).map(value).collect::<Vec<_>>())).unwrap()
        };
        for speed in [1.0, 1.3, 2.0, 0.7] {
            let factor = time_scale(&at(1.0), &at(speed)).unwrap().exp();
            assert!((factor / speed - 1.0).abs() < 0.01, "{speed}: {factor}");
        }
    }

    #[test]
    fn the_closest_is_that_of_all_factors() {
        let wavy = |speed: f64, phase: f64| {
            let value = |index: i32| {
                (1.0 + 20.0 / (1.0 + speed * f64::from(index))) * (1.0 + 0.05 * (phase * f64::from(index)).sin())
            };
            FittedCurve::of(&curve(&(1..=60).map(value).collect::<Vec<_>>())).unwrap()
        };
        for (speed, phase) in [(1.0, 1.7), (1.1, 2.9), (3.0, 0.6), (0.4, 5.1)] {
            let (baseline, candidate) = (wavy(1.0, 0.9), wavy(speed, phase));
            let distance = |shift: f64| {
                let forth = misfit(&candidate, &baseline, shift, f64::INFINITY)?;
                Some(forth + misfit(&baseline, &candidate, -shift, f64::INFINITY)?)
            };
            let step = LARGEST / f64::from(STEPS / 2);
            let shifts = (-STEPS / 2..=STEPS / 2).map(|index| f64::from(index) * step);
            let all = shifts.filter_map(|shift| Some((shift, distance(shift)?)));
            let (closest, _) = all.min_by(|first, second| first.1.total_cmp(&second.1)).unwrap();
            let found = time_scale(&baseline, &candidate).unwrap();
            assert!((found - closest).abs() <= step, "{found} is not beside {closest}");
        }
    }

    #[test]
    fn curves_that_never_meet_have_none() {
        let flat = |value: f64| FittedCurve::of(&curve(&[value, value, value, value])).unwrap();
        let falling = FittedCurve::of(&curve(&[8.0, 4.0, 2.0, 1.0])).unwrap();
        assert_eq!(time_scale(&falling, &flat(100.0)), None);
    }
}
