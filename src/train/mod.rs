//! (being written)

pub mod classifier;
