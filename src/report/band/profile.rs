//! The speedup at every quality, at both ends of the band, and whether the ends differ.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::estimate::{Contrasted, Measured, Run, Spent};
use super::time_scale::time_scale;
use super::{Band, Crossing, FittedCurve};
use crate::random::{Draws, Stream};
use crate::report::cost::Cost;
use crate::report::interval::{Interval, LEVEL, LogMean, paired};
use crate::report::speedup::{Estimate, Matched, Unknown};
use crate::report::target::median;

/// Qualities in a profile.
const PROFILE_TARGETS: usize = 33;
/// Draws for the critical value of the simultaneous band.
const DRAWS: usize = 2000;

/// The speedup against the quality.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// (metric, speedup) from easy to hard. The intervals hold at all qualities at once with 95 %.
    pub curve: Vec<(f64, Estimate)>,
    /// At the band's easiest quality.
    pub easy: (f64, Estimate),
    /// At the hardest of the band's qualities that every run reached.
    pub end: (f64, Estimate),
    /// To the last quality that both arms reach: of a faster arm, what the reference ends with. `None` until every run of both has ended
    /// with a value.
    pub hard: Option<(f64, Estimate)>,
    /// Two-sided p-value of "the speedup is the same from one end of the band to the other".
    pub trend: Option<f64>,
    /// One factor for the whole curve; where seeds are paired.
    pub whole_curve: Option<WholeCurve>,
}

/// One factor for the whole curve.
#[derive(Clone, Debug, PartialEq)]
pub struct WholeCurve {
    pub estimate: Estimate,
    pub mean: LogMean,
    /// The ln factor of each pair of runs with one seed.
    pub by_seed: Vec<(u64, f64)>,
}

impl Profile {
    /// Whether one number hides that the speedup changes over the band.
    pub fn changes(&self) -> bool {
        self.trend.is_some_and(|p| p < 0.05)
    }
}

/// The profile of `candidate` over `baseline`; `level` is two-sided, of the intervals to the last quality and of the whole curve.
pub fn profile(
    band: &Band,
    baseline: &[Run],
    candidate: &[Run],
    cost: Cost,
    (clock_variance, level): (f64, f64),
) -> Profile {
    let contrasted = Contrasted::of(baseline, candidate, cost, clock_variance);
    Profile {
        curve: curve(&contrasted, band),
        easy: (band.targets[0].exp(), contrasted.at(&band.targets[..1]).estimate),
        end: end(&contrasted, band),
        hard: hard_end(&contrasted, level),
        trend: trend(&contrasted, band),
        whole_curve: whole_curve(&contrasted, level),
    }
}

fn end(contrasted: &Contrasted, band: &Band) -> (f64, Estimate) {
    let at = |target: &f64| (target.exp(), contrasted.at(&[*target]).estimate);
    let is_measured = |(_, estimate): &(f64, Estimate)| matches!(estimate, Estimate::Measured { .. });
    let mut from_the_end = band.targets.iter().rev().map(at);
    from_the_end.find(is_measured).unwrap_or((band.targets[0].exp(), Estimate::Unknown(Unknown::NoneReached)))
}

fn curve(contrasted: &Contrasted, band: &Band) -> Vec<(f64, Estimate)> {
    let hardest = band.last.map_or(band.targets[band.targets.len() - 1], |last| last.min(band.targets[0]));
    let share = |index: usize| index as f64 / (PROFILE_TARGETS - 1) as f64;
    let targets: Vec<f64> =
        (0..PROFILE_TARGETS).map(|index| band.early + (hardest - band.early) * share(index)).collect();
    let measured: Vec<Measured> = targets.iter().map(|target| contrasted.at(&[*target])).collect();
    let known: Vec<f64> = targets
        .iter()
        .zip(&measured)
        .filter(|(_, measured)| measured.mean.is_some())
        .map(|(target, _)| *target)
        .collect();
    let critical = critical_value(contrasted, &known);
    let widened = |measured: &Measured| match (measured.estimate, measured.mean) {
        (Estimate::Measured { speedup, resolution, .. }, Some(LogMean { mean, error: Some((error, _)) })) => {
            let interval = critical.map(|critical| Interval {
                low: (mean - critical * error).exp(),
                high: (mean + critical * error).exp(),
            });
            Estimate::Measured { speedup, interval, resolution }
        }
        (estimate, _) => estimate,
    };
    targets.iter().map(|target| target.exp()).zip(measured.iter().map(widened)).collect()
}

