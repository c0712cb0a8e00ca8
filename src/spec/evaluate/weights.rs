//! Which weights are measured.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `evaluate.weights`: which of a run's weights are measured. Averaged and raw weights have protocols of their own, so their
/// values are never compared with each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvaluatedWeights {
    /// The moving average of `train.ema_decay`. The default.
    #[default]
    Averaged,
    /// The weights as the optimizer left them.
    Raw,
    /// Both, at twice the cost. `compare` compares the averaged ones.
    Both,
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
}

impl Weights {
    pub fn is_averaged(&self) -> bool {
        *self == Self::Averaged
    }

    /// Which of the two.
    pub fn of<T>(self, averaged: T, raw: T) -> T {
        match self {
            Self::Averaged => averaged,
            Self::Raw => raw,
        }
    }

    /// In a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Averaged => "averaged",
            Self::Raw => "raw",
        }
    }

    /// As a protocol names them: `ema=0.999`, `raw`.
    pub fn protocol(self, ema_decay: f64) -> String {
        match self {
            Self::Averaged => format!("ema={ema_decay}"),
            Self::Raw => "raw".to_owned(),
        }
    }
}
