//! The forward process, what is predicted, which timesteps are trained on and how they are weighted.

use serde::{Deserialize, Serialize};

use super::{empty_settings, kinds};

kinds! {
    /// `noise_schedule`: the forward process, x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) epsilon.
    pub enum NoiseSchedule {
        /// DDPM's linear betas (Ho et al. 2020, arXiv 2006.11239, section 4). The default.
        Linear(LinearNoise) = "linear",
        /// Cosine alpha-bar (Nichol and Dhariwal 2021, arXiv 2102.09672, equation 17).
        Cosine(CosineNoise) = "cosine",
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinearNoise {
    /// T, the number of timesteps. Default 1000.
    pub timesteps: usize,
    /// beta_1. Default 0.0001.
    pub beta_start: f64,
    /// beta_T. Default 0.02.
    pub beta_end: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CosineNoise {
    /// T, the number of timesteps. Default 1000.
    pub timesteps: usize,
    /// The offset s near t = 0. Default 0.008.
    pub offset: f64,
    /// No beta is larger than this. Default 0.999.
    pub beta_max: f64,
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
        }
    }
}

/// `parameterization`: what the network predicts. Default `epsilon`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parameterization {
    /// The noise (Ho et al. 2020, equation 14).
    #[default]
    Epsilon,
}

kinds! {
    /// `timestep_sampler`: which timesteps are trained on.
    pub enum TimestepSampler {
        /// Every timestep equally often. The default.
        Uniform(UniformTimesteps) = "uniform",
        /// CLTS, the curriculum learning timestep schedule of arXiv 2404.07946.
        Curriculum(CurriculumTimesteps) = "curriculum",
    }
}

empty_settings! {
    /// No settings.
    UniformTimesteps;
}

/// p_i(t) = (1 - a)/T + a g(t), a = min(i / N, 1), g ~ exp(-(t - center T)^2 / (2 (width T)^2)).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CurriculumTimesteps {
    /// mu, the favoured timestep as a share of T. Default 0.3 (stated by the paper as best).
    pub center: f64,
    /// s, the width as a share of T. Default 0.3 (open in the paper; 1 would be nearly uniform).
    pub width: f64,
    /// N as a share of the planned steps: until then the density moves from uniform to g. Default 0.5 (open in the paper).
    pub anneal: f64,
}

impl Default for TimestepSampler {
    fn default() -> Self {
        Self::Uniform(UniformTimesteps {})
    }
}

impl Default for CurriculumTimesteps {
    fn default() -> Self {
        Self { center: 0.3, width: 0.3, anneal: 0.5 }
    }
}

kinds! {
    /// `loss_weighting`: lambda(t), which changes the objective.
    pub enum LossWeighting {
        /// DDPM's simple loss: every timestep has weight 1. The default.
        Uniform(UniformWeighting) = "uniform",
    }
}

empty_settings! {
    /// No settings.
    UniformWeighting;
}

impl Default for LossWeighting {
    fn default() -> Self {
        Self::Uniform(UniformWeighting {})
    }
}
