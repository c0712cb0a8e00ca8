//! Why a study cannot be conducted, or no longer.

use std::io;

use crate::data::DataError;
use crate::device::DeviceError;
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
    #[error("cannot {action}: {source}")]
    Io { action: &'static str, source: io::Error },
}
