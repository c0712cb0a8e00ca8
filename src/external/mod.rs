//! Runs that a program of the user's own trains: `trainer` in a sweep.
//!
//! ```text
//! trainer.json  what is asked            -> the program
//! a named pipe  lines of JSON, [`Said`]  <- the program
//! standard input  answers, and `stop`    -> the program
//! ```
//!
//! What it says becomes the events of any other run, so that queue, records and report need not know who trained. What is particular
//! is kept here: its clock, its checkpoints, what it may not say, and that nothing of it outlives the run.

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
