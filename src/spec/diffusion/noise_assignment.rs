//! Which noise each image of a batch gets.

use crate::spec::{empty_settings, kinds};

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
