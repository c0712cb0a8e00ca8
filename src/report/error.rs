//! Why a report could not be written.

use std::io;
use std::path::PathBuf;

use super::plots::RenderError;

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("cannot make the report's folder `{}`: {source}{}", path.display(), hint(source))]
    Folder { path: PathBuf, source: io::Error },
    #[error("cannot write `{}`: {source}{}", path.display(), hint(source))]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Render(#[from] RenderError),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull => {
            "\nhint: nothing recorded is lost; free some space and run `speedlab report` again"
        }
        io::ErrorKind::PermissionDenied => "\nhint: `--results` names a folder that can be written",
        _ => "",
    }
}
