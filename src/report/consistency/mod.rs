//! How alike the outputs of different runs are that start from one noise (arXiv 2404.07946 calls it the consistency
//! phenomenon), beside how alike those from different noises are.

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
