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
    /// The velocity sqrt(abar_t) epsilon - sqrt(1 - abar_t) x_0 (Salimans and Ho 2022, arXiv 2202.00512, appendix D).
    V,
    /// The image (Ho et al. 2020, section 3.2).
    X0,
}

impl Parameterization {
    /// As it is written in YAML.
    pub fn name(self) -> &'static str {
        match self {
            Self::Epsilon => "epsilon",
            Self::V => "v",
            Self::X0 => "x0",
        }
    }
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
        /// Min-SNR-gamma (Hang et al. 2023, arXiv 2303.09556, section 3.4), for every parameterization: min(SNR, gamma) on
        /// the error of x_0.
        MinSnr(MinSnrWeighting) = "min_snr",
        /// P2 (Choi et al. 2022, arXiv 2204.00227, equation 8), for `epsilon`: 1 / (k + SNR)^gamma.
        P2(P2Weighting) = "p2",
        /// EDM's lambda(sigma) (Karras et al. 2022, arXiv 2206.00364, table 1), for every parameterization:
        /// (sigma^2 + sigma_data^2) / (sigma sigma_data)^2 on the error of x_0. Without EDM's preconditioning.
        Edm(EdmWeighting) = "edm",
        /// SpeeD's change-aware weighting (Wang et al. 2024, arXiv 2405.17403, section 3.3), for `epsilon`.
        Speed(SpeedWeighting) = "speed",
    }
}

empty_settings! {
    /// No settings.
    UniformWeighting;
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MinSnrWeighting {
    /// The SNR above which a timestep gains no more weight. Default 5 (the paper's).
    pub gamma: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct P2Weighting {
    /// k, which bounds the weight where there is only noise. Default 1 (the paper's).
    pub k: f64,
    /// gamma, how much the least noisy timesteps are weighted down. Default 1 (the paper uses 0.5 and 1).
    pub gamma: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EdmWeighting {
    /// The standard deviation of pixels. Default 0.5 (the paper's).
    pub sigma_data: f64,
}

/// (1 - lambda) + (2 lambda - 1) m(t) below tau T, and 1 from there on; m is the change of 1 - abar_t over t, scaled to 0..1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpeedWeighting {
    /// lambda, the weight where the process changes most; where it changes least it is 1 - lambda. Default 0.6 (the paper's).
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
