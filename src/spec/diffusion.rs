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
        /// Betas whose roots are on a line (Stable Diffusion: Rombach et al. 2022, arXiv 2112.10752; stated by its code only).
        ScaledLinear(ScaledLinearNoise) = "scaled_linear",
        /// Sigmoid alpha-bar (Jabri et al. 2022, arXiv 2212.11972; the form of Chen 2023, arXiv 2301.10972, algorithm 1).
        Sigmoid(SigmoidNoise) = "sigmoid",
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SigmoidNoise {
    /// T, the number of timesteps. Default 1000.
    pub timesteps: usize,
    /// Where on the sigmoid the image is. Default -3.
    pub start: f64,
    /// Where on the sigmoid the noise is. Default 3.
    pub end: f64,
    /// The sigmoid's temperature: larger is nearer to a line. Default 1.
    pub tau: f64,
    /// No beta is larger than this. Default 0.999 (as for `cosine`; Chen keeps abar above 1e-9 instead).
    pub beta_max: f64,
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
        }
    }
}

/// `parameterization`: what the network predicts, a word or a map with a `kind`. Default `epsilon`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Parameterization {
    /// The noise (Ho et al. 2020, equation 14).
    #[default]
    Epsilon,
    /// The velocity sqrt(abar_t) epsilon - sqrt(1 - abar_t) x_0 (Salimans and Ho 2022, arXiv 2202.00512, appendix D).
    V,
    /// The image (Ho et al. 2020, section 3.2).
    X0,
    /// EDM's preconditioning (Karras et al. 2022, arXiv 2206.00364, table 1): the network F is shown c_in x and the image is
    /// c_skip x + c_out F, x = x_t / sqrt(abar_t), so that input and target have unit variance at every noise. It is told t
    /// as under every other parameterization, not the paper's c_noise = ln(sigma) / 4: one is a function of the other, and
    /// the network's sinusoids are made for 0..T.
    Edm(EdmParameterization),
    /// FDM on EDM's preconditioning (Wu et al. 2023, arXiv 2306.06991): as `edm`, but c_in is exp(-B) (1 + B), a critically
    /// damped decay of the input. Its loss weights are `loss_weighting: fdm`.
    Fdm(FdmParameterization),
}

/// `parameterization: { kind: edm }`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EdmParameterization {
    /// The standard deviation of pixels. Default 0.5 (the paper's).
    pub sigma_data: f64,
}

/// `parameterization: { kind: fdm }`. B = multiplier (0.1 u + 9.95 u^2), where u goes from 0 at the process's least sigma to 1
/// at its largest, evenly in sigma: as the paper's code does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FdmParameterization {
    /// The standard deviation of pixels. Default 0.5 (the paper's).
    pub sigma_data: f64,
    /// How fast the input decays. Default 2 (of the paper's code, which has 1 for FFHQ).
    pub multiplier: f64,
}

impl Default for FdmParameterization {
    fn default() -> Self {
        Self { sigma_data: 0.5, multiplier: 2.0 }
    }
}

impl Default for EdmParameterization {
    fn default() -> Self {
        Self { sigma_data: 0.5 }
    }
}

impl Serialize for Parameterization {
    /// A word where there are no settings: the ids of runs depend on it.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Kind<T> {
            kind: &'static str,
            #[serde(flatten)]
            settings: T,
        }
        match self {
            Self::Epsilon | Self::V | Self::X0 => serializer.serialize_str(self.name()),
            Self::Edm(settings) => Kind { kind: self.name(), settings }.serialize(serializer),
            Self::Fdm(settings) => Kind { kind: self.name(), settings }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Parameterization {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum WordOrKind {
            Epsilon,
            V,
            X0,
            Edm(EdmParameterization),
            Fdm(FdmParameterization),
        }
        Ok(match WordOrKind::deserialize(deserializer)? {
            WordOrKind::Epsilon => Self::Epsilon,
            WordOrKind::V => Self::V,
            WordOrKind::X0 => Self::X0,
            WordOrKind::Edm(edm) => Self::Edm(edm),
            WordOrKind::Fdm(fdm) => Self::Fdm(fdm),
        })
    }
}

