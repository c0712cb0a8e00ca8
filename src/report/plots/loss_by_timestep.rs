//! The timesteps at which an arm's loss is higher or lower than the baseline's.

use super::curves::{ArmCurve, Axes, curves};
use super::drawing::{Drawing, Sheet};
use super::seeds::{SeedPoint, over_seeds};
use super::{Palette, names};
use crate::record::RunRecord;
use crate::report::comparison::{ArmRun, PointComparison};

/// The last validation loss in each bin of t; relative to the baseline's median where there is one.
pub fn loss_by_timestep(point: &PointComparison, palette: &Palette, sheet: Sheet) -> Option<Drawing> {
    let arm_points = |runs: &[ArmRun]| over_seeds(&runs.iter().map(|run| last_by_bin(run.record)).collect::<Vec<_>>());
    let baseline = point.arms.iter().find(|arm| arm.is_baseline).map(|arm| arm_points(&arm.runs));
    let baseline = baseline.filter(|points| !points.is_empty());
    let relative = |points: Vec<SeedPoint>| -> Vec<SeedPoint> {
        let Some(baseline) = &baseline else { return points };
        let divided = |point: SeedPoint| {
            let yardstick = baseline.iter().find(|other| other.x == point.x).filter(|other| other.median > 0.0)?.median;
            Some(SeedPoint {
                x: point.x,
                median: point.median / yardstick,
                low: point.low / yardstick,
                high: point.high / yardstick,
            })
        };
        points.into_iter().filter_map(divided).collect()
    };
    let arms: Vec<ArmCurve> = point
        .arms
        .iter()
        .map(|arm| ArmCurve {
            name: arm.arm.to_owned(),
            style: palette.arm(arm.arm),
            points: relative(arm_points(&arm.runs)),
            has_markers: true,
        })
        .collect();
    let y_label = if baseline.is_some() {
        "last validation loss ÷ the baseline's median (below 1 is better)"
    } else {
        "last validation loss (mean squared error)"
    };
    let axes = Axes { x_label: "timestep t / T (0: least noise)", y_label, x_log: false, y_log: true, target: None };
    curves(&arms, &axes, sheet)
}

/// (bin, middle of the bin as a share of T, loss) at the run's last evaluation.
fn last_by_bin(run: &RunRecord) -> Vec<(u64, f64, f64)> {
    let binned = |metric: &str| metric.strip_prefix(names::VALIDATION_LOSS_BIN).and_then(|bin| bin.parse::<u64>().ok());
    let measured = || run.rows.of_metrics(&|metric| binned(metric).is_some());
    let Some(last) = measured().map(|row| row.step).max() else { return vec![] };
    let bins = run.planned.spec.evaluate.validation.bins as f64;
    // Of the weights that are compared, where both are measured.
    let protocol = measured().next().map_or("", |row| row.protocol);
    let rows = measured().filter(|row| row.step == last && row.protocol == protocol);
    let mut losses: Vec<(u64, f64, f64)> =
        rows.filter_map(|row| binned(row.metric).map(|bin| (bin, (bin as f64 + 0.5) / bins, row.value))).collect();
    losses.sort_by_key(|loss| loss.0);
    losses
}
