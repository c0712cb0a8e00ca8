//! The update of the weights: Adam, AdamW and Muon with a beta1 that changes over time, schedule-free AdamW, learning rates,
//! clipping, averaged weights.
//!
//! Everything works on ONE flat tensor of all parameters, without autodiff. Schedules are functions of the step, which
//! counts from 0: step i is the (i+1)-th update and has tau = i / `train.steps`, so the first update has tau = 0 and the
//! last tau = 1 - 1 / `train.steps`. tau = 1 itself, where Demon's beta1 is 0, is never used.

mod adam;
mod clip;
mod eigenbasis;
mod ema;
mod host_memory;
mod lr_schedule;
mod matrices;
mod moments;
mod momentum;
mod muon;
mod optimizer;
mod orthogonal;
mod post_hoc;
mod rates;
mod schedule_free;
mod soap;

pub use adam::{Adam, AdamSettings};
pub use clip::{Norm, clip, clip_scale};
pub use ema::{Ema, ema_decay, power_decay, share_of_weights};
pub use host_memory::is_host;
pub use matrices::Matrix;
pub use moments::{Factors, Moments, StepScales, towards};
pub use optimizer::{Optimizer, OptimizerState};
pub use post_hoc::{POST_HOC_SIGMA_RELS, Profile, add_weighted, post_hoc_factors, post_hoc_missed};
pub use rates::{Rates, beta1, learning_rate};

use crate::spec::RunSpec;

/// tau, the share of the planned steps done before `step`; it stays 1 after the planned end.
fn planned_share(spec: &RunSpec, step: u64) -> f64 {
    (step as f64 / spec.train.steps.max(1) as f64).min(1.0)
}
