//! A run's metric as a smooth, non-increasing function of training images, fitted to its noisy evaluations.
//!
//! The first evaluation at or below a value comes too early: noise is taken for progress more often than the other way round,
//! the more so the slower a run is. The fitted curve crosses the value where the run did.

use super::end_fit::{EndFit, end_fits};
use crate::report::curve::Evaluation;

/// Standard deviation of the Gaussian kernel, in ln(images).
const BANDWIDTH: f64 = 0.35;
/// The share of the way to the second nearest evaluation that the kernel reaches where evaluations are sparse.
const REACH: f64 = 0.6;
/// A curve has at least this many evaluations after training began.
pub const FEWEST: usize = 4;
/// A run is said to level off where its fitted value falls by less than so many standard errors from half of its images to its end.
const LEVEL_ERRORS: f64 = 1.5;

/// Local linear regression of ln(metric) on ln(images) with a Gaussian kernel, made non-increasing by pooling adjacent
/// violators: its values at the evaluations, with straight lines between them.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedCurve {
    /// ln(images), increasing.
    x: Vec<f64>,
    /// ln(metric), never increasing.
    y: Vec<f64>,
    /// ln(metric) as measured.
    measured: Vec<f64>,
    /// The same evaluations by parabolas: for comparing where runs end.
    for_the_end: EndFit,
    /// Images, and the training seconds they took, both from 0.
    clock: (Vec<f64>, Vec<f64>),
}

/// Why a run has no fitted curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoFit {
    /// Fewer evaluations than `FEWEST` that are finite numbers.
    TooFew,
    /// A value of 0 or below has no logarithm.
    NotPositive,
}

/// When a fitted curve came down to a value, in ln(images).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Crossing {
    /// Its first evaluation, here, was there already.
    Before(f64),
    At(f64),
    /// Its last evaluation, here, was not there yet.
    After(f64),
}

impl FittedCurve {
    /// Fits evaluations by step. Evaluations before any training and those that are not finite are left out.
    pub fn of(curve: &[Evaluation]) -> Result<Self, NoFit> {
        Self::of_each([curve]).swap_remove(0)
    }

    /// The same of several. Curves that follow each other and were measured at the same images, as those of an arm's seeds are, are
    /// fitted together in a tenth of the time.
    pub fn of_each<'e>(curves: impl IntoIterator<Item = &'e [Evaluation]>) -> Vec<Result<Self, NoFit>> {
        let mut fitted: Vec<Result<Self, NoFit>> = curves.into_iter().map(Self::unfitted).collect();
        let known: &mut [&mut Self] = &mut fitted.iter_mut().flatten().collect::<Vec<_>>();
        for alike in known.chunk_by_mut(|first, second| first.x == second.x) {
            let measured: Vec<&[f64]> = alike.iter().map(|curve| curve.measured.as_slice()).collect();
            let smooth = local_lines(&alike[0].x, &measured);
            let for_the_end = end_fits(&alike[0].x, &measured);
            for ((curve, smooth), for_the_end) in alike.iter_mut().zip(&smooth).zip(for_the_end) {
                (curve.y, curve.for_the_end) = (non_increasing(smooth), for_the_end);
            }
        }
        fitted
    }

    /// What was measured, of which `y` and `for_the_end` are still to be made.
    fn unfitted(curve: &[Evaluation]) -> Result<Self, NoFit> {
        let kept = |evaluation: &&Evaluation| evaluation.images_seen > 0 && evaluation.value.is_finite();
        let kept: Vec<&Evaluation> = curve.iter().filter(kept).collect();
        if kept.iter().any(|evaluation| evaluation.value <= 0.0) {
            return Err(NoFit::NotPositive);
        }
        if kept.len() < FEWEST {
            return Err(NoFit::TooFew);
        }
        let clock = kept.iter().map(|evaluation| (evaluation.images_seen as f64, evaluation.train_seconds));
        Ok(Self {
            x: kept.iter().map(|evaluation| (evaluation.images_seen as f64).ln()).collect(),
            y: vec![],
            for_the_end: EndFit::default(),
            measured: kept.iter().map(|evaluation| evaluation.value.ln()).collect(),
            clock: std::iter::once((0.0, 0.0)).chain(clock).unzip(),
        })
    }

    /// ln(images) of the last evaluation.
    pub fn end(&self) -> f64 {
        self.x[self.x.len() - 1]
    }

    /// ln(metric) at the last evaluation.
    pub fn final_value(&self) -> f64 {
        self.y[self.y.len() - 1]
    }

    /// ln(metric) at ln(images) `x`; the first or last value outside of the evaluations.
    pub fn at(&self, x: f64) -> f64 {
        interpolate(&self.x, &self.y, x)
    }

    /// The place where the curve first came down to ln(metric) `y`.
    pub fn crossing(&self, y: f64) -> Crossing {
        self.crossing_of(&self.y, y)
    }

    /// ln(metric) at the last evaluation by the fit for the end.
    pub fn last_quality(&self) -> f64 {
        self.for_the_end.y[self.x.len() - 1]
    }

    /// Where the fit for the end first came down to ln(metric) `y`.
    pub fn crossing_for_the_end(&self, y: f64) -> Crossing {
        self.crossing_of(&self.for_the_end.y, y)
    }

    /// Whether the run is not seen to improve in the second half of its images: when it came to its last quality cannot be told then.
    pub fn levels_off(&self) -> bool {
        let fall = interpolate(&self.x, &self.for_the_end.y, self.end() - 2f64.ln()) - self.last_quality();
        fall <= LEVEL_ERRORS * self.for_the_end.error + 1e-9
    }

    fn crossing_of(&self, ys: &[f64], y: f64) -> Crossing {
        let index = ys.partition_point(|&value| value > y);
        if index == ys.len() {
            return Crossing::After(self.end());
        }
        let Some(previous) = index.checked_sub(1) else { return Crossing::Before(self.x[0]) };
        let share = (ys[previous] - y) / (ys[previous] - ys[index]);
        Crossing::At(self.x[previous] + share * (self.x[index] - self.x[previous]))
    }

    /// ln(training seconds) at ln(images) `x`, on straight lines between the evaluations.
    pub fn ln_seconds(&self, x: f64) -> f64 {
        let (images, seconds) = &self.clock;
        interpolate(images, seconds, x.exp()).ln()
    }

    /// ln(images), increasing, and ln(metric) as measured, from ln(images) `from` on.
    pub fn measured_from(&self, from: f64) -> (&[f64], &[f64]) {
        let first = self.x.partition_point(|&x| x < from);
        (&self.x[first..], &self.measured[first..])
    }

    /// The curve from its beginning to its end.
    pub fn walk(&self) -> Walk<'_> {
        Walk { curve: self, after: 0 }
    }

    /// ln(images) of the first evaluation.
    pub fn start(&self) -> f64 {
        self.x[0]
    }
}