impl Parameterization {
    /// As it is written in YAML.
    pub fn name(self) -> &'static str {
        match self {
            Self::Epsilon => "epsilon",
            Self::V => "v",
            Self::X0 => "x0",
            Self::Edm(_) => "edm",
            Self::Fdm(_) => "fdm",
        }
    }

    /// The standard deviation of pixels that EDM's preconditioning counts on, under the parameterizations that have it.
    pub fn sigma_data(self) -> Option<f64> {
        match self {
            Self::Epsilon | Self::V | Self::X0 => None,
            Self::Edm(edm) => Some(edm.sigma_data),
            Self::Fdm(fdm) => Some(fdm.sigma_data),
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
        /// CLTS with another pacing of a.
        PacedCurriculum(PacedCurriculumTimesteps) = "paced_curriculum",
        /// CLTS in log-SNR: the same noise under every noise schedule.
        LogSnrCurriculum(LogSnrCurriculumTimesteps) = "log_snr_curriculum",
        /// Curriculum Sampling (arXiv 2603.12517): the middle of t first, then uniform.
        CurriculumSampling(CurriculumSamplingTimesteps) = "curriculum_sampling",
        /// t / T = sigmoid(mean + deviation z) (Esser et al. 2024, arXiv 2403.03206, section 3.1).
        LogitNormal(LogitNormalTimesteps) = "logit_normal",
        /// ln(SNR) ~ Laplace(mean, scale) (Hang and Gu 2024, arXiv 2407.03297).
        Laplace(LaplaceTimesteps) = "laplace",
        /// ln(sigma) ~ N(mean, deviation^2) (EDM: Karras et al. 2022, arXiv 2206.00364).
        Edm(EdmTimesteps) = "edm",
        /// SpeeD's asymmetric sampling (Wang et al. 2024, arXiv 2405.17403).
        Speed(SpeedTimesteps) = "speed",
        /// Importance sampling by the last losses of each timestep (Nichol and Dhariwal 2021, arXiv 2102.09672).
        LossSecondMoment(LossSecondMomentTimesteps) = "loss_second_moment",
        /// The noisiest timesteps first, and the next ones when the loss stops improving (Kim et al. 2024, arXiv 2403.10348).
        TaskDifficulty(TaskDifficultyTimesteps) = "task_difficulty",
    }
}

/// How a, the share of the favoured density, grows with x = min(step / N, 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CurriculumTimesteps {
    /// mu, the favoured timestep as a share of T. Default 0.3 (stated by the paper as best).
    pub center: f64,
    /// s, the width as a share of T. Default 0.3 (open in the paper; 1 would be nearly uniform).
    pub width: f64,
    /// N, up to 1 as a share of the planned steps, from 2 on in steps: until then the density moves from uniform to g. 0 is
    /// the control without a curriculum: g from the first step. Default 0.5 (open in the paper).
    pub anneal: f64,
}

/// As `curriculum`, with its `pacing`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSnrCurriculumTimesteps {
    /// The favoured ln(SNR). Default -0.43, which is t = 0.3 T of the linear schedule, where the paper's mu is.
    pub center: f64,
    /// The width in ln(SNR). Default 4 (open; the linear schedule goes from 9.2 to -10.1).
    pub width: f64,
    /// As for `curriculum`. Default 0.5.
    pub anneal: f64,
    /// How a grows. Default `linear`.
    pub pacing: Pacing,
}

