//! Places runs on devices: which run starts next and where, each in a process of its own, until all have ended.
//!
//! [`Queue`] decides and is pure: time and outcomes are passed in. [`execute`] drives it with any [`RunExecutor`];
//! [`ProcessExecutor`] makes each run a child process that speaks [`crate::event::RunEvent`]s, one line of JSON each,
//! on its standard output. [`Leash`] is the child's side of that pipe. Nothing here knows what a run does.

mod child;
mod counts;
mod decision;
mod device;
mod drive;
mod executor;
mod failure;
#[cfg(test)]
mod fake;
mod leash;
mod log;
mod memory_kills;
mod queue;
mod room;
mod standing;
mod start_order;
mod stop;
mod time_left;
mod update;
mod worker;

pub use counts::{Counts, Summary};
pub use decision::Decision;
pub use device::{CpuThreads, Device, GpuKernels, Slot, cores, gpus};
pub use drive::execute;
pub(crate) use failure::Death;
pub(crate) use log::{LastLines, each_line};
pub(crate) use memory_kills::count as memory_kills;

pub use executor::{Report, RunExecutor, StartError, is_no_room};
pub use leash::Leash;
pub use queue::{Policy, Queue, QueuedRun, Start};
pub use room::Room;
pub use standing::{Standing, StopReason, Wait};
pub use stop::Stop;
pub use time_left::makespan;
pub use update::{News, Update};
pub use worker::{ProcessExecutor, RunCommand};
