//! Runs that the user's own program trains: `trainer` in a sweep.
//!
//! ```text
//! trainer.json  what is asked            -> the program
//! a named pipe  lines of JSON, [`Said`]  <- the program
//! standard input  answers, and `stop`    -> the program
//! ```
//!
//! Its lines become events like those of any other run, so that queue, records and report need not know which trainer it was.
//! This module keeps what is particular: its clock, its checkpoints, the lines that it may not write, and that none of its
//! processes outlives the run.

mod asked;
mod before;
mod conversation;
mod execute;
mod guard;
mod pipe;
mod process;
mod said;

pub use execute::{ExternalAttempt, ExternalError, execute};
pub use guard::guard;
pub(crate) use process::unfindable;
pub use said::{PROTOCOL, Said, said};

/// The file for Python programs: `speedlab trainer --python`.
pub const PYTHON_HELPER: &str = include_str!("speedlab_run.py");
/// What lines may be, as JSON Schema: `speedlab trainer --schema`.
pub const SCHEMA: &str = include_str!("schema.json");
