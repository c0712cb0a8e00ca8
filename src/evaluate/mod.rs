//! How good is a network now: images from its averaged weights, compared with real ones.

mod frechet;
mod gaussian;

pub use frechet::{FrechetError, frechet_distance};
pub use gaussian::{Gaussian, GaussianFit};
