//! What runs leave behind: a folder for each run, a journal of its events, and tidy tables of curves.
//!
//! ```text
//! results/<sweep>/plan.json
//! results/<sweep>/live.json
//! results/<sweep>/curves.parquet
//! results/<sweep>/report/
//! results/<sweep>/submissions/<n>/{submission.json, job-<k>.sh, tasks/}
//! results/<sweep>/attempts/<run-id>/<token>/      runs that a cluster has: each attempt as a run's folder
//! results/<sweep>/runs/<run-id>/{spec.json, events.jsonl, log.txt, curves.parquet, samples/, consistency/, averages/, checkpoint/, evaluations/, DONE}
//! ```
//!
//! A journal is only ever appended to. Attempts that died leave events behind that a later attempt makes void.
//! [`effective_events`] alone decides which.

mod attempt_copy;
mod attempts;
mod commands;
mod consistency;
mod curve_table;
mod curves;
mod effective;
mod error;
mod event_line;
mod files;
mod folder;
mod frequent_lines;
mod journal;
mod later;
mod live;
mod mark;
mod outputs;
mod plan_file;
mod rows;
mod spent_time;
mod study;
mod submission;

pub(crate) use attempt_copy::copy_link;
pub use attempts::{Commit, Progress, progress};
pub use commands::{DEFAULT_RESULTS, first_folder, quoted, running_arguments, without_results};
pub use consistency::ConsistencyImages;
pub use curve_table::curve_columns;
pub use curves::{CurveRow, read_curves, write_curves};
pub use effective::effective_events;
pub use error::RecordError;
pub use files::{is_half_written, write_beside, write_beside_by};
pub use folder::{Lock, RunFolder, SweepFolder, host_name};
pub use journal::{Journal, JournalContents, read_journal, record_silent_end};
pub use later::LaterEvaluation;
pub use live::{LiveFile, LiveQuality, LiveRun, LiveState};
pub use mark::RecordMark;
pub use outputs::{lies_in, refuse_folder, refuse_outputs};
pub use plan_file::{HeldTime, PlanFile, Revision, Session};
pub use rows::{Row, Rows};
pub use spent_time::SpentTime;
pub use study::{RunRecord, RunState, Shared, StudyRecord, TimestepDensity, Waiting, first_and_count};
pub use submission::{ClusterJob, Engine, JobKind, Submission};
