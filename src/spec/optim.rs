//! Optimizer, momentum over time, learning rate over time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Mup, empty_settings, kinds};

kinds! {
    /// `optimizer`: the rule that updates the weights.
    pub enum Optimizer {
        /// Adam (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1). The default.
        Adam(AdamOptimizer) = "adam",
        /// Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2).
        Adamw(AdamwOptimizer) = "adamw",
        /// Muon for the matrices of hidden layers (Jordan 2024, <https://kellerjordan.github.io/posts/muon/>), AdamW for the rest.
        Muon(MuonOptimizer) = "muon",
        /// SOAP: Adam in the eigenbasis of Shampoo's factors (Vyas et al. 2024, arXiv 2409.11321), for the matrices of hidden layers;
        /// Adam for the rest. The first gradient makes the bases and updates nothing, as in the authors' code.
        Soap(SoapOptimizer) = "soap",
        /// Schedule-free AdamW (Defazio et al. 2024, arXiv 2405.15682). The gradient g is taken at y = (1 - b) z + b x, between
        /// a sequence z and its average x; z <- z - lr g / (sqrt(v / c2) + epsilon) - lr weight_decay y, and x <- (1 - c) x + c z.
        ScheduleFreeAdamw(ScheduleFreeAdamwOptimizer) = "schedule_free_adamw",
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdamOptimizer {
    /// The initial learning rate, after warm-up. Default 0.001.
    pub learning_rate: f64,
    /// The initial beta1; `momentum` may change it over time. Default 0.9.
    pub beta1: f64,
    /// The decay of the second moment. Default 0.999.
    pub beta2: f64,
    /// Added to the root of the second moment. Default 1e-8.
    pub epsilon: f64,
    /// How learning rates depend on the width of the network. Off by default.
    #[serde(skip_serializing_if = "Mup::is_default")]
    pub mup: Mup,
}

/// Before Adam's update of a step, every weight is multiplied by 1 - lr weight_decay. lr is the learning rate of that step,
/// with warm-up and schedule; the paper's separate schedule multiplier eta is left out. As in torch, all parameters decay,
/// biases and norms too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdamwOptimizer {
    /// The initial learning rate, after warm-up. Default 0.001.
    pub learning_rate: f64,
    /// The initial beta1; `momentum` may change it over time. Default 0.9.
    pub beta1: f64,
    /// The decay of the second moment. Default 0.999.
    pub beta2: f64,
    /// Added to the root of the second moment. Default 1e-8.
    pub epsilon: f64,
    /// The share of a weight that a step takes away, in units of the step's learning rate. Default 0.01 (torch's).
    pub weight_decay: f64,
    /// How learning rates depend on the width of the network. Off by default.
    #[serde(skip_serializing_if = "Mup::is_default")]
    pub mup: Mup,
}

/// Each weight of a hidden layer is a matrix with a row for each output; the weights of a convolution are flattened. It is
/// updated by its momentum, whose singular values are brought near 1. AdamW updates vectors, embeddings, the first layer and
/// the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MuonOptimizer {
    /// The initial learning rate of the matrices. Default 0.02 (the reference's).
    pub learning_rate: f64,
    /// The initial momentum of the matrices; `momentum` may change it over time. Default 0.95 (the reference's).
    pub beta1: f64,
    /// Whether the update looks one step of the momentum ahead. Default true (the reference's).
    pub nesterov: bool,
    /// Decoupled decay of the matrices, as AdamW's. Default 0 (the reference's; torch's is 0.1).
    pub weight_decay: f64,
    /// How the size of an update depends on the matrix's shape. Default `original`.
    pub scale: MuonScale,
    /// Steps of the Newton-Schulz iteration. Default 5 (the reference's).
    pub newton_schulz_steps: usize,
    /// AdamW for all other parameters. `momentum` and `lr_schedule` change its beta1 and learning rate too, from its own
    /// initial values. Default: as for `adamw`.
    pub others: AdamwOptimizer,
}

/// Each weight of a hidden layer is a matrix with a row for each output; the weights of a convolution are flattened. Vectors,
/// embeddings, the first layer and the last have no bases, and the same settings otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SoapOptimizer {
    /// The initial learning rate, after warm-up. Default 0.003 (the authors').
    pub learning_rate: f64,
    /// The initial beta1; `momentum` may change it over time. Default 0.95 (the authors').
    pub beta1: f64,
    /// The decay of the second moment and of Shampoo's factors. Default 0.95 (the authors').
    pub beta2: f64,
    /// Added to the root of the second moment. Default 1e-8.
    pub epsilon: f64,
    /// The decoupled decay, after the update. Default 0.01 (the authors').
    pub weight_decay: f64,
    /// Updates between two refreshes of the eigenvectors. Default 10 (the authors').
    pub refresh_every: u64,
    /// A matrix's side that is longer has no basis. A refresh takes time that grows with the third power of the side. Default 1024 (the
    /// authors' is 10000).
    pub largest_side: usize,
}

/// v and c2 are Adam's second moment and its bias correction. c is the share of lr^2 in the sum of lr^2 over all steps so far,
/// as in the authors' package `schedulefree`: 1 / (number of steps) without `train.warmup_steps`. There is no other schedule:
/// `lr_schedule` and `momentum` must be `constant`. The run's weights are x: `evaluate.weights: raw` and `own` measure x, and
/// the moving average of `train.ema` is one of x.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleFreeAdamwOptimizer {
    /// The learning rate, after warm-up. Default 0.0025 (the package's).
    pub learning_rate: f64,
    /// b: how far from z towards x the gradient is taken. Default 0.9 (the package's).
    pub beta1: f64,
    /// The decay of the second moment. Default 0.999.
    pub beta2: f64,
    /// Added to the root of the second moment. Default 1e-8.
    pub epsilon: f64,
    /// The decoupled decay, at y. Default 0 (the package's).
    pub weight_decay: f64,
}

