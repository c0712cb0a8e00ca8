//! One number with everything that it is made of.

use std::collections::BTreeSet;

use serde::Serialize;

use super::contrast::of_contrast;
use super::enumerate::Place;
use super::run::{CellRun, cell_run, counts};
use super::{Cell, CellNumber, Formula, Kind, Of, speedup_words};
use crate::report::comparison::{ArmComparison, ArmRun, Comparison, NoSpeedup, PointComparison, Spread};
use crate::report::cost::Cost;
use crate::report::curve::last_value;
use crate::report::final_measures::{MeasureColumn, final_value, measure_columns};
use crate::report::grid::{Grid, Of as Changes};
use crate::report::speedup::{Speedup, Verdict};
use crate::report::wording::{
    confidence, interval_cell, metric_value, metric_words, seeds_cell, speedup_cell, verdict,
};
use crate::spec::{Point, is_part};

/// A number of a report with its runs. Names of arms are those of the report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CellDetail {
    pub id: String,
    /// [`Kind::name`].
    pub kind: &'static str,
    /// What it is, in words.
    pub what: String,
    pub study: String,
    pub metric: String,
    pub arm: String,
    pub against: Option<String>,
    /// `images_seen`, `train_seconds`.
    pub measured_in: Option<&'static str>,
    /// `key = value, ..`; empty without a grid.
    pub point: String,
    /// As tables show it: the number, and its interval or range.
    pub shown: String,
    pub interval: String,
    /// Of the interval, such as `95 %`; empty where there is a range of seeds.
    pub level: String,
    pub verdict: String,
    /// `None` where nothing is known.
    pub number: Option<CellNumber>,
    pub seeds: String,
    pub formula: Formula,
    /// What each run's value is, in words; empty where runs have none of their own.
    pub value_is: String,
    /// The reference's runs first.
    pub runs: Vec<CellRun>,
    /// The ratio of each seed; empty where seeds are not paired or nothing is known.
    pub by_seed: Vec<SeedRatio>,
    /// Whether its values were measured after its runs had ended, which training does not do again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_measured_later: bool,
}

/// What one seed says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SeedRatio {
    pub seed: u64,
    pub ratio: f64,
}

