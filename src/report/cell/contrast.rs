//! The speedup of an arm at one grid point, with everything that it is made of.

use super::detail::{CellDetail, SeedRatio, arm_at, at, blank, ratios, with_result};
use super::run::{cell_run, counts};
use super::{Cell, Formula, Kind, Of, speedup_words};
use crate::report::band::{Run, Spent, spent_over_band, spent_to_last_quality};
use crate::report::comparison::{ArmComparison, ArmRun, Comparison, Contrast, NoSpeedup, PointComparison};
use crate::report::cost::Cost;
use crate::report::number::significant;
use crate::report::speedup::{Pairing, Speedup};
use crate::report::tables::{Estimator, Row};
use crate::report::time_to_target::{TimeToTarget, time_to_target};
use crate::report::wording::{confidence, metric_value, verdict};

/// `against`: `None` for the baseline.
pub fn of_contrast(
    comparison: &Comparison,
    cell: &Cell,
    point: &PointComparison,
    arm: &ArmComparison,
    against: Option<&str>,
    contrast: &Contrast,
) -> CellDetail {
    let (kind, cost) = (cell.key.kind, cell.key.cost.expect("a speedup is measured in something"));
    let index = usize::from(cost == Cost::TrainSeconds);
    let against_name = against.or(comparison.baseline).unwrap_or_default();
    let reference = arm_at(comparison, point, against_name);
    let (first, second): (&[Run], &[Run]) = (reference.map_or(&[], |arm| &arm.fitted), &arm.fitted);
    let found = estimated(point, contrast, kind, index);
    let result = found.as_ref().map_or(Err(NoSpeedup::NoCompare), |(_, result)| result.clone());
    let band = point.band.as_ref().and_then(|band| band.as_ref().ok());
    let (spent, value_is) = match (kind, found.as_ref().map(|(estimator, _)| estimator)) {
        (Kind::Band, _) => {
            let spent = band.map(|band| spent_over_band(band, first, second, cost)).unwrap_or_default();
            (spent, format!("{}, geometric mean over the band", cost.words()))
        }
        (Kind::Last, Some(Estimator::LastQuality(value))) => (
            spent_to_last_quality(first, second, cost),
            format!("{} to the last quality, {}", cost.words(), significant(*value, 3)),
        ),
        (Kind::Target, Some(Estimator::FirstCrossing(value))) => (
            Spent {
                baseline: reference.map_or_else(Vec::new, |arm| first_crossings(arm, *value, cost)),
                candidate: first_crossings(arm, *value, cost),
            },
            format!("{} at the first evaluation at or below {}", cost.words(), metric_value(*value)),
        ),
        _ => (Spent::default(), String::new()),
    };
    let paired = result.as_ref().is_ok_and(|speedup| matches!(speedup.pairing, Pairing::Paired { .. }));
    let by_seed = match (kind, &result) {
        (Kind::Band, Ok(speedup)) => ratios(&speedup.by_seed),
        (Kind::WholeCurve, _) => {
            let whole = contrast.profiles.get(index).and_then(|profile| profile.as_ref()?.whole_curve.as_ref());
            whole.map_or_else(Vec::new, |whole| ratios(&whole.by_seed))
        }
        (Kind::Last | Kind::Target, Ok(_)) if paired => ratios_of(&spent),
        _ => vec![],
    };
    let of = Of {
        arm: arm.arm,
        against: against_name,
        cost,
        over_grid: false,
        targets: band.map_or(0, |band| band.targets.len()),
    };
    let level = confidence(comparison);
    let words = match &result {
        Ok(speedup) => speedup_words(&of, speedup, &level),
        Err(_) => format!("No number: {}.", verdict(&result)),
    };
    let row = found.map(|(estimator, result)| Row { arm, against, cost, estimator, result });
    let value = |costs: &[(u64, f64)], run: &ArmRun| {
        costs.iter().find(|(seed, _)| *seed == run.record.planned.seed).map(|(_, cost)| *cost)
    };
    let mut runs = Vec::new();
    for (arm, costs) in reference.into_iter().map(|arm| (arm, &spent.baseline)).chain([(arm, &spent.candidate)]) {
        let own = |run| cell_run(run, value(costs, run), counts(comparison, &result, &by_seed, arm, run));
        runs.extend(arm.runs.iter().map(own));
    }
    let how = match &row {
        Some(row) => row.measured_in(comparison),
        None => format!("{}, {}", kind.name(), cost.words()),
    };
    CellDetail {
        what: format!("speedup of {} over {against_name}{}{}", arm.arm, at(&point.label), how_words(kind, cost, &how)),
        verdict: row.map_or_else(|| "no number".to_owned(), |row| row.verdict_cell()),
        formula: Formula::of(kind, words, &of, paired, None),
        value_is,
        runs,
        by_seed,
        ..with_result(comparison, blank(comparison, cell, arm.arm, Some(against_name), &point.label), &result)
    }
}

/// The estimator of this kind, on the axis with this index, and what it found.
fn estimated(
    point: &PointComparison,
    contrast: &Contrast,
    kind: Kind,
    index: usize,
) -> Option<(Estimator, Result<Speedup, NoSpeedup>)> {
    let headline = contrast.speedups.get(index)?;
    let profile = contrast.profiles.get(index).and_then(Option::as_ref);
    let like = |estimate| {
        let headline = headline.as_ref().ok()?;
        Some(Ok(Speedup::of_band(headline.pairing, headline.left_out.clone(), estimate, None, 0)))
    };
    match kind {
        Kind::Last => {
            let (value, estimate) = profile?.hard?;
            Some((Estimator::LastQuality(value), like(estimate)?))
        }
        Kind::WholeCurve => {
            let whole = profile?.whole_curve.as_ref()?;
            Some((Estimator::WholeCurve { changes: profile?.changes() }, like(whole.estimate)?))
        }
        Kind::Target => {
            let target = point.target.as_ref()?.as_ref().ok()?;
            Some((Estimator::FirstCrossing(target.value), contrast.first_crossings.get(index)?.clone()))
        }
        _ => Some((Estimator::Band, headline.clone())),
    }
}

fn first_crossings(arm: &ArmComparison, target: f64, cost: Cost) -> Vec<(u64, f64)> {
    let reached = |run: &ArmRun| match time_to_target(&run.curve, target, cost) {
        TimeToTarget::Reached { bracket, .. } => Some((run.record.planned.seed, bracket.at)),
        TimeToTarget::NotReached { .. } => None,
    };
    arm.runs.iter().filter_map(reached).collect()
}

/// Of each seed that both arms have.
fn ratios_of(spent: &Spent) -> Vec<SeedRatio> {
    let ratio = |&(seed, first): &(u64, f64)| {
        let second = spent.candidate.iter().find(|(other, _)| *other == seed)?.1;
        Some(SeedRatio { seed, ratio: first / second })
    };
    spent.baseline.iter().filter_map(ratio).collect()
}

fn how_words(kind: Kind, cost: Cost, how: &str) -> String {
    match kind {
        Kind::Band => format!(" in {}, over the band of qualities", cost.words()),
        _ if cost == Cost::TrainSeconds => format!(": {}", how.replacen("images", "training time", 1)),
        _ => format!(": {how}"),
    }
}
