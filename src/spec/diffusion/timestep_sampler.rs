//! Which timesteps are trained on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::{empty_settings, kinds};

kinds! {
    /// `timestep_sampler`: the distribution of the timesteps that are trained on.
    pub enum TimestepSampler {
        /// Every timestep equally often. The default.
        Uniform(UniformTimesteps) = "uniform",
        /// CLTS, the curriculum learning timestep schedule of arXiv 2404.07946.
        Curriculum(CurriculumTimesteps) = "curriculum",
        /// CLTS in which a, the share of the favoured density, may grow in other ways.
        PacedCurriculum(PacedCurriculumTimesteps) = "paced_curriculum",
        /// CLTS in log-SNR: it favours the same noise levels under every noise schedule.
        LogSnrCurriculum(LogSnrCurriculumTimesteps) = "log_snr_curriculum",
        /// Curriculum Sampling (arXiv 2603.12517): first the middle of t, then every timestep equally often.
        CurriculumSampling(CurriculumSamplingTimesteps) = "curriculum_sampling",
        /// t / T = sigmoid(mean + deviation z) (Esser et al. 2024, arXiv 2403.03206, section 3.1).
        LogitNormal(LogitNormalTimesteps) = "logit_normal",
        /// More of the noisy timesteps, as when images are larger: u = t / T becomes shift u / (1 + (shift - 1) u) (Esser et al. 2024, arXiv
        /// 2403.03206). With the same `shift` of the sampler it is the shifted schedule of rectified flows.
        Shifted(ShiftedTimesteps) = "shifted",
        /// t / T = 1 - u - scale (cos^2(pi u / 2) - 1 + u) of an even u: more or less of the middle, with tails that stay (Esser et al. 2024,
        /// arXiv 2403.03206).
        Mode(ModeTimesteps) = "mode",
        /// ln(SNR) ~ Laplace(mean, scale) (Hang and Gu 2024, arXiv 2407.03297).
        Laplace(LaplaceTimesteps) = "laplace",
        /// ln(sigma) ~ N(mean, deviation^2) (EDM: Karras et al. 2022, arXiv 2206.00364).
        Edm(EdmTimesteps) = "edm",
        /// SpeeD's asymmetric sampling (Wang et al. 2024, arXiv 2405.17403).
        Speed(SpeedTimesteps) = "speed",
        /// Importance sampling by the last losses at each timestep (Nichol and Dhariwal 2021, arXiv 2102.09672).
        LossSecondMoment(LossSecondMomentTimesteps) = "loss_second_moment",
        /// The noisiest timesteps first; less noisy ones are added when the loss stops improving (Kim et al. 2024, arXiv
        /// 2403.10348).
        TaskDifficulty(TaskDifficultyTimesteps) = "task_difficulty",
    }
}

/// How a, the share of the favoured density, grows with x = min(step / N, 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pacing {
    /// a = x. The default.
    #[default]
    Linear,
    /// a = (1 - cos(pi x)) / 2.
    Cosine,
    /// a = 0 before N, 1 from then on.
    Step,
}

empty_settings! {
    /// No settings.
    UniformTimesteps;
}

/// p_i(t) = (1 - a)/T + a g(t), a = min(i / N, 1), g ~ exp(-(t - center T)^2 / (2 (width T)^2)).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CurriculumTimesteps {
    /// mu, the favoured timestep as a share of T. Default 0.3 (stated by the paper as best).
    pub center: f64,
    /// s, the width as a share of T. Default 0.3 (open in the paper; 1 would be nearly uniform).
    pub width: f64,
    /// N, the length of the curriculum: until step N the density moves from uniform to g. A value up to 1 is a share of the
    /// planned steps, a value from 2 on is a number of steps. 0 is the control without a curriculum: g from the first step.
    /// Default 0.5 (open in the paper).
    pub anneal: f64,
}

/// As `curriculum`, but a follows `pacing`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PacedCurriculumTimesteps {
    /// As for `curriculum`. Default 0.3.
    pub center: f64,
    /// As for `curriculum`. Default 0.3.
    pub width: f64,
    /// As for `curriculum`. Default 0.5.
    pub anneal: f64,
    /// How a grows. Default `cosine` (open in the paper; `linear` is `curriculum`).
    pub pacing: Pacing,
}

/// g(t) ~ exp(-(ln SNR_t - center)^2 / (2 width^2)).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogSnrCurriculumTimesteps {
    /// The favoured ln(SNR). Default -0.43, which is t = 0.3 T of the linear schedule, where the paper's mu is.
    pub center: f64,
    /// The width in ln(SNR). Default 4 (open; ln(SNR) of the linear schedule goes from 9.2 to -10.1).
    pub width: f64,
    /// As for `curriculum`. Default 0.5.
    pub anneal: f64,
    /// How a grows. Default `linear`.
    pub pacing: Pacing,
}

