//! Optimizer, momentum over time, learning rate over time.

use serde::{Deserialize, Serialize};

use super::{empty_settings, kinds};

kinds! {
    /// `optimizer`: the update rule.
    pub enum Optimizer {
        /// Adam (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1). The default.
        Adam(AdamOptimizer) = "adam",
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamOptimizer {
    /// The initial learning rate, after warm-up. Default 0.001.
    pub learning_rate: f64,
    /// The initial beta1; `momentum` may change it over time. Default 0.9.
    pub beta1: f64,
    /// beta2. Default 0.999.
    pub beta2: f64,
    /// Added to the root of the second moment. Default 1e-8.
    pub epsilon: f64,
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::Adam(AdamOptimizer::default())
    }
}

impl Default for AdamOptimizer {
    fn default() -> Self {
        Self { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

kinds! {
    /// `momentum`: beta1 over time, with tau = step / planned steps and b0 = `optimizer.beta1`.
    pub enum MomentumSchedule {
        /// beta1 stays b0. The default.
        Constant(ConstantMomentum) = "constant",
        /// Demon (arXiv 1910.04952, equation 1): b0 (1 - tau) / ((1 - b0) + b0 (1 - tau)).
        Demon(DemonMomentum) = "demon",
        /// b0 + (end - b0) tau.
        Linear(LinearMomentum) = "linear",
        /// max(b0 decay^step, floor).
        Exponential(ExponentialMomentum) = "exponential",
    }
}

empty_settings! {
    /// No settings.
    ConstantMomentum;
    /// No settings.
    DemonMomentum;
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinearMomentum {
    /// beta1 at the planned end. Default 0.
    pub end: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExponentialMomentum {
    /// Factor per step. Default 0.9995.
    pub decay: f64,
    /// beta1 never falls below this. Default 0.4.
    pub floor: f64,
}

impl Default for MomentumSchedule {
    fn default() -> Self {
        Self::Constant(ConstantMomentum {})
    }
}

impl Default for ExponentialMomentum {
    fn default() -> Self {
        Self { decay: 0.9995, floor: 0.4 }
    }
}

kinds! {
    /// `lr_schedule`: the learning rate over time, with lr0 = `optimizer.learning_rate` and tau = step / planned steps.
    pub enum LrSchedule {
        /// lr0. The default.
        Constant(ConstantLr) = "constant",
        /// lr0 (1 + (end - 1) tau).
        Linear(LinearLr) = "linear",
        /// lr0 (end + (1 - end) (1 + cos(pi tau)) / 2).
        Cosine(CosineLr) = "cosine",
        /// MDLRC's compensation (arXiv 2404.07946): lr0 (1 - b0) / (1 - beta1 of this step).
        MomentumCompensated(MomentumCompensatedLr) = "momentum_compensated",
    }
}

empty_settings! {
    /// No settings.
    ConstantLr;
    /// No settings.
    MomentumCompensatedLr;
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinearLr {
    /// The learning rate at the planned end, as a share of lr0. Default 0.
    pub end: f64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CosineLr {
    /// The learning rate at the planned end, as a share of lr0. Default 0.
    pub end: f64,
}

impl Default for LrSchedule {
    fn default() -> Self {
        Self::Constant(ConstantLr {})
    }
}
