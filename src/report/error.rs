//! Why a report could not be written.

use super::plots::RenderError;
use crate::record::RecordError;

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("cannot write the report: {0}")]
    Write(#[from] RecordError),
    #[error(transparent)]
    Render(#[from] RenderError),
}
