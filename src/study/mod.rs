//! A study from its plan to its report, without a terminal: plan -> images -> queue -> records -> report.
//!
//! ```text
//! Study::open    images looked for and decoded, the folder locked, the plan frozen        -> OpenStudy
//! OpenStudy::begin   what is recorded of every run: which are done, which go on, which must not run  -> StudyQueue
//! OpenStudy::train   the queue to its end, by any executor; silent ends recorded, the live view written  -> Summary
//! OpenStudy::next_round   the seeds that the study's rule adds, until it is decided: begin again
//! write_report   the tables and the page, from the records alone
//! LivePage       the same page in memory, made anew while the runs go on
//! ```
//!
//! An [`Observer`] is told what happens. The command line draws it; a test counts it.

mod calibration;
mod cluster_tasks;
mod cost;
mod devices;
mod error;
mod images;
mod live;
mod live_page;
mod notes;
mod observer;
mod open;
mod queue;
mod report;
mod sensitivity;
mod sharing;
mod submit;
mod task;
mod tracker;
mod until_decided;
mod workers;

pub use calibration::{Calibration, probe_cpu};
pub use cluster_tasks::{TaskRuns, cancel, live_tasks};
pub use cost::{Estimator, factor_bytes, training_flops};
pub use devices::{ChosenDevices, EvaluateOnDevice, WantedDevices, ask_child, found_in_children};
pub use error::StudyError;
pub use images::image_notes;
pub use live_page::LivePage;
pub use notes::plan_notes;
pub use observer::Observer;
pub use open::{OpenStudy, Study};
pub use queue::StudyQueue;
pub use report::{write_paper_figures, write_report, write_report_of};
pub use sensitivity::sensitivity;
pub use sharing::Sharing;
pub use submit::{Handed, Handover, Survey};
pub use task::{Finished, Rest, Task, finish, prepare};
pub use tracker::{Doing, RunLabel, Tracked, Tracker};
pub use until_decided::{FEWEST_SEEDS, NoRound, with_rule, with_rule_of};
