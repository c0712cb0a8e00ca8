//! One measured number and everything needed to read it alone.

use crate::spec::RunId;

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
