//! One measured number and everything needed to read it alone.

use crate::event::{RunEvent, Stamp};
use crate::spec::{PlannedRun, RunId};

/// A row of `curves.parquet`.
#[derive(Clone, Debug, PartialEq)]
pub struct CurveRow {
    pub run_id: RunId,
    pub arm: String,
    pub trial: String,
    pub seed: u64,
    /// The attempt that recorded it.
    pub attempt: u32,
    pub step: u64,
    pub images_seen: u64,
    pub train_seconds: f64,
    pub wall_seconds: f64,
    /// `train_loss`, `gradient_norm`, `learning_rate`, `beta1`, `validation_loss`, `validation_loss/<bin>`, `fid`.
    pub metric: String,
    /// How it was measured; empty where the metric's name says all.
    pub protocol: String,
    pub value: f64,
}

/// The rows that a run's effective events hold, in the order recorded.
pub fn curve_rows(run: &PlannedRun, effective_events: &[(u32, RunEvent)]) -> Vec<CurveRow> {
    let mut rows = Vec::new();
    for (attempt, event) in effective_events {
        let mut push = |stamp: &Stamp, metric: &str, protocol: &str, value: f64| {
            rows.push(CurveRow {
                run_id: run.run_id.clone(),
                arm: run.arm.clone(),
                trial: run.trial.clone(),
                seed: run.seed,
                attempt: *attempt,
                step: stamp.step,
                images_seen: stamp.images_seen,
                train_seconds: stamp.train_seconds,
                wall_seconds: stamp.wall_seconds,
                metric: metric.to_owned(),
                protocol: protocol.to_owned(),
                value,
            });
        };
        match event {
            RunEvent::Trained { stamp, loss, gradient_norm, learning_rate, beta1, .. } => {
                push(stamp, "train_loss", "", *loss);
                let rest = [("gradient_norm", gradient_norm), ("learning_rate", learning_rate), ("beta1", beta1)];
                for (metric, value) in rest {
                    if let Some(value) = value {
                        push(stamp, metric, "", *value);
                    }
                }
            }
            RunEvent::Evaluated { stamp, measures, .. } => {
                for measure in measures {
                    push(stamp, &measure.metric, &measure.protocol, measure.value);
                }
            }
            _ => {}
        }
    }
    rows
}
