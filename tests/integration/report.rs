//! Reports of made-up studies whose truth is known.

mod cells;
mod comparison;
mod explore;
mod files;
mod grid;
mod labels;
mod last_quality;
mod looks;
mod measures;
mod simulated_grids;
mod simulation;
mod synthetic;

use std::path::Path;

use speedlab::record::StudyRecord;
use speedlab::report::{Comparison, NoSpeedup, Speedup};
use speedlab::spec::Target;
use synthetic::Synthetic;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A study whose runs are evaluated so often, and whose target is reached so early, that every run reaches it.
fn reaching() -> StudyRecord {
    let mut study = Synthetic { every: 20, spread: 0.03, ..Synthetic::default() }.study(Path::new("results/synthetic"));
    study.plan.compare.as_mut().expect("it compares").target = Some(Target::Value { value: 25.0 });
    study
}

/// The speedup of an arm at the only grid point.
fn found<'a>(comparison: &'a Comparison, arm: &str, cost: usize) -> &'a Result<Speedup, NoSpeedup> {
    let arm = comparison.points[0].arms.iter().find(|other| other.arm == arm).expect("the arm is planned");
    &arm.contrast.speedups[cost]
}

fn indices(study: &StudyRecord, arm: &str) -> Vec<usize> {
    (0..study.runs.len()).filter(|&index| study.runs[index].planned.arm == arm).collect()
}
