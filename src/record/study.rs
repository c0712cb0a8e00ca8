//! Everything recorded of a sweep, as a report reads it.

use std::path::PathBuf;

use super::CurveRow;
use crate::event::{RunOutcome, Started};
use crate::spec::{Plan, PlannedRun};

/// A sweep's plan and what its runs have recorded so far.
#[derive(Clone, Debug)]
pub struct StudyRecord {
    /// `results/<sweep>`.
    pub folder: PathBuf,
    pub plan: Plan,
    /// In the plan's order; a run that has not started yet has no rows.
    pub runs: Vec<RunRecord>,
}

/// What one run has recorded.
#[derive(Clone, Debug)]
pub struct RunRecord {
    pub planned: PlannedRun,
    pub state: RunState,
    /// Every attempt's first event.
    pub attempts: Vec<Started>,
    /// The curves without what later attempts made void, by step.
    pub rows: Vec<CurveRow>,
    /// By step.
    pub densities: Vec<TimestepDensity>,
    /// (step, PNG) of each sample grid, by step.
    pub samples: Vec<(u64, PathBuf)>,
    /// Torn lines that the journal's reader skipped.
    pub torn_lines: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub enum RunState {
    Waiting,
    /// Has recorded something and has not ended.
    Unfinished,
    Ended(RunOutcome),
}

/// How likely each of equally wide bins of t was at a step.
#[derive(Clone, Debug, PartialEq)]
pub struct TimestepDensity {
    pub step: u64,
    pub density: Vec<f64>,
}
