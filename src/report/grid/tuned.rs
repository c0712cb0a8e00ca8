//! `compare.tune`: every arm at its own best setting, so that the baseline is not a weak one.

use std::collections::BTreeMap;

use serde_json::Value;

use super::decide;
use crate::report::band::{Band, NoBand, Run, over_band};
use crate::report::comparison::{Comparison, PointComparison, planned_images};
use crate::report::cost::Cost;
use crate::report::interval::LEVEL;
use crate::report::speedup::{Estimate, Speedup};
use crate::spec::Point;

/// The arms at one combination of the axes that are not tuned.
pub struct Tuned<'a> {
    /// On the axes that are not tuned; empty where all are.
    pub point: Point,
    /// The same in words.
    pub label: String,
    /// Settings that every arm could choose from.
    pub settings: usize,
    pub baseline: Chosen<'a>,
    pub arms: Vec<TunedArm<'a>>,
}

/// An arm against the baseline, both at their own best.
pub struct TunedArm<'a> {
    pub chosen: Chosen<'a>,
    /// In training images.
    pub speedup: Result<Speedup, NoBand>,
}

/// The setting that an arm chose.
pub struct Chosen<'a> {
    pub arm: &'a str,
    /// (values of the axes in `compare.tune`, how many seeds are measured at them), the most chosen first. The setting for a seed is the one with the best last
    /// values on all other seeds: a best that is chosen and measured on the same seeds flatters.
    pub settings: Vec<(Point, usize)>,
    /// The most chosen one is the smallest or the largest number tried: a better one may lie beyond.
    pub is_at_edge: bool,
    /// Seeds that not every setting has: they count for none.
    pub left_out: Vec<u64>,
}

/// A run of an arm at one of its settings.
type BySeed = BTreeMap<u64, Run>;

/// Nothing where the sweep tunes nothing, or fewer than two seeds are there to choose on and to measure on.
pub fn tuned<'a>(comparison: &Comparison<'a>) -> Vec<Tuned<'a>> {
    let tune = comparison.study.plan.compare.as_ref().map_or(&[][..], |compare| &compare.tune);
    let (Some(baseline), false) = (comparison.baseline, tune.is_empty()) else { return vec![] };
    let mut groups: Vec<(Point, Vec<&PointComparison<'a>>)> = Vec::new();
    for point in &comparison.points {
        let rest = point.without(|path| tune.iter().any(|tuned| tuned == path));
        match groups.iter_mut().find(|(other, _)| *other == rest) {
            Some((_, points)) => points.push(point),
            None => groups.push((rest, vec![point])),
        }
    }
    let mut tuned: Vec<Tuned> =
        groups.into_iter().filter_map(|(point, points)| group(comparison, tune, baseline, point, &points)).collect();
    let arms = tuned.iter_mut().flat_map(|group| &mut group.arms);
    decide(comparison, &mut arms.filter_map(|arm| arm.speedup.as_mut().ok()).collect::<Vec<_>>());
    tuned
}

fn group<'a>(
    comparison: &Comparison<'a>,
    tune: &[String],
    baseline: &'a str,
    point: Point,
    points: &[&PointComparison<'a>],
) -> Option<Tuned<'a>> {
    let shares = comparison.study.plan.compare.as_ref()?.band;
    let (chosen, runs) = at_best(comparison, tune, baseline, points, None)?;
    let of_baseline = points.iter().flat_map(|point| &point.arms).find(|arm| arm.arm == baseline)?;
    let band = Band::of(&runs, planned_images(of_baseline), shares);
    let arms = comparison.study.plan.arms.iter().map(String::as_str).filter(|arm| *arm != baseline);
    let arms = arms.filter_map(|arm| {
        let (chosen, of_arm) = at_best(comparison, tune, arm, points, None)?;
        let speedup = band.as_ref().map(|band| {
            let speedup = over_band(band, &runs, &of_arm, Cost::ImagesSeen, 0.0);
            let without = |seed: u64| {
                let at_best = |arm| at_best(comparison, tune, arm, points, Some(seed));
                let ((_, runs), (_, of_arm)) = (at_best(baseline)?, at_best(arm)?);
                Some(over_band(band, &runs, &of_arm, Cost::ImagesSeen, 0.0).mean?.mean)
            };
            with_error_of_choice(speedup, without)
        });
        Some(TunedArm { chosen, speedup: speedup.map_err(|no_band| *no_band) })
    });
    let label = comparison.study.plan.labels.point(&comparison.study.plan.axes, &point);
    Some(Tuned { point, label, settings: points.len(), arms: arms.collect(), baseline: chosen })
}

