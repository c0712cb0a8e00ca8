//! Numbers from elsewhere: tables of curves that other programs wrote become the records of a sweep, and have every interval that our own runs
//! have.
//!
//! ```text
//! a file -> Table, or event files of TensorBoard -> Points (run, step, metric, value) -> a sweep's YAML and the records of its runs
//! ```
//!
//! What the source cannot tell is said wherever a value is shown: its protocol begins with [`IMPORTED`](crate::spec::IMPORTED).

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
pub use records::{Imported, Wanted, import, is_imported};
