//! The forward process.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::kinds;

kinds! {
    /// `noise_schedule`: the forward process x_t = a_t x_0 + s_t epsilon. All but `rectified_flow` preserve variance: a_t^2 = abar_t and
    /// s_t^2 = 1 - abar_t.
    pub enum NoiseSchedule {
        /// DDPM's linear betas (Ho et al. 2020, arXiv 2006.11239, section 4). The default.
        Linear(LinearNoise) = "linear",
        /// Cosine alpha-bar (Nichol and Dhariwal 2021, arXiv 2102.09672, equation 17).
        Cosine(CosineNoise) = "cosine",
        /// Betas whose square roots are evenly spaced (Stable Diffusion: Rombach et al. 2022, arXiv 2112.10752; only its code
        /// states it).
        ScaledLinear(ScaledLinearNoise) = "scaled_linear",
        /// Sigmoid alpha-bar (Jabri et al. 2022, arXiv 2212.11972; the form of Chen 2023, arXiv 2301.10972, algorithm 1).
        Sigmoid(SigmoidNoise) = "sigmoid",
        /// The straight path from image to noise, a_t = 1 - s_t (rectified flow: Liu, Gong and Liu 2022, arXiv 2209.03003; flow matching:
        /// Lipman et al. 2022, arXiv 2210.02747). With `parameterization: v` the network learns its velocity epsilon - x_0.
        RectifiedFlow(RectifiedFlow) = "rectified_flow",
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LinearNoise {
    /// T, the number of timesteps. Default 1000.
    pub timesteps: usize,
    /// beta_1. Default 0.0001.
    pub beta_start: f64,
    /// beta_T. Default 0.02.
    pub beta_end: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CosineNoise {
    /// T, the number of timesteps. Default 1000.
    pub timesteps: usize,
    /// The offset s near t = 0. Default 0.008.
    pub offset: f64,
    /// No beta is larger than this. Default 0.999.
    pub beta_max: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScaledLinearNoise {
    /// T, the number of timesteps. Default 1000.
    pub timesteps: usize,
    /// beta_1. Default 0.00085.
    pub beta_start: f64,
    /// beta_T. Default 0.012.
    pub beta_end: f64,
}

/// abar(u) falls from 1 to 0 as sigmoid((start + u (end - start)) / tau) rises over u = 0..1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SigmoidNoise {
    /// T, the number of timesteps. Default 1000.
    pub timesteps: usize,
    /// The place on the sigmoid of the image, u = 0. Default -3.
    pub start: f64,
    /// The place on the sigmoid of the noise, u = 1. Default 3.
    pub end: f64,
    /// The sigmoid's temperature. The larger it is, the nearer abar is to a straight line. Default 1.
    pub tau: f64,
    /// No beta is larger than this. Default 0.999 (as for `cosine`; Chen keeps abar above 1e-9 instead).
    pub beta_max: f64,
}

/// s_t = (t + 1/2) / T for the timesteps t = 0..T, which the network is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RectifiedFlow {
    /// T, the number of timesteps. Default 1000. Flows are published in continuous t; a timestep stands for a thousandth of the line.
    pub timesteps: usize,
}

impl Default for RectifiedFlow {
    fn default() -> Self {
        Self { timesteps: 1000 }
    }
}

impl Default for ScaledLinearNoise {
    fn default() -> Self {
        Self { timesteps: 1000, beta_start: 0.00085, beta_end: 0.012 }
    }
}

impl Default for SigmoidNoise {
    fn default() -> Self {
        Self { timesteps: 1000, start: -3.0, end: 3.0, tau: 1.0, beta_max: 0.999 }
    }
}

impl Default for NoiseSchedule {
    fn default() -> Self {
        Self::Linear(LinearNoise::default())
    }
}

impl Default for LinearNoise {
    fn default() -> Self {
        Self { timesteps: 1000, beta_start: 1e-4, beta_end: 0.02 }
    }
}

impl Default for CosineNoise {
    fn default() -> Self {
        Self { timesteps: 1000, offset: 0.008, beta_max: 0.999 }
    }
}

impl NoiseSchedule {
    /// T, the number of timesteps.
    pub fn timesteps(&self) -> usize {
        match self {
            Self::Linear(schedule) => schedule.timesteps,
            Self::Cosine(schedule) => schedule.timesteps,
            Self::ScaledLinear(schedule) => schedule.timesteps,
            Self::Sigmoid(schedule) => schedule.timesteps,
            Self::RectifiedFlow(flow) => flow.timesteps,
        }
    }
}