/// The number of a cell of `comparison`.
pub fn detail(comparison: &Comparison, grid: &Grid, cell: &Cell) -> CellDetail {
    match cell.place {
        Place::Arm { point, arm } if cell.key.kind == Kind::Final => {
            let point = &comparison.points[point];
            let arm = &point.arms[arm];
            let last = |run: &ArmRun| run.curve.last().map(|last| last.value);
            let metric = metric_words(comparison);
            of_last_values(comparison, cell, point, arm, arm.final_values, (&metric, &last))
        }
        Place::Measure { point, arm, column } => {
            let point = &comparison.points[point];
            let (arm, column) = (&point.arms[arm], &measure_columns(comparison, point)[column]);
            let last = |run: &ArmRun| last_value(run.record, column.metric, &column.protocol);
            let MeasureColumn { words, protocol, .. } = column;
            let words = if protocol.is_empty() { words.clone() } else { format!("{words}, `{protocol}`") };
            let spread = final_value(arm, column).map(|found| found.spread);
            let is_later = |run: &ArmRun| run.record.later.series(column.metric, &column.protocol).next().is_some();
            CellDetail {
                is_measured_later: arm.runs.iter().any(is_later),
                ..of_last_values(comparison, cell, point, arm, spread, (&words, &last))
            }
        }
        Place::Arm { point, arm } => {
            let point = &comparison.points[point];
            of_contrast(comparison, cell, point, &point.arms[arm], None, &point.arms[arm].contrast)
        }
        Place::Pair { point, pair } => {
            let point = &comparison.points[point];
            let pair = &point.pairs[pair];
            let arm = point.arm(pair.arm).expect("a pair is made of the point's arms");
            of_contrast(comparison, cell, point, arm, Some(pair.against), &pair.contrast)
        }
        Place::Effect(index) => {
            let effect = &grid.effects[index];
            let points = comparison.points.iter().filter(|point| {
                let images = point.arm(effect.arm).and_then(|arm| arm.contrast.images());
                images.is_some_and(|speedup| !speedup.by_seed.is_empty())
            });
            let what = format!("over the whole grid ({} of {} points)", effect.measured, effect.tried);
            let arms = [effect.arm];
            of_grid(comparison, cell, &what, &arms, points.collect(), Ok(effect.speedup.clone()), None)
        }
        Place::Tuned { group, arm } => {
            let tuned = &grid.tuned[group];
            let own = &tuned.arms[arm];
            let plan = &comparison.study.plan;
            let tune = plan.compare.as_ref().map_or(&[][..], |compare| &compare.tune);
            let is_here =
                |point: &&PointComparison| point.without(|path| tune.iter().any(|tuned| tuned == path)) == tuned.point;
            let points = comparison.points.iter().filter(is_here).collect();
            let at = if tuned.label.is_empty() { String::new() } else { format!(" at {}", tuned.label) };
            let axes = tune.iter().map(|path| plan.labels.axis(path)).collect::<Vec<_>>().join(", ");
            let what = format!("each at its own best of {} values of {axes}{at}", tuned.settings);
            let result = own.speedup.clone().map_err(NoSpeedup::NoBand);
            of_grid(comparison, cell, &what, &[own.chosen.arm], points, result, None)
        }
        Place::Interaction(index) => {
            let interaction = &grid.interactions[index];
            let result = Ok(interaction.ratio.clone());
            match &interaction.of {
                Changes::Axis { arm, axis, value, reference } => {
                    let is_here = |point: &&PointComparison| {
                        point.point.get(&axis.path).is_some_and(|own| own == *value || own == *reference)
                    };
                    let points = comparison.points.iter().filter(is_here).collect();
                    let labels = &comparison.study.plan.labels;
                    let [value, reference] = [value, reference].map(|value| labels.value(axis, value));
                    let path = labels.axis(&axis.path);
                    let what = format!(
                        "interaction: how many times larger the speedup of {arm} is at {path} = {value} than at {reference}"
                    );
                    let signs = (format!("{arm} at {path} = {value}"), format!("{arm} at {path} = {reference}"));
                    of_grid(comparison, cell, &what, &[arm], points, result, Some((&signs.0, &[&signs.1])))
                }
                Changes::Arms { first, second, both } => {
                    let points = comparison.points.iter().collect();
                    let what = format!(
                        "interaction: how many times larger the speedup of {both} is than those of {first} and {second} multiplied"
                    );
                    of_grid(
                        comparison,
                        cell,
                        &what,
                        &[first, second, both],
                        points,
                        result,
                        Some((both, &[first, second])),
                    )
                }
            }
        }
    }
}

/// What runs' values are, and one run's.
type LastValue<'v> = (&'v str, &'v dyn Fn(&ArmRun) -> Option<f64>);

fn of_last_values(
    comparison: &Comparison,
    cell: &Cell,
    point: &PointComparison,
    arm: &ArmComparison,
    spread: Option<Spread>,
    (words, value): LastValue,
) -> CellDetail {
    let completed = |run: &ArmRun| if run.completed() { value(run) } else { None };
    let several = spread.filter(|spread| spread.n > 1);
    CellDetail {
        what: format!("final {words} of {}{}: the median over seeds", arm.arm, at(&point.label)),
        shown: spread.map_or("–".to_owned(), |spread| metric_value(spread.median)),
        interval: several.map_or("–".to_owned(), |spread| {
            format!("{} to {}", metric_value(spread.low), metric_value(spread.high))
        }),
        level: String::new(),
        verdict: String::new(),
        number: spread.map(CellNumber::of_spread),
        seeds: format!("{} of {}", spread.map_or(0, |spread| spread.n), arm.runs.len()),
        formula: Formula::of_last_values(arm.arm),
        value_is: format!("last {words}"),
        runs: arm.runs.iter().map(|run| cell_run(run, completed(run), completed(run).is_some())).collect(),
        ..blank(comparison, cell, arm.arm, None, &point.label)
    }
}

