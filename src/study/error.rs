//! Why a study cannot begin or go on.

use std::io;
use std::path::PathBuf;

use crate::cluster::ClusterError;
use crate::data::DataError;
use crate::device::{DeviceError, DeviceName};
use crate::evaluate::EvaluateError;
use crate::record::RecordError;
use crate::report::ReportError;
use crate::train::CheckpointError;

#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    Training(#[from] CheckpointError),
    #[error(
        "--jobs {jobs} is against the sweep's `exclusive: true`, which lets no two runs share a device\nhint: leave one of them out"
    )]
    Exclusive { jobs: usize },
    #[error(
        "--evaluate-on is for runs that speedlab trains; a trainer of your own generates its images itself\nhint: leave it out"
    )]
    EvaluatedByTrainer,
    #[error(
        "--capture-steps is for runs that speedlab trains; a trainer of your own does its steps itself\nhint: leave it out"
    )]
    CapturedByTrainer,
    #[error(
        "--capture-steps is for GPUs: a CPU is not told of kernels\nhint: leave it out, or name a GPU with --device"
    )]
    CapturedOnCpu,
    #[error(
        "--evaluate-on {name}, which also trains: runs on it and on the others would have been timed on different devices\nhint: leave {name} out of --device, or say --evaluate-on same"
    )]
    EvaluatesWhereOthersTrain { name: DeviceName },
    #[error("there is nothing to decide: --until-decided needs a `compare` section and an arm beside its baseline")]
    NothingToDecide,
    #[error(
        "--until-decided adds seeds to every arm alike, and `include` or `exclude` give arms different seeds\nhint: leave seeds out of them"
    )]
    SeedsDiffer,
    #[error("--max-seeds {most} is less than the {first} seeds of the first look\nhint: give {first} or more")]
    TooFewSeeds { most: usize, first: usize },
    #[error(
        "--max-seeds {most} is more than the limit of {limit}\nhint: a speedup that needs so many seeds is too small to matter"
    )]
    TooManySeeds { most: usize, limit: usize },
    #[error("--budget says when no more seeds are added, and this study's seeds are fixed\nhint: add --until-decided")]
    BudgetOfFixedSeeds,
    #[error(
        "{count} runs of `{study}` have an id that begins with `{prefix}`\nhint: `speedlab status` lists the runs with their ids; give as many digits as tell one from the others"
    )]
    NoSuchRun { prefix: String, study: String, count: usize },
    #[error(transparent)]
    Cluster(ClusterError),
    #[error(
        "arm `{arm}` is trained by PyTorch, and {reason}\nhint: python3 -m pip install torch numpy; SPEEDLAB_PYTHON names another Python"
    )]
    NoTorch { arm: String, reason: String },
    #[error(
        "the sweep was imported: its runs were trained elsewhere\nhint: `speedlab report` draws its report; `speedlab import` reads another table"
    )]
    Imported,
    #[error(
        "the trainer of arm `{arm}`, `{command}`, cannot be started: {reason}\nhint: `trainer.command` is a program and its words, seen \
         from the folder where speedlab is started; no shell reads them"
    )]
    NoTrainer { arm: String, command: String, reason: String },
    #[error(
        "{host} sees no {}\nhint: the folder of results must be one that every node sees, under the same path as where the sweep was handed in",
        path.display()
    )]
    NotShared { path: PathBuf, host: String },
    #[error("there is no task {index}: the submission has {tasks}, counted from 0")]
    NoSuchTask { index: usize, tasks: usize },
    #[error("the submission's device cannot be read: {reason}")]
    BadDevice { reason: String },
    #[error("cannot {action}: {source}")]
    Io { action: &'static str, source: io::Error },
}

impl StudyError {
    /// Whether the sweep and what was asked of its seeds do not fit.
    pub fn is_about_seeds(&self) -> bool {
        matches!(
            self,
            Self::NothingToDecide
                | Self::SeedsDiffer
                | Self::TooFewSeeds { .. }
                | Self::TooManySeeds { .. }
                | Self::BudgetOfFixedSeeds
        )
    }
}
