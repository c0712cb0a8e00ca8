//! Why curves cannot be exported.

use std::io;
use std::path::PathBuf;

use crate::record::RecordError;

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is not empty\nhint: TensorBoard shows every event file of a folder: name one that is new", path.display())]
    NotEmpty { path: PathBuf },
    #[error("run {run_id} says that it was started at `{started_at}`, which is no time of RFC 3339")]
    Time { run_id: String, started_at: String },
}

impl ExportError {
    pub(super) fn io(action: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
