//! Quality against training images and training time, and the losses.

use super::curves::{ArmCurve, Axes, curves};
use super::drawing::{Drawing, Sheet};
use super::seeds::{over_seeds, rows, stretched};
use super::{Palette, names};
use crate::report::comparison::{ArmComparison, Comparison, PointComparison};
use crate::report::cost::Cost;
use crate::report::wording::{metric_value, metric_words};

/// The compared metric against `cost`, with the target.
pub fn metric(
    comparison: &Comparison,
    point: &PointComparison,
    palette: &Palette,
    cost: Cost,
    sheet: Sheet,
) -> Option<Drawing> {
    let arms: Vec<ArmCurve> = point
        .arms
        .iter()
        .map(|arm| {
            let seed = |run: &crate::report::comparison::ArmRun| {
                run.curve.iter().map(|evaluation| (evaluation.step, cost.of(evaluation), evaluation.value)).collect()
            };
            let points = over_seeds(&arm.runs.iter().map(seed).collect::<Vec<_>>());
            ArmCurve { name: arm.arm.to_owned(), style: palette.arm(arm.arm), points, has_markers: true }
        })
        .collect();
    let name = metric_words(comparison);
    let target = point.target.as_ref().and_then(|target| target.as_ref().ok());
    let target = target.map(|target| (target.value, format!("target {}", metric_value(target.value))));
    let y_label = format!("{name} (lower is better)");
    curves(&arms, &Axes { x_label: cost.label(), y_label: &y_label, x_log: false, y_log: true, target }, sheet)
}

/// The training loss against images seen: means over stretches of a logarithmic axis.
pub fn train_loss(point: &PointComparison, palette: &Palette, sheet: Sheet) -> Option<Drawing> {
    loss(point, (palette, sheet), "training loss (mean squared error)", false, &|arm| {
        arm.runs.iter().map(|run| stretched(run.record, names::TRAIN_LOSS, 70)).collect()
    })
}

/// The loss on held-out images, every timestep equally often.
pub fn validation_loss(point: &PointComparison, palette: &Palette, sheet: Sheet) -> Option<Drawing> {
    loss(point, (palette, sheet), "validation loss (mean squared error)", true, &|arm| {
        let run = |run: &crate::report::comparison::ArmRun| {
            rows(run.record, names::VALIDATION_LOSS).map(|row| (row.step, row.images_seen as f64, row.value)).collect()
        };
        arm.runs.iter().map(run).collect()
    })
}

type SeedCurves = Vec<Vec<(u64, f64, f64)>>;

fn loss(
    point: &PointComparison,
    (palette, sheet): (&Palette, Sheet),
    y_label: &str,
    has_markers: bool,
    seeds: &dyn Fn(&ArmComparison) -> SeedCurves,
) -> Option<Drawing> {
    let arm = |arm: &ArmComparison| ArmCurve {
        name: arm.arm.to_owned(),
        style: palette.arm(arm.arm),
        points: over_seeds(&seeds(arm)),
        has_markers,
    };
    let arms: Vec<ArmCurve> = point.arms.iter().map(arm).collect();
    curves(&arms, &Axes { x_label: Cost::ImagesSeen.label(), y_label, x_log: true, y_log: true, target: None }, sheet)
}