/// The same estimate with an error that holds that of the choices: the jackknife's (Efron and Stein 1981, equation 1.3), by the estimates
/// `without` each of three seeds or more, for which every arm chooses again; never less than what seeds scatter. Without them no error is known.
///
/// What seeds scatter at settings that were chosen says nothing of settings that were not. By that alone, 95 % intervals covered
/// 86 to 93 % (results/reference/band-simulation.md).
fn with_error_of_choice(mut speedup: Speedup, without: impl Fn(u64) -> Option<f64>) -> Speedup {
    let (Estimate::Measured { interval, .. }, Some(mean)) = (&mut speedup.estimate, &mut speedup.mean) else {
        return speedup;
    };
    let left: Option<Vec<f64>> = speedup.by_seed.iter().map(|(seed, _)| without(*seed)).collect();
    let left = left.filter(|left| left.len() > 2);
    mean.error = left.zip(mean.error).map(|(left, (scatter, freedom))| {
        let count = left.len() as f64;
        let middle = left.iter().sum::<f64>() / count;
        let squares: f64 = left.iter().map(|mean| (mean - middle).powi(2)).sum();
        (((count - 1.0) / count * squares).sqrt().max(scatter), freedom)
    });
    *interval = mean.interval(LEVEL);
    speedup
}

/// The arm's run of every seed but `without` at the setting that is best on the other seeds.
fn at_best<'a>(
    comparison: &Comparison<'a>,
    tune: &[String],
    arm: &'a str,
    points: &[&PointComparison<'a>],
    without: Option<u64>,
) -> Option<(Chosen<'a>, Vec<Run>)> {
    let at = |point: &&&PointComparison<'a>| -> Option<BySeed> {
        let arm = point.arm(arm)?;
        let counted = comparison.counted_seeds();
        let counts = |run: &&Run| {
            run.ended && Some(run.seed) != without && counted.is_none_or(|seeds| seeds.contains(&run.seed))
        };
        Some(arm.fitted.iter().filter(counts).map(|run| (run.seed, run.clone())).collect())
    };
    let settings: Vec<(&PointComparison<'a>, BySeed)> =
        points.iter().filter_map(|point| Some((*point, at(&point)?))).collect();
    let mut seeds: Vec<u64> = settings.iter().flat_map(|(_, runs)| runs.keys().copied()).collect();
    seeds.sort_unstable();
    seeds.dedup();
    // A setting that lacks a seed is no worse for that: such a seed counts for none.
    let is_everywhere = |seed: &u64| settings.iter().all(|(_, runs)| runs.contains_key(seed));
    let (seeds, left_out): (Vec<u64>, Vec<u64>) = seeds.into_iter().partition(is_everywhere);
    if seeds.len() < 2 {
        return None;
    }
    // The last value of a run that diverged or has no curve is as bad as can be.
    let last = |run: &Run| match (&run.curve, run.diverged) {
        (Ok(curve), false) => curve.final_value(),
        _ => f64::INFINITY,
    };
    let mut counts = vec![0; settings.len()];
    let mut runs = Vec::new();
    for &seed in &seeds {
        let score = |(_, of_setting): &(&PointComparison, BySeed)| -> f64 {
            let others = seeds.iter().filter(|other| **other != seed);
            others.map(|other| last(&of_setting[other])).sum()
        };
        let scores: Vec<f64> = settings.iter().map(score).collect();
        let best = (0..scores.len()).min_by(|first, second| scores[*first].total_cmp(&scores[*second]))?;
        if !scores[best].is_finite() {
            continue;
        }
        counts[best] += 1;
        runs.extend(settings[best].1.get(&seed).cloned());
    }
    let mut chosen: Vec<usize> = (0..settings.len()).filter(|&index| counts[index] > 0).collect();
    chosen.sort_by_key(|&index| std::cmp::Reverse(counts[index]));
    let most = settings[*chosen.first()?].0;
    let axes = || comparison.study.plan.axes.iter().filter(|axis| tune.contains(&axis.path));
    let is_at_edge = axes().any(|axis| {
        let numbers: Option<Vec<f64>> = axis.values.iter().map(Value::as_f64).collect();
        let own = most.point.get(&axis.path).and_then(Value::as_f64);
        numbers.filter(|numbers| numbers.len() > 2).zip(own).is_some_and(|(numbers, own)| {
            numbers.iter().all(|number| own <= *number) || numbers.iter().all(|number| own >= *number)
        })
    });
    let setting = |index: usize| settings[index].0.without(|path| !tune.iter().any(|tuned| tuned == path));
    let settings = chosen.iter().map(|&index| (setting(index), counts[index])).collect();
    Some((Chosen { arm, settings, is_at_edge, left_out }, runs))
}