/// Of a number over several grid points: `arms` beside the baseline.
fn of_grid(
    comparison: &Comparison,
    cell: &Cell,
    what: &str,
    arms: &[&str],
    points: Vec<&PointComparison>,
    result: Result<Speedup, NoSpeedup>,
    signs: Option<(&str, &[&str])>,
) -> CellDetail {
    let against = comparison.baseline.unwrap_or_default();
    let arm = *arms.last().expect("a number is of an arm");
    let by_seed = result.as_ref().map_or_else(|_| vec![], |speedup| ratios(&speedup.by_seed));
    let mut runs = Vec::new();
    let mut seen = BTreeSet::new();
    for name in [against].iter().chain(arms) {
        for arm in points.iter().filter_map(|point| arm_at(comparison, point, name)) {
            let new = arm.runs.iter().filter(|run| seen.insert(&run.record.planned.run_id));
            runs.extend(new.map(|run| cell_run(run, None, counts(comparison, &result, &by_seed, arm, run))));
        }
    }
    let of = Of { arm, against, cost: Cost::ImagesSeen, over_grid: true, targets: 0 };
    let words = match &result {
        Ok(speedup) => speedup_words(&of, speedup, &confidence(comparison)),
        Err(_) => format!("No number: {}.", verdict(&result)),
    };
    CellDetail {
        what: match signs {
            None => format!("speedup of {arm} over {against} in training images, {what}"),
            Some(_) => what.to_owned(),
        },
        verdict: match signs {
            None => verdict(&result),
            Some(_) => interaction_verdict(&result),
        },
        formula: Formula::of(cell.key.kind, words, &of, true, signs),
        runs,
        by_seed,
        ..with_result(comparison, blank(comparison, cell, arm, Some(against), ""), &result)
    }
}

pub(super) fn blank(comparison: &Comparison, cell: &Cell, arm: &str, against: Option<&str>, point: &str) -> CellDetail {
    CellDetail {
        id: cell.id.clone(),
        kind: cell.key.kind.name(),
        what: String::new(),
        study: comparison.study.plan.name.clone(),
        metric: metric_words(comparison),
        arm: arm.to_owned(),
        against: against.map(str::to_owned),
        measured_in: cell.key.cost.map(Cost::name),
        point: point.to_owned(),
        shown: String::new(),
        interval: String::new(),
        level: String::new(),
        verdict: String::new(),
        number: None,
        seeds: String::new(),
        formula: Formula { words: String::new(), symbols: String::new() },
        value_is: String::new(),
        runs: vec![],
        by_seed: vec![],
        is_measured_later: false,
    }
}

pub(super) fn with_result(
    comparison: &Comparison,
    detail: CellDetail,
    result: &Result<Speedup, NoSpeedup>,
) -> CellDetail {
    CellDetail {
        shown: speedup_cell(result),
        interval: interval_cell(result),
        level: confidence(comparison),
        number: result.as_ref().ok().and_then(|speedup| CellNumber::of_estimate(&speedup.estimate)),
        seeds: seeds_cell(result),
        ..detail
    }
}

/// The arm at the point, or where it stands if it lacks some of the point's axes.
pub(super) fn arm_at<'c, 'a>(
    comparison: &'c Comparison<'a>,
    point: &'c PointComparison<'a>,
    name: &str,
) -> Option<&'c ArmComparison<'a>> {
    let is_of = |own: &Point| is_part(own, point.point);
    let elsewhere = || {
        let arms = comparison.points.iter().filter_map(|other| other.arm(name));
        arms.into_iter().find(|arm| arm.runs.iter().all(|run| is_of(&run.record.planned.point)))
    };
    point.arm(name).or_else(elsewhere)
}

pub(super) fn ratios(logs: &[(u64, f64)]) -> Vec<SeedRatio> {
    logs.iter().map(|(seed, ln)| SeedRatio { seed: *seed, ratio: ln.exp() }).collect()
}

/// A ratio of speedups is neither faster nor slower.
fn interaction_verdict(result: &Result<Speedup, NoSpeedup>) -> String {
    match result.as_ref().map(|speedup| speedup.verdict) {
        Ok(Verdict::Faster) => "more than multiplied".to_owned(),
        Ok(Verdict::Slower) => "less than multiplied".to_owned(),
        Ok(Verdict::Equivalent) => "multiplied, within the practical factor".to_owned(),
        _ => verdict(result),
    }
}

pub(super) fn at(point: &str) -> String {
    if point.is_empty() { String::new() } else { format!(" at {point}") }
}
