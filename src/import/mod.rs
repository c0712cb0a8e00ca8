//! Imports curves of other programs: their tables become the records of a sweep, and get every interval that our own runs get.
//!
//! ```text
//! a file -> Table, or event files of TensorBoard -> Points (run, step, metric, value) -> a sweep's YAML and the records of its runs
//! ```
//!
//! The protocol of every imported value begins with [`IMPORTED`](crate::spec::IMPORTED), so that each place that shows the
//! value also shows its origin.

mod error;
mod mapping;
mod points;
mod records;
mod table;
mod tensorboard;
mod wide;

pub use error::ImportError;
pub use mapping::{Mapping, NamePattern};
pub use points::{Points, read_points};
pub use records::{Imported, Wanted, import};
