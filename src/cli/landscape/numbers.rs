//! What is measured, as `--json` prints it.

use serde::Serialize;

use super::Weights;
use crate::report::LossPlane;

#[derive(Serialize)]
pub(super) struct Landscape {
    pub version: u32,
    pub weights: Weights,
    /// How the loss is measured.
    pub loss: String,
    /// Of the directions.
    pub seed: u64,
    pub runs: Vec<OfRun>,
    pub between: Vec<OfPair>,
}

#[derive(Serialize)]
pub(super) struct OfRun {
    pub run_id: String,
    pub trial: String,
    pub run_seed: u64,
    pub step: u64,
    pub parameters: usize,
    pub loss_at_the_weights: f64,
    pub gradient_norm: f64,
    pub weight_norm: f64,
    /// (share of the way, loss).
    pub from_initial: Vec<(f64, f64)>,
    /// (distance, loss) along each direction.
    pub random_lines: Vec<Vec<(f64, f64)>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plane: Option<LossPlane>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hessian: Option<Hessian>,
}

#[derive(Serialize)]
pub(super) struct Hessian {
    /// Of the central differences, along a unit vector.
    pub step: f64,
    pub lanczos_steps: usize,
    pub eigenvalues: Vec<Eigenvalue>,
    pub smallest: Option<Eigenvalue>,
    pub trace: Option<Trace>,
    /// |H v - H' v| / |H v| with H' of half the step: for a random v, and for that of the largest eigenvalue.
    pub change_with_half_the_step: Option<f64>,
    pub change_with_half_the_step_at_the_first: Option<f64>,
}

#[derive(Clone, Copy, Serialize)]
pub(super) struct Eigenvalue {
    pub value: f64,
    /// Some eigenvalue is no farther off, as far as the products are exact.
    pub residual: f64,
}

#[derive(Serialize)]
pub(super) struct Trace {
    pub value: f64,
    pub standard_error: Option<f64>,
    pub samples: usize,
}

#[derive(Serialize)]
pub(super) struct OfPair {
    pub first: String,
    pub second: String,
    /// (share of the way, loss).
    pub points: Vec<(f64, f64)>,
    /// The largest loss between them over what a straight line between their losses has there; negative where the loss sags.
    pub barrier: Option<f64>,
}