/// The factor of Muon's learning rate, for a matrix of `rows` outputs and `columns` inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MuonScale {
    /// sqrt(max(1, rows / columns)) (Jordan's, and torch's default). The default.
    #[default]
    Original,
    /// 0.2 sqrt(max(rows, columns)), about the size of AdamW's updates (Liu et al. 2025, arXiv 2502.16982), so that AdamW's
    /// learning rate can be used.
    MatchRmsAdamw,
}

impl Optimizer {
    /// The initial learning rate; of the matrices for `muon`.
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::Adam(adam) => adam.learning_rate,
            Self::Adamw(adamw) => adamw.learning_rate,
            Self::Muon(muon) => muon.learning_rate,
            Self::Soap(soap) => soap.learning_rate,
            Self::ScheduleFreeAdamw(adamw) => adamw.learning_rate,
        }
    }

    /// The initial beta1; the momentum of the matrices for `muon`, b for `schedule_free_adamw`.
    pub fn beta1(&self) -> f64 {
        match self {
            Self::Adam(adam) => adam.beta1,
            Self::Adamw(adamw) => adamw.beta1,
            Self::Muon(muon) => muon.beta1,
            Self::Soap(soap) => soap.beta1,
            Self::ScheduleFreeAdamw(adamw) => adamw.beta1,
        }
    }
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::Adam(AdamOptimizer::default())
    }
}

impl Default for AdamOptimizer {
    fn default() -> Self {
        Self { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, mup: Mup::default() }
    }
}

impl Default for AdamwOptimizer {
    fn default() -> Self {
        Self { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01, mup: Mup::default() }
    }
}

impl Default for ScheduleFreeAdamwOptimizer {
    fn default() -> Self {
        Self { learning_rate: 2.5e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

impl Default for SoapOptimizer {
    fn default() -> Self {
        Self {
            learning_rate: 3e-3,
            beta1: 0.95,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.01,
            refresh_every: 10,
            largest_side: 1024,
        }
    }
}

impl Default for MuonOptimizer {
    fn default() -> Self {
        Self {
            learning_rate: 0.02,
            beta1: 0.95,
            nesterov: true,
            weight_decay: 0.0,
            scale: MuonScale::Original,
            newton_schulz_steps: 5,
            others: AdamwOptimizer::default(),
        }
    }
}

kinds! {
    /// `momentum`: beta1 over time, with tau = step / planned steps and b0 = `optimizer.beta1`.
    pub enum MomentumSchedule {
        /// beta1 stays b0. The default.
        Constant(ConstantMomentum) = "constant",
        /// Demon (Chen, Wolfe, Li and Kyrillidis 2019, arXiv 1910.04952): b0 (1 - tau) / ((1 - b0) + b0 (1 - tau)).
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

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LinearMomentum {
    /// beta1 at the last planned step. Default 0.
    pub end: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExponentialMomentum {
    /// The factor per step. Default 0.9995.
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
        /// Warmup-stable-decay (Hu et al. 2024, arXiv 2404.06395; Hägele et al. 2024, arXiv 2405.18392): lr0, and over the last
        /// `decay` of the run lr0 (end + (1 - end) f(u)), with u = (tau - (1 - decay)) / decay. The warm-up is
        /// `train.warmup_steps`.
        Wsd(WsdLr) = "wsd",
        /// EDM2's schedule (Karras et al. 2024, arXiv 2312.02696; `learning_rate_schedule` of its code): lr0 / sqrt(max(step /
        /// reference_steps, 1)). It does not depend on the planned steps. The warm-up is `train.warmup_steps`.
        InverseSqrt(InverseSqrtLr) = "inverse_sqrt",
    }
}

empty_settings! {
    /// No settings.
    ConstantLr;
    /// No settings.
    MomentumCompensatedLr;
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LinearLr {
    /// The learning rate at the last planned step, as a share of lr0. Default 0.
    pub end: f64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CosineLr {
    /// The learning rate at the last planned step, as a share of lr0. Default 0.
    pub end: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WsdLr {
    /// The share of the planned steps over which the learning rate decays, at the end of the run. Default 0.2.
    pub decay: f64,
    /// The learning rate at the last planned step, as a share of lr0. Default 0.
    pub end: f64,
    /// The shape f of the decay. Default `linear`.
    pub shape: DecayShape,
}

/// How a learning rate falls while u goes from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecayShape {
    /// 1 - u. The default.
    #[default]
    Linear,
    /// 1 - sqrt(u) (Hägele et al. 2024, arXiv 2405.18392).
    OneMinusSqrt,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InverseSqrtLr {
    /// The number of steps after which the learning rate begins to fall. Default 70000 (EDM2's code).
    pub reference_steps: u64,
}

impl Default for WsdLr {
    fn default() -> Self {
        Self { decay: 0.2, end: 0.0, shape: DecayShape::Linear }
    }
}

impl Default for InverseSqrtLr {
    fn default() -> Self {
        Self { reference_steps: 70_000 }
    }
}

impl Default for LrSchedule {
    fn default() -> Self {
        Self::Constant(ConstantLr {})
    }
}