/// The 95 % quantile of the largest |t| over `targets`: of a multivariate t with the correlations that the seeds show. `None`
/// for a single seed.
fn critical_value(contrasted: &Contrasted, targets: &[f64]) -> Option<f64> {
    let Matched { baseline, candidate, .. } = &contrasted.matched;
    let times =
        |runs: &[&Run], target: f64| -> Vec<f64> { runs.iter().map(|run| contrasted.time(run, target).low).collect() };
    // What each run, or pair of runs, adds to the error of the mean at each target.
    let parts = |values: &[f64]| -> Vec<f64> {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        values.iter().map(|value| (value - mean) / (n * (n - 1.0)).sqrt()).collect()
    };
    let columns: Vec<Vec<f64>> = targets
        .iter()
        .map(|&target| {
            let (first, second) = (times(baseline, target), times(candidate, target));
            let column = match contrasted.matched.is_paired() {
                true => parts(&first.iter().zip(&second).map(|(first, second)| first - second).collect::<Vec<_>>()),
                false => [parts(&first), parts(&second)].concat(),
            };
            let size = column.iter().map(|part| part * part).sum::<f64>().sqrt();
            column.into_iter().map(|part| if size > 0.0 { part / size } else { 0.0 }).collect()
        })
        .collect();
    let count = columns.first()?.len();
    let freedom = match contrasted.matched.is_paired() {
        true => baseline.len().checked_sub(1)?,
        false => baseline.len().min(candidate.len()).checked_sub(1)?,
    };
    if freedom == 0 {
        return None;
    }
    let drawn = normals(count + freedom);
    let (of_runs, of_scale) = drawn.split_at(count);
    let mut largest = vec![0.0; DRAWS];
    let mut sums = vec![0.0; DRAWS];
    for column in &columns {
        sums.fill(0.0);
        for (part, normals) in column.iter().zip(of_runs) {
            sums.iter_mut().zip(normals).for_each(|(sum, normal)| *sum += part * f64::from(*normal));
        }
        largest.iter_mut().zip(&sums).for_each(|(largest, sum)| *largest = f64::max(*largest, sum.abs()));
    }
    sums.fill(0.0);
    for normals in of_scale {
        sums.iter_mut().zip(normals).for_each(|(sum, normal)| *sum += f64::from(*normal).powi(2));
    }
    largest.iter_mut().zip(&sums).for_each(|(largest, sum)| *largest /= (sum / freedom as f64).sqrt());
    let (_, quantile, _) = largest.select_nth_unstable_by((DRAWS * 95) / 100, f64::total_cmp);
    Some(*quantile)
}

/// `count` normals of each of [`DRAWS`] draws: `[count][draws]`, so that all draws are added up at once. They are the same for all arms with
/// so many runs, of which a grid has hundreds.
fn normals(count: usize) -> Arc<Vec<Vec<f32>>> {
    static KNOWN: Mutex<BTreeMap<usize, Arc<Vec<Vec<f32>>>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().expect("drawing does not panic");
    let drawn = known.entry(count).or_insert_with(|| {
        let mut normals = vec![vec![0f32; DRAWS]; count];
        let mut of_draw = vec![0f32; count];
        for draw in 0..DRAWS {
            Draws::new(0, Stream::Noise, draw as u64).fill_normal(&mut of_draw);
            normals.iter_mut().zip(&of_draw).for_each(|(normals, normal)| normals[draw] = *normal);
        }
        Arc::new(normals)
    });
    Arc::clone(drawn)
}

/// Of `candidate` over `baseline` to the last quality that both arms reach, and that quality.
pub fn to_last_quality(
    baseline: &[Run],
    candidate: &[Run],
    cost: Cost,
    clock_variance: f64,
) -> Option<(f64, Estimate)> {
    hard_end(&Contrasted::of(baseline, candidate, cost, clock_variance), LEVEL)
}

/// To the last quality that both arms reach, and that quality: the worse of the two last ones. Where seeds are paired, it is each pair's
/// own.
///
/// To the reference's own last quality, of equal arms only those get that are sooner by chance. This one every run reaches, and which
/// arm is the sooner is as likely the one as the other; of a faster arm it is the reference's last quality. A run that levels off before
/// its end comes to its last quality at no certain time, so that there is no number then.
fn hard_end(contrasted: &Contrasted, level: f64) -> Option<(f64, Estimate)> {
    let Ends { value, times } = ends(contrasted)?;
    let Some([(first, is_known), (second, other_is_known)]) = times else {
        return Some((value, Estimate::Unknown(Unknown::LevelsOff)));
    };
    // A source may have no clock.
    if first.is_empty() || second.is_empty() || first.iter().chain(&second).any(|cost| !cost.is_finite()) {
        return None;
    }
    let mean = contrasted.difference(&first, &second);
    let estimate = match (is_known, other_is_known) {
        (true, true) => Estimate::Measured { speedup: mean.ratio(), interval: mean.interval(level), resolution: None },
        (false, true) => Estimate::AtMost(mean.ratio()),
        (true, false) => Estimate::AtLeast(mean.ratio()),
        (false, false) => return None,
    };
    Some((value, estimate))
}

