//! A run's curves, thinned, over moments that they share.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Metric, TrainingFlops};
use crate::record::RunRecord;
use crate::report::band::FittedCurve;

/// When a run measured: its clocks, each a list of equal length; the last two are empty and left out where they are not known.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Moments {
    pub step: Vec<u64>,
    pub images_seen: Vec<u64>,
    pub train_seconds: Vec<f64>,
    pub wall_seconds: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub train_flops: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_hours: Vec<f64>,
}

const SECONDS_PER_HOUR: f64 = 3600.0;

impl Moments {
    /// `flops`: what training spends.
    pub fn count_flops(&mut self, flops: Option<TrainingFlops>) {
        let Some(flops) = flops else { return };
        self.train_flops = self.images_seen.iter().map(|&images| finite(flops.after(images))).collect();
    }

    /// `share`: the part of a device that the run had.
    pub fn count_hours(&mut self, share: Option<f64>) {
        let Some(share) = share else { return };
        let hours = |seconds: &f64| finite(seconds * share / SECONDS_PER_HOUR);
        self.device_hours = self.wall_seconds.iter().map(hours).collect();
    }
}

/// A clock is a finite number.
fn finite(clock: f64) -> f64 {
    rounded(clock).unwrap_or(0.0)
}

/// One metric of a run.
#[derive(Debug, PartialEq, Serialize)]
pub struct Curve {
    /// The metric's place.
    pub metric: usize,
    /// Places among the moments.
    pub at: Vec<usize>,
    /// Null for a value that is no finite number.
    pub value: Vec<Option<f64>>,
    /// Of the compared metric: the curve that the speedups are read off; null before any training. Left out where none is fitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fitted: Option<Vec<Option<f64>>>,
}

/// The curve fitted to the compared metric of a run, and the protocol of the values it is fitted to.
#[derive(Clone, Copy)]
pub struct Fit<'c> {
    pub metric: Metric<'c>,
    pub curve: &'c FittedCurve,
}

impl Fit<'_> {
    fn value(&self, images_seen: u64) -> Option<f64> {
        (images_seen > 0).then(|| rounded(self.curve.at((images_seen as f64).ln()).exp()))?
    }
}

/// The clocks and curves of a run, each curve with at most `most` points.
pub fn moments(run: &RunRecord, metrics: &[Metric], most: usize, fit: Option<&Fit>) -> (Moments, Vec<Curve>) {
    type Clocks = (u64, f64, f64);
    let mut clocks: BTreeMap<u64, Clocks> = BTreeMap::new();
    let mut kept: Vec<(usize, BTreeMap<u64, f64>)> = Vec::new();
    for (index, metric) in metrics.iter().enumerate() {
        let rows = run.rows.series(metric.name, metric.protocol);
        let by_step: BTreeMap<u64, _> = rows.map(|row| (row.step, row)).collect();
        let steps: Vec<u64> = by_step.keys().copied().collect();
        let chosen = spaced(&steps, most);
        if chosen.is_empty() {
            continue;
        }
        for step in &chosen {
            let row = &by_step[step];
            clocks.insert(*step, (row.images_seen, row.train_seconds, row.wall_seconds));
        }
        kept.push((index, chosen.iter().map(|step| (*step, by_step[step].value)).collect()));
    }
    let places: BTreeMap<u64, usize> = clocks.keys().copied().zip(0..).collect();
    let curves = kept.into_iter().map(|(metric, values)| {
        let fit = fit.filter(|fit| fit.metric == metrics[metric]);
        let fitted = fit.map(|fit| values.keys().map(|step| fit.value(clocks[step].0)).collect());
        Curve {
            metric,
            at: values.keys().map(|step| places[step]).collect(),
            value: values.values().map(|value| rounded(*value)).collect(),
            fitted,
        }
    });
    let curves = curves.collect();
    let seconds = |pick: fn(&Clocks) -> f64| clocks.values().map(|clock| finite(pick(clock))).collect();
    let moments = Moments {
        step: clocks.keys().copied().collect(),
        images_seen: clocks.values().map(|clock| clock.0).collect(),
        train_seconds: seconds(|clock| clock.1),
        wall_seconds: seconds(|clock| clock.2),
        ..Moments::default()
    };
    (moments, curves)
}

/// `count` of them, which are two or more, evenly spaced in order, the first and the last always among them.
pub fn spaced<T: Clone>(all: &[T], count: usize) -> Vec<T> {
    if all.len() <= count {
        return all.to_vec();
    }
    (0..count).map(|index| all[index * (all.len() - 1) / (count - 1)].clone()).collect()
}

/// To six significant digits; `None` of what is no finite number, for which JSON has no word.
pub fn rounded(value: f64) -> Option<f64> {
    value.is_finite().then(|| format!("{value:.5e}").parse().expect("a number as it was just written"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_and_hours_follow_from_images_and_seconds_where_they_are_known() {
        let mut moments = Moments { images_seen: vec![0, 64], wall_seconds: vec![0.0, 7200.0], ..Moments::default() };
        moments.count_flops(None);
        moments.count_hours(None);
        assert!(moments.train_flops.is_empty() && moments.device_hours.is_empty());
        moments.count_flops(Some(TrainingFlops::even(3e6)));
        moments.count_hours(Some(0.5));
        assert_eq!((moments.train_flops, moments.device_hours), (vec![0.0, 1.92e8], vec![0.0, 1.0]));
    }

    #[test]
    fn thinned_curves_keep_both_ends() {
        let steps: Vec<u64> = (1..=1000).collect();
        let kept = spaced(&steps, 16);
        assert_eq!((kept.len(), kept[0], kept[15]), (16, 1, 1000));
        assert_eq!(spaced(&steps[..3], 16), [1, 2, 3]);
    }

    #[test]
    fn numbers_keep_six_digits() {
        assert_eq!([1.0 / 3.0, 1_234_567.8, 0.0, -2.5].map(rounded), [0.333333, 1_234_570.0, 0.0, -2.5].map(Some));
        assert_eq!([f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(rounded), [None; 3]);
    }
}
