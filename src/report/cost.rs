//! What a run spends to reach a quality.

use super::curve::Evaluation;

/// An axis that speedups are measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    ImagesSeen,
    TrainSeconds,
}

impl Cost {
    pub const ALL: [Self; 2] = [Self::ImagesSeen, Self::TrainSeconds];

    /// Its name in records and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::ImagesSeen => "images_seen",
            Self::TrainSeconds => "train_seconds",
        }
    }

    /// Its name in a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::ImagesSeen => "training images",
            Self::TrainSeconds => "training time",
        }
    }

    /// Its name on a figure's axis, with the unit.
    pub fn label(self) -> &'static str {
        match self {
            Self::ImagesSeen => "training images seen",
            Self::TrainSeconds => "training time (s)",
        }
    }

    /// The cost up to `evaluation`.
    pub fn of(self, evaluation: &Evaluation) -> f64 {
        match self {
            Self::ImagesSeen => evaluation.images_seen as f64,
            Self::TrainSeconds => evaluation.train_seconds,
        }
    }
}
