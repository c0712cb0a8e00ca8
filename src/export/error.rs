//! Why curves cannot be exported.

use std::path::PathBuf;

use crate::record::RecordError;

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("{} is not empty\nhint: TensorBoard shows every event file of a folder: name one that is new", path.display())]
    NotEmpty { path: PathBuf },
    #[error("run {run_id} says that it was started at `{started_at}`, which is no time of RFC 3339")]
    Time { run_id: String, started_at: String },
}
