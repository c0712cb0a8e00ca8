//! How hard each bin of timesteps is to learn: losses and gradients by bin of t along training, and when each bin's loss has
//! fallen by most of its fall.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use serde_json::{Value, json};

use super::comparison::{ArmComparison, Comparison};
use super::json_text::with_points;
use super::target::median;
use crate::record::RunRecord;
use crate::spec::Labels;

/// Shares of the fall of a bin's loss from the first evaluation to the last.
pub const SHARES: [f64; 2] = [0.5, 0.9];
/// The version of `difficulty.json`.
const VERSION: u32 = 1;
const LOSS: &str = "validation_loss/";
const GRADIENT: &str = "validation_gradient_norm/";

/// Learning difficulty at one grid point.
pub struct PointDifficulty<'a> {
    pub label: &'a str,
    /// The same without labels.
    pub name: &'a str,
    /// Arms that have measured something, in the sweep's order.
    pub arms: Vec<ArmDifficulty<'a>>,
}

/// One arm: medians over its seeds.
pub struct ArmDifficulty<'a> {
    pub arm: &'a str,
    pub loss: Surface,
    /// `None` without `evaluate.difficulty`.
    pub gradient: Option<Surface>,
    /// For each of [`SHARES`], for each bin.
    pub reached: Vec<Vec<Option<Reached>>>,
}

/// Values by step and bin.
pub struct Surface {
    pub steps: Vec<u64>,
    pub bins: usize,
    /// `[steps][bins]`; `None` where no seed has a number.
    pub values: Vec<Vec<Option<f64>>>,
}

/// The first evaluation at which a bin's loss had fallen by a share: medians and range over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reached {
    pub seeds: usize,
    pub step: f64,
    pub images_seen: f64,
    pub lowest_images_seen: f64,
    pub highest_images_seen: f64,
    pub train_seconds: f64,
}

/// Points at which at least one arm has two evaluations.
pub fn difficulty<'c>(comparison: &'c Comparison) -> Vec<PointDifficulty<'c>> {
    let arm = |arm: &'c ArmComparison| {
        let runs: Vec<&RunRecord> = arm.runs.iter().map(|run| run.record).collect();
        let loss = surface(&runs, LOSS).filter(|surface| surface.steps.len() > 1)?;
        let bins = loss.bins;
        let share = |share: f64| (0..bins).map(|bin| reached(&runs, bin, share)).collect();
        let gradient = surface(&runs, GRADIENT);
        Some(ArmDifficulty { arm: arm.arm, loss, gradient, reached: SHARES.into_iter().map(share).collect() })
    };
    let points = comparison.points.par_iter().map(|point| PointDifficulty {
        label: &point.label,
        name: &point.name,
        arms: point.arms.iter().filter_map(arm).collect(),
    });
    points.filter(|point| !point.arms.is_empty()).collect()
}

fn surface(runs: &[&RunRecord], metric: &str) -> Option<Surface> {
    let mut found: BTreeMap<u64, BTreeMap<usize, Vec<f64>>> = BTreeMap::new();
    for run in runs {
        let mut seen = BTreeSet::new();
        for row in run.rows.of_metrics(&|name| bin_of(name, metric).is_some()) {
            let Some(bin) = bin_of(row.metric, metric) else { continue };
            // Where raw weights are measured too, those that are compared come first.
            if seen.insert((row.step, bin)) && row.value.is_finite() {
                found.entry(row.step).or_default().entry(bin).or_default().push(row.value);
            }
        }
    }
    let bins = 1 + *found.values().flat_map(BTreeMap::keys).max()?;
    let values = |of_step: &BTreeMap<usize, Vec<f64>>| {
        (0..bins).map(|bin| of_step.get(&bin).and_then(|values| median(values))).collect()
    };
    Some(Surface { steps: found.keys().copied().collect(), bins, values: found.values().map(values).collect() })
}

fn bin_of(name: &str, metric: &str) -> Option<usize> {
    name.strip_prefix(metric)?.parse().ok()
}

/// `None` where no seed's loss fell, or none has got to its last step.
fn reached(runs: &[&RunRecord], bin: usize, share: f64) -> Option<Reached> {
    let metric = format!("{LOSS}{bin}");
    let mut found: Vec<(f64, f64, f64)> = vec![];
    for run in runs {
        let mut rows: Vec<_> =
            run.rows.of_metrics(&|name| name == metric).filter(|row| row.value.is_finite()).collect();
        rows.dedup_by_key(|row| row.step);
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { continue };
        if last.step != run.planned.spec.train.steps || last.value >= first.value {
            continue;
        }
        let goal = first.value - share * (first.value - last.value);
        let row = rows.iter().find(|row| row.value <= goal).expect("the last one is below every goal");
        found.push((row.step as f64, row.images_seen as f64, row.train_seconds));
    }
    let middle = |part: fn(&(f64, f64, f64)) -> f64| median(&found.iter().map(part).collect::<Vec<f64>>());
    let images = || found.iter().map(|found| found.1);
    Some(Reached {
        seeds: found.len(),
        step: middle(|found| found.0)?,
        images_seen: middle(|found| found.1)?,
        lowest_images_seen: images().fold(f64::INFINITY, f64::min),
        highest_images_seen: images().fold(f64::NEG_INFINITY, f64::max),
        train_seconds: middle(|found| found.2)?,
    })
}

/// `difficulty.json`.
pub fn difficulty_json(points: &[PointDifficulty], labels: &Labels) -> String {
    let surface = |surface: &Surface| json!({ "steps": surface.steps, "by_step_and_bin": surface.values });
    let reached = |reached: &Option<Reached>| {
        reached.map_or(Value::Null, |reached| {
            json!({
                "seeds": reached.seeds, "step": reached.step, "images_seen": reached.images_seen,
                "lowest_images_seen": reached.lowest_images_seen, "highest_images_seen": reached.highest_images_seen,
                "train_seconds": reached.train_seconds,
            })
        })
    };
    let arm = |arm: &ArmDifficulty| {
        let shares = SHARES.iter().zip(&arm.reached);
        let shares = shares
            .map(|(share, bins)| json!({ "share": share, "by_bin": bins.iter().map(reached).collect::<Vec<_>>() }));
        json!({
            "arm": labels.name_of(arm.arm), "bins": arm.loss.bins, "validation_loss": surface(&arm.loss),
            "validation_gradient_norm": arm.gradient.as_ref().map_or(Value::Null, surface),
            "share_of_the_fall_since_the_first_evaluation": shares.collect::<Vec<_>>(),
        })
    };
    let point = |point: &PointDifficulty| json!({ "point": point.name, "arms": point.arms.iter().map(arm).collect::<Vec<_>>() });
    with_points(&json!({ "version": VERSION, "over_seeds": "median" }), points, point)
}