/// Before `switch`, p(t) ~ exp(-(t - center T)^2 / (2 (width T)^2)); then 1/T.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CurriculumSamplingTimesteps {
    /// The middle, as a share of T. Default 0.5 (stated: the middle comes first).
    pub center: f64,
    /// The width, as a share of T. Default 0.2 (open; the ends are trained on 20 times less often than the middle).
    pub width: f64,
    /// When sampling becomes uniform, as a share of the planned steps. Default 0.5 (open).
    pub switch: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogitNormalTimesteps {
    /// m, the mean: above 0 it favours noisy timesteps. Default 0 (the paper's).
    pub mean: f64,
    /// s, the standard deviation. Default 1 (the paper's).
    pub deviation: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ShiftedTimesteps {
    /// Above 1 noisy timesteps are favoured, below 1 the others. Default 3 (the paper's for 1024 x 1024 images).
    pub shift: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModeTimesteps {
    /// Above 0 the middle is favoured, below 0 both ends. From -1 to 1.75, as t turns back from 2 / (pi - 2) on. Default 1.29 (one of the paper's).
    pub scale: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LaplaceTimesteps {
    /// The most frequent ln(SNR). Default 0 (the paper's).
    pub mean: f64,
    /// b, the mean distance from `mean`. Default 0.5 (the paper's best).
    pub scale: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EdmTimesteps {
    /// The mean of ln(sigma). Default -1.2 (the paper's).
    pub mean: f64,
    /// The standard deviation of ln(sigma). Default 1.2 (the paper's).
    pub deviation: f64,
}

/// p(t) proportional to k below tau T and to 1 from there on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SpeedTimesteps {
    /// How many times as often a timestep below tau T is drawn as one of the convergence area. Default 5 (the paper's).
    pub k: f64,
    /// Where the convergence area begins, as a share of T. Default 0.7 (the paper's 700 of 1000).
    pub tau: f64,
}

/// p(t) proportional to sqrt(E[L_t^2]) over the last losses; each loss is divided by T p(t).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LossSecondMomentTimesteps {
    /// Losses kept for each timestep; until every timestep has as many, sampling is uniform. Default 10 (the paper's).
    pub history: usize,
    /// The share of the uniform density in the mixture. Default 0.001 (the paper's code).
    pub uniform: f64,
}

/// Timesteps are divided into N clusters. Stage n trains on the n noisiest clusters. It ends when the smoothed loss has not
/// improved for more than `patience` steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TaskDifficultyTimesteps {
    /// N, the number of clusters. Default 20 (reported).
    pub clusters: usize,
    /// The scale on which all clusters have the same width. Default `timestep` (reported for DiT; by SNR for EDM).
    pub clustering: Clustering,
    /// tau, the largest number of steps without a better loss. Default 200 (reported). All clusters are reached after (clusters
    /// - 1) (patience + 2) steps or more, which must be fewer than the planned ones.
    pub patience: u32,
    /// The share of the old value in the running average of the loss, which `patience` watches; 0 watches each batch. Default
    /// 0.99 (open; the loss of one batch depends mostly on the timesteps that it drew, and a lucky one would never be beaten).
    pub smoothing: f64,
}

/// The scale on which clusters of timesteps have the same width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Clustering {
    /// t. The default.
    #[default]
    Timestep,
    /// ln(SNR).
    LogSnr,
}

impl Default for TaskDifficultyTimesteps {
    fn default() -> Self {
        Self { clusters: 20, clustering: Clustering::Timestep, patience: 200, smoothing: 0.99 }
    }
}

impl Default for LossSecondMomentTimesteps {
    fn default() -> Self {
        Self { history: 10, uniform: 0.001 }
    }
}

impl Default for PacedCurriculumTimesteps {
    fn default() -> Self {
        Self { center: 0.3, width: 0.3, anneal: 0.5, pacing: Pacing::Cosine }
    }
}

impl Default for LogSnrCurriculumTimesteps {
    fn default() -> Self {
        Self { center: -0.43, width: 4.0, anneal: 0.5, pacing: Pacing::Linear }
    }
}

impl Default for CurriculumSamplingTimesteps {
    fn default() -> Self {
        Self { center: 0.5, width: 0.2, switch: 0.5 }
    }
}

impl Default for LogitNormalTimesteps {
    fn default() -> Self {
        Self { mean: 0.0, deviation: 1.0 }
    }
}

impl Default for ShiftedTimesteps {
    fn default() -> Self {
        Self { shift: 3.0 }
    }
}

impl Default for ModeTimesteps {
    fn default() -> Self {
        Self { scale: 1.29 }
    }
}

impl Default for LaplaceTimesteps {
    fn default() -> Self {
        Self { mean: 0.0, scale: 0.5 }
    }
}

impl Default for EdmTimesteps {
    fn default() -> Self {
        Self { mean: -1.2, deviation: 1.2 }
    }
}

impl Default for SpeedTimesteps {
    fn default() -> Self {
        Self { k: 5.0, tau: 0.7 }
    }
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
