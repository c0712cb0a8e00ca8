//! One factor for the whole curve: the arm at `x` images is where the baseline is at `factor * x`.

use super::fit::{FEWEST, FittedCurve};

/// Factors from 1/8 to 8.
const LARGEST: f64 = 2.079_441_541_679_835_7; // ln 8
const STEPS: i32 = 416;
/// Evaluations before this share of the curve's images are left out: curves of all methods differ there.
const FROM: f64 = 0.15;

/// ln(factor) by which `candidate`'s evaluations lie closest to `baseline`'s curve and the other way round, in squares of
/// ln(metric); `None` where the curves have too little in common.
pub fn time_scale(baseline: &FittedCurve, candidate: &FittedCurve) -> Option<f64> {
    let distance = |shift: f64| {
        let (forth, back) = (misfit(candidate, baseline, shift)?, misfit(baseline, candidate, -shift)?);
        Some(forth + back)
    };
    let step = LARGEST / f64::from(STEPS / 2);
    let candidates = (-STEPS / 2..=STEPS / 2).filter_map(|index| {
        let shift = f64::from(index) * step;
        Some((shift, distance(shift)?))
    });
    let (best, least) = candidates.min_by(|first, second| first.1.total_cmp(&second.1))?;
    // A minimum at the edge of what can be compared is none. The vertex is that of the parabola through its neighbours.
    let (left, right) = (distance(best - step)?, distance(best + step)?);
    let curvature = left + right - 2.0 * least;
    let vertex = if curvature > 0.0 { 0.5 * step * (left - right) / curvature } else { 0.0 };
    (best.abs() < LARGEST - step).then_some(best + vertex)
}

/// Mean square of what `points`' evaluations, moved by `shift`, differ from `curve` by; [`FEWEST`] of them must lie on it.
fn misfit(points: &FittedCurve, curve: &FittedCurve, shift: f64) -> Option<f64> {
    let (mut count, mut squares) = (0, 0.0);
    for (x, y) in points.measured_from(points.end() + FROM.ln()) {
        let at = x + shift;
        if at >= curve.start() && at <= curve.end() {
            count += 1;
            squares += (y - curve.at(at)).powi(2);
        }
    }
    (count >= FEWEST).then(|| squares / count as f64)
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
    fn curves_that_never_meet_have_none() {
        let flat = |value: f64| FittedCurve::of(&curve(&[value, value, value, value])).unwrap();
        let falling = FittedCurve::of(&curve(&[8.0, 4.0, 2.0, 1.0])).unwrap();
        assert_eq!(time_scale(&falling, &flat(100.0)), None);
    }
}
