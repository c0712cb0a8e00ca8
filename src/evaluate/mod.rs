//! How good a network is now: images generated with its averaged weights, compared with real ones.
//!
//! Every run of a study is measured alike: generation and the validation loss start from noise that depends on
//! neither the run nor its seed. Nothing here knows optimizers, training, baselines or targets.

mod coarse_pixels;
mod error;
mod evaluator;
mod features;
mod frechet;
mod gaussian;
mod grid;
pub mod landscape;
mod predict;
mod sample;
mod statistics_file;
mod validation;
mod validation_gradient;

pub use error::EvaluateError;
pub use evaluator::{Evaluation, Evaluator};
pub use features::{DIGITS_CNN_WEIGHTS, FeatureNetwork, FrozenNetwork, MNIST_CNN_WEIGHTS, WeightsError, small_cnn};
pub use frechet::{FrechetError, frechet_distance};
pub use gaussian::{Gaussian, GaussianFit};
pub use grid::{grid_png, level};
pub use sample::generate_images;
pub use statistics_file::{StatisticsError, read_statistics, write_statistics};
