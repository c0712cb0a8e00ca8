//! A sweep's curves for other programs: tables, and event files of TensorBoard.
//!
//! Files and folders are written beside their places and renamed when they are whole.

mod csv;
mod error;
mod tensorboard;

pub use csv::write_csv;
pub use error::ExportError;
pub use tensorboard::write_tensorboard;

/// Hears how far it is: how many runs are written, of how many.
pub type OnRuns<'p> = &'p mut dyn FnMut(usize, usize);
