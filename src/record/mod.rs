//! What runs leave behind: a folder for each run, a journal of its events, and tidy tables of curves.
//!
//! ```text
//! results/<sweep>/plan.json
//! results/<sweep>/curves.parquet
//! results/<sweep>/report/
//! results/<sweep>/runs/<run-id>/{spec.json, events.jsonl, curves.parquet, samples/, checkpoint/, DONE}
//! ```

mod rows;
mod study;

pub use rows::CurveRow;
pub use study::{RunRecord, RunState, StudyRecord, TimestepDensity};