/// A walk along a curve, which never goes back.
pub struct Walk<'c> {
    curve: &'c FittedCurve,
    /// The first evaluation that is not before the last place asked for.
    after: usize,
}

impl Walk<'_> {
    /// Like [`FittedCurve::at`], for an `x` that is not before the one of the last call.
    pub fn at(&mut self, x: f64) -> f64 {
        let FittedCurve { x: xs, y: ys, .. } = self.curve;
        while xs.get(self.after).is_some_and(|&other| other < x) {
            self.after += 1;
        }
        between(xs, ys, self.after, x)
    }
}

/// For each of `ys`, at each `x`: the value of the line through all its points, weighted by their nearness.
fn local_lines(x: &[f64], ys: &[&[f64]]) -> Vec<Vec<f64>> {
    // [points][curves]
    let points: Vec<f64> = (0..x.len()).flat_map(|index| ys.iter().map(move |y| y[index])).collect();
    let mut lines: Vec<Vec<f64>> = ys.iter().map(|_| Vec::with_capacity(x.len())).collect();
    let (mut sums_y, mut sums_xy) = (vec![0.0; ys.len()], vec![0.0; ys.len()]);
    let mut distances = vec![0.0; x.len()];
    for &center in x {
        distances.iter_mut().zip(x).for_each(|(distance, x)| *distance = (x - center).abs());
        // After the point itself and the nearest.
        let (_, second_nearest, _) = distances.select_nth_unstable_by(2, f64::total_cmp);
        let bandwidth = BANDWIDTH.max(REACH * *second_nearest);
        let (mut sum, mut sum_x, mut sum_xx) = (0.0, 0.0, 0.0);
        sums_y.fill(0.0);
        sums_xy.fill(0.0);
        for (&x, of_curves) in x.iter().zip(points.chunks_exact(ys.len())) {
            let x = x - center;
            let weight = (-0.5 * (x / bandwidth).powi(2)).exp();
            let weighted_x = weight * x;
            sum += weight;
            sum_x += weighted_x;
            sum_xx += weighted_x * x;
            for ((sum_y, sum_xy), &y) in sums_y.iter_mut().zip(&mut sums_xy).zip(of_curves) {
                *sum_y += weight * y;
                *sum_xy += weighted_x * y;
            }
        }
        let determinant = sum * sum_xx - sum_x * sum_x;
        for ((line, &sum_y), &sum_xy) in lines.iter_mut().zip(&sums_y).zip(&sums_xy) {
            line.push(match determinant > 1e-12 * sum * sum_xx {
                true => (sum_xx * sum_y - sum_x * sum_xy) / determinant,
                false => sum_y / sum,
            });
        }
    }
    lines
}

