//! The similarity of images that different runs generate from the same noise (arXiv 2404.07946 calls it the consistency
//! phenomenon), compared with that of images from different noises.

mod difference;
mod likeness;
mod partners;
mod similarity;
mod ssim;
mod study;
mod tables;

pub use likeness::GroupLikeness;
pub use similarity::Similarity;
pub use ssim::Ssim;
pub use study::{Comparable, Consistency, Group};
pub use tables::{csv, json};
