//! Runs onto devices: which run starts next and where, each in a process of its own, until all have ended.
//!
//! [`Queue`] decides and is pure: time and outcomes are passed in. [`execute`] drives it with any [`RunExecutor`];
//! [`ProcessExecutor`] makes each run a child process that speaks [`crate::event::RunEvent`]s, one line of JSON each,
//! on its standard output. [`Leash`] is the child's side of that pipe. Nothing here knows what a run does.

mod child;
mod counts;
mod device;
mod drive;
mod executor;
#[cfg(test)]
mod fake;
mod leash;
mod log;
mod queue;
mod standing;
mod start_order;
mod stop;
mod time_left;
mod update;
mod worker;

pub use counts::{Counts, Summary};
pub use device::{CpuThreads, Device, Slot, cpu_label};
pub use drive::execute;
pub use executor::{Report, RunExecutor, StartError};
pub use leash::Leash;
pub use queue::{Policy, Queue, QueuedRun, Start};
pub use standing::{Standing, StopReason, Wait};
pub use stop::Stop;
pub use time_left::makespan;
pub use update::{News, Update};
pub use worker::{ProcessExecutor, RunCommand};