/// Before `switch`, p(t) ~ exp(-(t - center T)^2 / (2 (width T)^2)); then 1/T.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CurriculumSamplingTimesteps {
    /// The middle, as a share of T. Default 0.5 (stated: the middle comes first).
    pub center: f64,
    /// As a share of T. Default 0.2 (open: the ends are trained on 20 times less often than the middle).
    pub width: f64,
    /// When sampling becomes uniform, as a share of the planned steps. Default 0.5 (open).
    pub switch: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogitNormalTimesteps {
    /// m: above 0 favours noise. Default 0 (the paper's).
    pub mean: f64,
    /// s. Default 1 (the paper's).
    pub deviation: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LaplaceTimesteps {
    /// The most frequent ln(SNR). Default 0 (the paper's).
    pub mean: f64,
    /// b, the mean distance from it. Default 0.5 (the paper's best).
    pub scale: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EdmTimesteps {
    /// Of ln(sigma). Default -1.2 (the paper's).
    pub mean: f64,
    /// Of ln(sigma). Default 1.2 (the paper's).
    pub deviation: f64,
}

/// p(t) proportional to k below tau T and to 1 from there on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpeedTimesteps {
    /// How many times as often as the convergence area. Default 5 (the paper's).
    pub k: f64,
    /// Where the convergence area begins, as a share of T. Default 0.7 (the paper's 700 of 1000).
    pub tau: f64,
}

/// p(t) proportional to sqrt(E[L_t^2]) over the last losses; each loss is divided by T p(t).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossSecondMomentTimesteps {
    /// Losses kept for each timestep; until every timestep has as many, sampling is uniform. Default 10 (the paper's).
    pub history: usize,
    /// The share of the uniform density in the mixture. Default 0.001 (the paper's code).
    pub uniform: f64,
}

/// N clusters of timesteps; stage n trains on the n noisiest, and ends when the smoothed loss has not improved for more than
/// `patience` steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskDifficultyTimesteps {
    /// N. Default 20 (reported).
    pub clusters: usize,
    /// What the clusters are equally wide in. Default `timestep` (reported for DiT; by SNR for EDM).
    pub clustering: Clustering,
    /// tau, the most steps without a better loss. Default 200 (reported). All clusters are reached after
    /// (clusters - 1) (patience + 2) steps or more, which must be fewer than the planned ones.
    pub patience: u32,
    /// The share of the old value in the running average of the loss that patience watches; 0 watches each batch. Default
    /// 0.99 (open: the loss of one batch is mostly which timesteps it drew, and a lucky one would never be beaten).
    pub smoothing: f64,
}

/// What clusters of timesteps are equally wide in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

kinds! {
    /// `loss_weighting`: lambda(t), which changes the objective.
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

/// EDM's weight, but at step i < warm_up no more than cap_start (cap_end / cap_start)^(i / warm_up) on the error of x_0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FdmWeighting {
    /// The standard deviation of pixels. Default 0.5 (the paper's).
    pub sigma_data: f64,
    /// The steps during which weights are capped; 0 makes it `edm`. Default 200 (the paper's code for CIFAR-10, which trains for
    /// 390 thousand steps; it has 400 and 800 for other data).
    pub warm_up: u64,
    /// The cap at the first step. Default 5 (of the paper's code).
    pub cap_start: f64,
    /// The cap at the end of the warm-up. Default 500 (of the paper's code).
    pub cap_end: f64,
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

    /// The standard deviation of pixels that EDM's weights count on, where they are used.
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

kinds! {
    /// `noise`: which noise each image of a batch gets.
    pub enum NoiseAssignment {
        /// Each its own draw. The default.
        Independent(IndependentNoise) = "independent",
        /// Immiscible diffusion (Li et al. 2024, arXiv 2406.12303): the batch's draws, given to its images so that the sum of
        /// the distances between image and noise is least. Its time is training time.
        Immiscible(ImmiscibleNoise) = "immiscible",
    }
}

empty_settings! {
    /// No settings.
    IndependentNoise;
    /// No settings.
    ImmiscibleNoise;
}

impl Default for NoiseAssignment {
    fn default() -> Self {
        Self::Independent(IndependentNoise {})
    }
}

impl NoiseAssignment {
    /// Whether it is the default.
    pub fn is_independent(&self) -> bool {
        matches!(self, Self::Independent(_))
    }
}
