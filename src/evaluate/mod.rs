//! Measures a network: images generated with its averaged or raw weights are compared with real images.
//!
//! Every run of a study is measured in the same way: generation and the validation loss start from noise that depends on
//! neither the run nor its seed. Nothing here knows optimizers, training, baselines or targets.

mod autoencoder_file;
mod cmmd;
mod coarse_pixels;
mod decoder;
mod error;
mod evaluator;
mod feature_rows;
mod features;
mod fid_infinity;
mod frechet;
mod further_measures;
mod gaussian;
mod generated_images;
mod grid;
mod inception_score;
mod kid;
pub mod landscape;
mod nearest_neighbours;
mod precision;
mod precision_recall;
mod predict;
mod products;
mod reference;
mod sample;
mod statistics_file;
mod stored_reference;
mod validation;
mod validation_gradient;

pub use autoencoder_file::{AutoencoderFile, AutoencoderFileError};
pub use cmmd::{cmmd, mean_kernel};
pub use decoder::{CheckedDecoder, LatentDecoder, check_decoder, decoder_cost};
pub use error::{EvaluateError, MeasureError};
pub use evaluator::{Evaluation, Evaluator, SharedReferences};
pub use feature_rows::FeatureRows;
pub use features::{
    Activations, DIGITS_CNN_WEIGHTS, FeatureCost, FeatureNetwork, FeaturesOn, FrozenNetwork, MNIST_CNN_WEIGHTS,
    SpatialEncoder, WeightsError, encoder_cost, encoder_weights, feature_cost, small_cnn,
};
pub use fid_infinity::{FidInfinity, fid_infinity, infinity_subset_counts, infinity_subsets};
pub use frechet::{FrechetError, FrechetReference, frechet_distance};
pub use further_measures::{ClassLogits, FurtherMeasures};
pub use gaussian::{Gaussian, GaussianFit};
pub use generated_images::{GeneratedError, read_generated};
pub use grid::{grid_png, level};
pub use inception_score::{INCEPTION_SPLITS, InceptionScore, inception_score};
pub use kid::{Kid, KidSubset, kid, kid_subset_counts, kid_subsets};
pub use nearest_neighbours::NeighbourDistances;
pub use precision_recall::{DENSITY_NEIGHBOURS, Neighbourhoods, Overlap, PRECISION_NEIGHBOURS, overlap};
pub use predict::Passes;
pub use reference::{ReferenceFeatures, check_encoders, check_reference_files, prepare_reference};
pub use sample::generate_images;
pub use statistics_file::{Statistics, StatisticsError};
pub use stored_reference::{StoredReference, each_image, holds_statistics};
