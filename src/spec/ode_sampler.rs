//! How images are generated.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kinds;

kinds! {
    /// `evaluate.fid.ode`: how images are generated.
    pub enum OdeSampler {
        /// DDIM (Song et al. 2021, arXiv 2010.02502, equation 12). The default.
        Ddim(Ddim) = "ddim",
        /// Euler's method on the path's ODE: dx = v dt of a rectified flow (Liu, Gong and Liu 2022, arXiv 2209.03003), else the
        /// probability-flow ODE in sigma (Karras et al. 2022, arXiv 2206.00364, equation 1), where it is DDIM in other words.
        Euler(Euler) = "euler",
        /// DDPM's ancestral sampling (Ho et al. 2020, arXiv 2006.11239, algorithm 2), on all of the timesteps or some.
        Ddpm(Ddpm) = "ddpm",
        /// Heun's second-order method (Karras et al. 2022, arXiv 2206.00364, algorithm 1), on the ODE of `euler`.
        Heun(Heun) = "heun",
        /// DPM-Solver++(2M) (Lu et al. 2022, arXiv 2211.01095, algorithm 2).
        DpmSolverPp(DpmSolverPp) = "dpm_solver_pp",
    }
}

/// The timesteps at which the network is evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// Evenly spaced from T down to 1, minus one (Lin et al. 2024, arXiv 2305.08891, table 2). The default of most kinds.
    #[default]
    Trailing,
    /// The multiples of floor(T / steps), from 0 (Lin et al. 2024, table 2). The noisiest of them is below T - 1.
    Leading,
    /// Evenly spaced from T - 1 to 0, both included (Lin et al. 2024, table 2).
    Linspace,
    /// floor(c i^2), from T - 1 to 0 (Song et al. 2021, appendix D.2): dense where there is little noise.
    Quadratic,
    /// Evenly spaced in sigma^(1/7), from the largest sigma of the noise schedule to its smallest (Karras et al. 2022, equation
    /// 5). The steps fall between whole timesteps.
    Karras,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ddim {
    /// Network evaluations per image (nfe). Default 20.
    pub steps: usize,
    /// eta: how much fresh noise each step adds; 0 is the ODE, 1 is ancestral sampling. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub eta: f64,
    /// The timesteps of the steps. Default `trailing`.
    #[serde(skip_serializing_if = "is_trailing")]
    pub spacing: Spacing,
    /// As for `euler`. Default 1.
    #[serde(skip_serializing_if = "is_one")]
    pub shift: f64,
    /// Whether the predicted image is clipped to [-1, 1], the range of pixels. Default true.
    #[serde(skip_serializing_if = "is_true")]
    pub clip: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Euler {
    /// Network evaluations per image (nfe). Default 20.
    pub steps: usize,
    /// The timesteps of the steps. Default `trailing`.
    pub spacing: Spacing,
    /// How much nearer to the noise the steps lie: evenly spaced u = t / T become shift u / (1 + (shift - 1) u) (Esser et al. 2024, arXiv
    /// 2403.03206, which takes 3 for 1024 x 1024 images). Above 1 with `spacing: trailing` alone. Default 1, no shift.
    #[serde(skip_serializing_if = "is_one")]
    pub shift: f64,
    /// Whether the predicted image is clipped to [-1, 1], the range of pixels. Default false (as flows are published).
    pub clip: bool,
}

/// The variance of the noise that each step of `ddpm` adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AncestralVariance {
    /// The variance of the posterior q(x_s | x_t, x_0), which is exact for data of a single image (Ho et al. 2020, section
    /// 3.2). The default.
    #[default]
    Small,
    /// beta, which is exact for data of unit variance (Ho et al. 2020, section 3.2).
    Large,
    /// The variance that a network with `learned_sigma` predicts for each pixel, between the other two in logarithms (Nichol
    /// and Dhariwal 2021, arXiv 2102.09672, equation 15).
    Learned,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ddpm {
    /// Network evaluations per image (nfe). Default 250 (as in Nichol and Dhariwal 2021, arXiv 2102.09672; Ho et al. take
    /// all 1000).
    pub steps: usize,
    /// The variance of the noise that each step adds. Default `small`.
    pub variance: AncestralVariance,
    /// The timesteps of the steps. Default `trailing`.
    pub spacing: Spacing,
    /// Whether the predicted image is clipped to [-1, 1], the range of pixels. Default true.
    pub clip: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Heun {
    /// n, the number of steps; nfe is 2 n - 1. Default 18 (the paper's for 32 x 32 images).
    pub steps: usize,
    /// The timesteps of the steps. Default `karras` (the paper's).
    pub spacing: Spacing,
    /// As for `euler`. Default 1.
    #[serde(skip_serializing_if = "is_one")]
    pub shift: f64,
    /// Whether the predicted image is clipped to [-1, 1], the range of pixels. Default true.
    pub clip: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DpmSolverPp {
    /// Network evaluations per image (nfe). Default 20.
    pub steps: usize,
    /// The timesteps of the steps. Default `trailing` (as for `ddim`, so that the two differ in the solver alone).
    pub spacing: Spacing,
    /// As for `euler`. Default 1.
    #[serde(skip_serializing_if = "is_one")]
    pub shift: f64,
    /// Whether the predicted image is clipped to [-1, 1], the range of pixels. Default true.
    pub clip: bool,
}

impl Default for OdeSampler {
    fn default() -> Self {
        Self::Ddim(Ddim::default())
    }
}

impl Default for Ddim {
    fn default() -> Self {
        Self { steps: 20, eta: 0.0, spacing: Spacing::Trailing, shift: 1.0, clip: true }
    }
}

impl Default for Euler {
    fn default() -> Self {
        Self { steps: 20, spacing: Spacing::Trailing, shift: 1.0, clip: false }
    }
}

impl Default for Ddpm {
    fn default() -> Self {
        Self { steps: 250, variance: AncestralVariance::Small, spacing: Spacing::Trailing, clip: true }
    }
}

impl Default for Heun {
    fn default() -> Self {
        Self { steps: 18, spacing: Spacing::Karras, shift: 1.0, clip: true }
    }
}

impl Default for DpmSolverPp {
    fn default() -> Self {
        Self { steps: 20, spacing: Spacing::Trailing, shift: 1.0, clip: true }
    }
}

impl OdeSampler {
    /// The number of steps: each goes from one noise level to the next, the last one to the image.
    pub fn steps(&self) -> usize {
        match self {
            Self::Ddim(ddim) => ddim.steps,
            Self::Euler(euler) => euler.steps,
            Self::Ddpm(ddpm) => ddpm.steps,
            Self::Heun(heun) => heun.steps,
            Self::DpmSolverPp(solver) => solver.steps,
        }
    }

    /// Network evaluations per image.
    pub fn nfe(&self) -> usize {
        match self {
            // Each step asks at both of its ends, the last one at its beginning alone.
            Self::Heun(heun) => (2 * heun.steps).saturating_sub(1),
            _ => self.steps(),
        }
    }

    pub fn spacing(&self) -> Spacing {
        match self {
            Self::Ddim(ddim) => ddim.spacing,
            Self::Euler(euler) => euler.spacing,
            Self::Ddpm(ddpm) => ddpm.spacing,
            Self::Heun(heun) => heun.spacing,
            Self::DpmSolverPp(solver) => solver.spacing,
        }
    }

    /// How much nearer to the noise the steps lie; 1 for `ddpm`, which has no such key.
    pub fn shift(&self) -> f64 {
        match self {
            Self::Ddim(ddim) => ddim.shift,
            Self::Euler(euler) => euler.shift,
            Self::Ddpm(_) => 1.0,
            Self::Heun(heun) => heun.shift,
            Self::DpmSolverPp(solver) => solver.shift,
        }
    }

    pub fn clip(&self) -> bool {
        match self {
            Self::Ddim(ddim) => ddim.clip,
            Self::Euler(euler) => euler.clip,
            Self::Ddpm(ddpm) => ddpm.clip,
            Self::Heun(heun) => heun.clip,
            Self::DpmSolverPp(solver) => solver.clip,
        }
    }

    /// The part of a protocol that says how images were generated: the settings that are not the kind's defaults, then the nfe.
    /// `questions` is the number of network evaluations at each noise level.
    pub fn protocol(&self, questions: usize) -> String {
        let mut words = self.kind().to_owned();
        let mut say = |word: std::fmt::Arguments<'_>| write!(words, " {word}").expect("a String takes any text");
        let usual = match self {
            Self::Heun(_) => Spacing::Karras,
            _ => Spacing::Trailing,
        };
        match self {
            Self::Ddim(ddim) if ddim.eta != 0.0 => say(format_args!("eta={}", ddim.eta)),
            Self::Ddpm(ddpm) if ddpm.variance == AncestralVariance::Large => say(format_args!("variance=large")),
            Self::Ddpm(ddpm) if ddpm.variance == AncestralVariance::Learned => say(format_args!("variance=learned")),
            _ => {}
        }
        if self.spacing() != usual {
            say(format_args!("spacing={}", self.spacing().name()));
        }
        if self.shift() != 1.0 {
            say(format_args!("shift={}", self.shift()));
        }
        if self.clip() == matches!(self, Self::Euler(_)) {
            say(format_args!("clip={}", self.clip()));
        }
        say(format_args!("nfe={}", self.nfe() * questions));
        words
    }
}

impl Spacing {
    /// As it is written in YAML.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trailing => "trailing",
            Self::Leading => "leading",
            Self::Linspace => "linspace",
            Self::Quadratic => "quadratic",
            Self::Karras => "karras",
        }
    }
}

/// A key that was added after runs had been recorded is left out at its default, so that the ids of those runs stay.
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

fn is_one(value: &f64) -> bool {
    *value == 1.0
}

fn is_true(value: &bool) -> bool {
    *value
}

fn is_trailing(spacing: &Spacing) -> bool {
    *spacing == Spacing::Trailing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_names_what_is_unusual_and_the_evaluations() {
        let ddim = Ddim { eta: 0.5, spacing: Spacing::Leading, clip: false, ..Ddim::default() };
        let ddpm = Ddpm { variance: AncestralVariance::Large, ..Ddpm::default() };
        for (ode, expected) in [
            (OdeSampler::default(), "ddim nfe=20"),
            (OdeSampler::Ddim(ddim), "ddim eta=0.5 spacing=leading clip=false nfe=20"),
            (OdeSampler::Ddpm(ddpm), "ddpm variance=large nfe=250"),
            (OdeSampler::Heun(Heun::default()), "heun nfe=35"),
            (OdeSampler::Heun(Heun { spacing: Spacing::Trailing, ..Heun::default() }), "heun spacing=trailing nfe=35"),
            (OdeSampler::DpmSolverPp(DpmSolverPp::default()), "dpm_solver_pp nfe=20"),
            (OdeSampler::Euler(Euler { shift: 3.0, ..Euler::default() }), "euler shift=3 nfe=20"),
        ] {
            assert_eq!(ode.protocol(1), expected);
        }
    }

    #[test]
    fn keys_that_ddim_got_later_are_written_only_where_they_say_something() {
        let json = |ddim: Ddim| serde_json::to_string(&OdeSampler::Ddim(ddim)).unwrap();
        assert_eq!(json(Ddim::default()), r#"{"kind":"ddim","steps":20}"#);
        let unusual = Ddim { eta: 1.0, spacing: Spacing::Karras, shift: 2.5, clip: false, ..Ddim::default() };
        let expected = r#"{"kind":"ddim","steps":20,"eta":1.0,"spacing":"karras","shift":2.5,"clip":false}"#;
        assert_eq!(json(unusual), expected);
    }
}
