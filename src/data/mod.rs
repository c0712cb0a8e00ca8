//! Images to train on, and which of them make the batch of a step.
//!
//! Nothing here knows runs or clocks. A data set is loaded whole, checked and split; batches are pure functions of
//! (seed, step), so a resumed run sees the images that an uninterrupted one would have seen.

mod batches;
mod digits;
mod images;

use crate::spec::Data;

pub use batches::{batch_classes, batch_indices, batch_pixels};
pub use images::{Dataset, Images};

/// Why images could not be had.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error(
        "data `{name}`: sha256 is {found}, expected {expected}\n\
         hint: the file was changed after it was published; get the program's source again"
    )]
    Checksum { name: &'static str, expected: &'static str, found: String },
    #[error("data `{name}`: image {index} is malformed: {problem}")]
    Malformed { name: &'static str, index: usize, problem: String },
}

/// Loads, checks and splits the images that `data` names.
pub fn load(data: &Data) -> Result<Dataset, DataError> {
    match data {
        Data::Digits(_) => digits::load(),
    }
}