/// The closest sequence in squares that never increases (pool adjacent violators).
pub(super) fn non_increasing(values: &[f64]) -> Vec<f64> {
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for &value in values {
        let mut block = (value, 1);
        while let Some(&(mean, count)) = blocks.last().filter(|(mean, _)| *mean < block.0) {
            let total = count + block.1;
            block = ((mean * count as f64 + block.0 * block.1 as f64) / total as f64, total);
            blocks.pop();
        }
        blocks.push(block);
    }
    blocks.into_iter().flat_map(|(mean, count)| std::iter::repeat_n(mean, count)).collect()
}

/// On straight lines through (`xs`, `ys`), whose `xs` increase; the first or last value outside.
fn interpolate(xs: &[f64], ys: &[f64], x: f64) -> f64 {
    between(xs, ys, xs.partition_point(|&other| other < x), x)
}

/// The same, where `after` is the first of `xs` that is not below `x`.
fn between(xs: &[f64], ys: &[f64], after: usize, x: f64) -> f64 {
    if after == 0 {
        return ys[0];
    }
    let Some((&right, &value)) = xs.get(after).zip(ys.get(after)) else { return ys[ys.len() - 1] };
    let (left, before) = (xs[after - 1], ys[after - 1]);
    before + (value - before) * (x - left) / (right - left)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Evaluations at equal distances, half a second for each of them.
    pub fn curve(values: &[f64]) -> Vec<Evaluation> {
        let evaluation = |(index, &value): (usize, &f64)| Evaluation {
            step: index as u64 + 1,
            images_seen: 1000 * (index as u64 + 1),
            train_seconds: 0.5 * (index as f64 + 1.0),
            value,
        };
        values.iter().enumerate().map(evaluation).collect()
    }

    #[test]
    fn a_power_law_is_fitted_by_itself() {
        let values: Vec<f64> = (1..=20).map(|index| 8.0 / f64::from(index)).collect();
        let fitted = FittedCurve::of(&curve(&values)).unwrap();
        let (x, y) = fitted.measured_from(0.0);
        assert!(x.iter().zip(y).all(|(&x, y)| (fitted.at(x) - y).abs() < 1e-12));
        let mut walk = fitted.walk();
        for x in [0.0, 7.0, 7.0, 7.1, 9.0, x[19], 11.0] {
            assert_eq!(walk.at(x), fitted.at(x));
        }
        // 8 / index is 1 at the eighth evaluation.
        let Crossing::At(x) = fitted.crossing(0.0) else { panic!("it crosses") };
        assert!((x.exp() / 8000.0 - 1.0).abs() < 1e-9 && (fitted.ln_seconds(x).exp() / 4.0 - 1.0).abs() < 1e-9);
        assert_eq!(fitted.crossing(9f64.ln()), Crossing::Before(1000f64.ln()));
        assert_eq!(fitted.crossing(0.3f64.ln()), Crossing::After(20_000f64.ln()));
    }

    #[test]
    fn curves_that_are_fitted_together_are_those_fitted_alone() {
        let wavy = |length: usize, phase: f64| {
            let value = |index: usize| 8.0 / (1.0 + index as f64) * (1.0 + 0.1 * (phase * index as f64).sin());
            curve(&(0..length).map(value).collect::<Vec<_>>())
        };
        let curves = [wavy(30, 0.3), wavy(30, 1.1), wavy(2, 1.0), wavy(30, 2.3), wavy(31, 0.3), wavy(30, 0.7)];
        let together = FittedCurve::of_each(curves.iter().map(Vec::as_slice));
        let alone: Vec<_> = curves.iter().map(|curve| FittedCurve::of(curve)).collect();
        assert_eq!(together, alone);
        assert!(together[0] != together[1] && together[2] == Err(NoFit::TooFew));
    }

    #[test]
    fn a_rise_is_pooled_with_what_came_before() {
        assert_eq!(non_increasing(&[3.0, 1.0, 2.0, 0.5]), [3.0, 1.5, 1.5, 0.5]);
        assert_eq!(non_increasing(&[1.0, 2.0, 3.0]), [2.0, 2.0, 2.0]);
        assert_eq!(non_increasing(&[3.0, 2.0, 1.0]), [3.0, 2.0, 1.0]);
    }

    #[test]
    fn what_has_no_curve_says_why() {
        assert_eq!(FittedCurve::of(&curve(&[4.0, 3.0, 2.0])), Err(NoFit::TooFew));
        assert_eq!(FittedCurve::of(&curve(&[4.0, 3.0, 2.0, f64::NAN])), Err(NoFit::TooFew));
        assert_eq!(FittedCurve::of(&curve(&[4.0, 3.0, 2.0, -0.1])), Err(NoFit::NotPositive));
        let before_training = Evaluation { step: 0, images_seen: 0, train_seconds: 0.0, value: 300.0 };
        let with_start = [&[before_training][..], &curve(&[4.0, 3.0, 2.0, 1.0])].concat();
        assert_eq!(FittedCurve::of(&with_start), FittedCurve::of(&curve(&[4.0, 3.0, 2.0, 1.0])));
    }
}
