//! Which noise each image of a batch gets.

use crate::spec::{empty_settings, kinds};

kinds! {
    /// `noise`: which noise each image of a batch gets.
    pub enum NoiseAssignment {
        /// Each image gets a draw of its own. The default.
        Independent(IndependentNoise) = "independent",
        /// Immiscible diffusion (Li et al. 2024, arXiv 2406.12303): the draws of a batch are assigned to its images so that the
        /// sum of the distances between image and noise is least. The time that this takes counts as training time.
        Immiscible(ImmiscibleNoise) = "immiscible",
        /// Mini-batch optimal transport (Pooladian et al. 2023, arXiv 2304.14772; Tong et al. 2023, arXiv 2302.00482): as `immiscible`, but
        /// the sum of the squared distances is least, which straightens the paths of a flow.
        OptimalTransport(OptimalTransportNoise) = "optimal_transport",
    }
}

empty_settings! {
    /// No settings.
    IndependentNoise;
    /// No settings.
    ImmiscibleNoise;
    /// No settings.
    OptimalTransportNoise;
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