/// What each run had spent to the last quality that both arms reach; nothing where that cannot be told.
pub fn spent_to_last_quality(baseline: &[Run], candidate: &[Run], cost: Cost) -> Spent {
    let contrasted = Contrasted::of(baseline, candidate, cost, 0.0);
    let Some(Ends { times: Some([(first, _), (second, _)]), .. }) = ends(&contrasted) else { return Spent::default() };
    let Matched { baseline, candidate, .. } = &contrasted.matched;
    let of = |runs: &[&Run], times: Vec<f64>| runs.iter().zip(times).map(|(run, ln)| (run.seed, ln.exp())).collect();
    Spent { baseline: of(baseline, first), candidate: of(candidate, second) }
}

/// When two arms came to the last quality that both reach.
struct Ends {
    /// That quality: the median, where each pair of runs has its own.
    value: f64,
    /// ln(cost) of each run of either arm, and whether all of them are seen to come there; `None` where a run levels off before its end.
    times: Option<[(Vec<f64>, bool); 2]>,
}

fn ends(contrasted: &Contrasted) -> Option<Ends> {
    let Matched { baseline, candidate, .. } = &contrasted.matched;
    let (first, second) = (until_their_ends(baseline)?, until_their_ends(candidate)?);
    // Which run of a pair, or of all, ends worst.
    let worst: Vec<&FittedCurve> = match contrasted.matched.is_paired() {
        true => first.iter().zip(&second).map(|(first, second)| worse(first, second)).collect(),
        false => {
            let of_all = first.iter().chain(&second).copied().reduce(worse)?;
            vec![of_all; first.len().max(second.len())]
        }
    };
    let targets: Vec<f64> = worst.iter().map(|curve| curve.last_quality()).collect();
    let value = median(&targets)?.exp();
    if worst.iter().any(|curve| curve.levels_off()) {
        return Some(Ends { value, times: None });
    }
    // A run that was there at its first evaluation is known to have been there by then.
    let times = |curves: &[&FittedCurve]| -> (Vec<f64>, bool) {
        let mut is_known = true;
        let time = |(curve, &target): (&&FittedCurve, &f64)| {
            let crossing = curve.crossing_for_the_end(target);
            is_known &= matches!(crossing, Crossing::At(_));
            let (Crossing::Before(x) | Crossing::At(x) | Crossing::After(x)) = crossing;
            contrasted.cost_at(curve, x)
        };
        (curves.iter().zip(&targets).map(time).collect(), is_known)
    };
    Some(Ends { value, times: Some([times(&first), times(&second)]) })
}

/// The one that ends with the worse quality.
fn worse<'c>(one: &'c FittedCurve, other: &'c FittedCurve) -> &'c FittedCurve {
    if other.last_quality() > one.last_quality() { other } else { one }
}

/// The curves of runs that have nothing more to measure; one that diverged ended with nothing.
fn until_their_ends<'r>(runs: &[&'r Run]) -> Option<Vec<&'r FittedCurve>> {
    runs.iter().map(|run| if run.ended && !run.diverged { run.curve.as_ref().ok() } else { None }).collect()
}

/// The slope of each run's times over the part of the band that every run reached.
fn trend(contrasted: &Contrasted, band: &Band) -> Option<f64> {
    let Matched { baseline, candidate, .. } = &contrasted.matched;
    let is_known = |target: &f64| {
        let mut runs = baseline.iter().chain(candidate);
        runs.all(|run| matches!(run.curve.as_ref().map(|curve| curve.crossing(*target)), Ok(Crossing::At(_))))
    };
    let targets: Vec<f64> = band.targets.iter().copied().filter(is_known).collect();
    if targets.len() * 2 < band.targets.len() || targets.len() < 2 {
        return None;
    }
    let middle = (targets.len() - 1) as f64 / 2.0;
    let slope = |run: &&Run| {
        let part = |(index, &target): (usize, &f64)| (index as f64 - middle) * contrasted.time(run, target).low;
        targets.iter().enumerate().map(part).sum::<f64>()
    };
    let slopes = |runs: &[&Run]| runs.iter().map(slope).collect::<Vec<f64>>();
    contrasted.difference(&slopes(baseline), &slopes(candidate)).p_value()
}

fn whole_curve(contrasted: &Contrasted, level: f64) -> Option<WholeCurve> {
    let Matched { baseline, candidate, .. } = &contrasted.matched;
    if !contrasted.matched.is_paired() || contrasted.cost != Cost::ImagesSeen {
        return None;
    }
    let scale = |(first, second): (&&Run, &&Run)| {
        Some((first.seed, time_scale(first.curve.as_ref().ok()?, second.curve.as_ref().ok()?)?))
    };
    let by_seed: Option<Vec<(u64, f64)>> = baseline.iter().zip(candidate).map(scale).collect();
    let by_seed = by_seed.filter(|by_seed| !by_seed.is_empty())?;
    let mean = paired(&by_seed.iter().map(|(_, scale)| *scale).collect::<Vec<f64>>(), 0.0);
    let estimate = Estimate::Measured { speedup: mean.ratio(), interval: mean.interval(level), resolution: None };
    Some(WholeCurve { estimate, mean, by_seed })
}
