//! Which weights are measured.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::{Optimizer, RunSpec};

/// `evaluate.weights`: which of a run's weights are measured. Averaged and raw weights have protocols of their own, so their
/// values are never compared with each other, and neither are averages of different lengths: except with `own`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvaluatedWeights {
    /// The moving average of `train.ema`. The default.
    #[default]
    Averaged,
    /// The weights as the optimizer left them. Of `schedule_free_adamw` these are x.
    Raw,
    /// Both, at twice the cost. `compare` compares the averaged ones.
    Both,
    /// Those that the run's method is meant to be used with: the x of `schedule_free_adamw`, else the moving average of
    /// `train.ema`. How weights are averaged is then part of what is compared, so arms may average in different ways.
    Own,
}

impl EvaluatedWeights {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The weights in the order they are measured; the first are what is compared.
    pub fn each(self) -> &'static [Weights] {
        match self {
            Self::Averaged => &[Weights::Averaged],
            Self::Raw => &[Weights::Raw],
            Self::Both => &[Weights::Averaged, Weights::Raw],
            Self::Own => &[Weights::Own],
        }
    }

    /// Those that images are generated with where nothing is measured: of `schedule_free_adamw` x with `own`, else the
    /// averaged ones.
    pub fn used(self) -> Weights {
        match self {
            Self::Own => Weights::Own,
            Self::Averaged | Self::Raw | Self::Both => Weights::Averaged,
        }
    }

    /// Those that are compared.
    pub fn compared(self) -> Weights {
        self.each()[0]
    }
}

/// Weights of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    #[default]
    Averaged,
    Raw,
    /// One of the two, by [`RunSpec::own_weights`].
    Own,
}

impl Weights {
    pub fn is_averaged(&self) -> bool {
        *self == Self::Averaged
    }

    /// Which of the two, in a run whose [`RunSpec::own_weights`] are `own`.
    pub fn of<T>(self, own: Weights, averaged: T, raw: T) -> T {
        match (self, own) {
            (Self::Raw, _) | (Self::Own, Self::Raw) => raw,
            (Self::Averaged | Self::Own, _) => averaged,
        }
    }

    /// In a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Averaged => "averaged",
            Self::Raw => "raw",
            Self::Own => "run's own averaged",
        }
    }

    /// As a protocol names them: `ema=0.999`, `raw`, `average=own`; `average` is that of the run's [`crate::spec::Train`].
    pub fn protocol(self, average: &str) -> String {
        match self {
            Self::Averaged => format!("ema={average}"),
            Self::Raw => "raw".to_owned(),
            Self::Own => "average=own".to_owned(),
        }
    }
}

impl RunSpec {
    /// The weights that the run's method is meant to be used with.
    pub fn own_weights(&self) -> Weights {
        match self.optimizer {
            Optimizer::ScheduleFreeAdamw(_) => Weights::Raw,
            Optimizer::Adam(_) | Optimizer::Adamw(_) | Optimizer::Muon(_) | Optimizer::Soap(_) => Weights::Averaged,
        }
    }
}
