//! How timesteps are weighted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::{empty_settings, kinds};

kinds! {
    /// `loss_weighting`: lambda(t), the weight of each timestep in the loss. It changes the objective.
    pub enum LossWeighting {
        /// DDPM's simple loss: every timestep has weight 1. The default.
        Uniform(UniformWeighting) = "uniform",
        /// Min-SNR-gamma (Hang et al. 2023, arXiv 2303.09556, section 3.4), for every parameterization: min(SNR, gamma) on
        /// the error of x_0.
        MinSnr(MinSnrWeighting) = "min_snr",
        /// P2 (Choi et al. 2022, arXiv 2204.00227), for `epsilon`: 1 / (k + SNR)^gamma.
        P2(P2Weighting) = "p2",
        /// EDM's lambda(sigma) (Karras et al. 2022, arXiv 2206.00364), for every parameterization:
        /// (sigma^2 + sigma_data^2) / (sigma sigma_data)^2 on the error of x_0. EDM's preconditioning is `parameterization: edm`.
        Edm(EdmWeighting) = "edm",
        /// SpeeD's change-aware weighting (Wang et al. 2024, arXiv 2405.17403), for `epsilon`.
        Speed(SpeedWeighting) = "speed",
        /// FDM's warm-up of EDM's weights (Wu et al. 2023, arXiv 2306.06991), for every parameterization.
        Fdm(FdmWeighting) = "fdm",
    }
}

empty_settings! {
    /// No settings.
    UniformWeighting;
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MinSnrWeighting {
    /// The SNR above which a timestep gains no more weight. Default 5 (the paper's).
    pub gamma: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct P2Weighting {
    /// k, which bounds the weight where almost all is noise. Default 1 (the paper's).
    pub k: f64,
    /// gamma: the larger it is, the less the least noisy timesteps weigh. Default 1 (the paper uses 0.5 and 1).
    pub gamma: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EdmWeighting {
    /// The standard deviation of pixels. Default 0.5 (the paper's).
    pub sigma_data: f64,
}

/// EDM's weight on the error of x_0. At step i < warm_up it is capped at cap_start (cap_end / cap_start)^(i / warm_up).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FdmWeighting {
    /// The standard deviation of pixels. Default 0.5 (the paper's).
    pub sigma_data: f64,
    /// The number of first steps whose weights are capped; 0 makes it `edm`. Default 200 (the paper's code for CIFAR-10, which
    /// trains for 390 thousand steps; the code has 400 and 800 for other data).
    pub warm_up: u64,
    /// The cap at the first step. Default 5 (of the paper's code).
    pub cap_start: f64,
    /// The cap at the end of the warm-up. Default 500 (of the paper's code).
    pub cap_end: f64,
}

/// (1 - lambda) + (2 lambda - 1) m(t) below tau T, and 1 from there on; m is the change of 1 - abar_t over t, scaled to 0..1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SpeedWeighting {
    /// lambda, the weight where the process changes most. Where it changes least the weight is 1 - lambda. Default 0.6 (the
    /// paper's).
    pub lambda: f64,
    /// tau, where the convergence area begins, as a share of T. Default 0.7 (the paper's 700 of 1000).
    pub tau: f64,
}

impl Default for MinSnrWeighting {
    fn default() -> Self {
        Self { gamma: 5.0 }
    }
}

impl Default for P2Weighting {
    fn default() -> Self {
        Self { k: 1.0, gamma: 1.0 }
    }
}

impl Default for EdmWeighting {
    fn default() -> Self {
        Self { sigma_data: 0.5 }
    }
}

impl Default for FdmWeighting {
    fn default() -> Self {
        Self { sigma_data: 0.5, warm_up: 200, cap_start: 5.0, cap_end: 500.0 }
    }
}

impl LossWeighting {
    /// The step from which on the weights no longer change.
    pub fn settles_at(&self) -> u64 {
        match self {
            Self::Fdm(fdm) => fdm.warm_up,
            Self::Uniform(_) | Self::MinSnr(_) | Self::P2(_) | Self::Edm(_) | Self::Speed(_) => 0,
        }
    }

    /// The standard deviation of pixels that EDM's weights assume, where they are used.
    pub fn sigma_data(&self) -> Option<f64> {
        match self {
            Self::Edm(edm) => Some(edm.sigma_data),
            Self::Fdm(fdm) => Some(fdm.sigma_data),
            Self::Uniform(_) | Self::MinSnr(_) | Self::P2(_) | Self::Speed(_) => None,
        }
    }
}

impl Default for SpeedWeighting {
    fn default() -> Self {
        Self { lambda: 0.6, tau: 0.7 }
    }
}

impl Default for LossWeighting {
    fn default() -> Self {
        Self::Uniform(UniformWeighting {})
    }
}
