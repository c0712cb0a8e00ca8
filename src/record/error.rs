//! Errors of records on disk.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("cannot {action} {}: {source}{}", path.display(), cure(source))]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} was written by a newer speedlab (format {found}, this one reads up to {known})\nhint: update speedlab; the file was not touched", path.display())]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error("{} is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("{} is in use by {holder}\nhint: wait for it, or stop it; `speedlab status SWEEP.yaml --watch` shows its progress", folder.display())]
    Held { folder: PathBuf, holder: String },
    #[error("there is nothing recorded in {}\nhint: `speedlab run SWEEP.yaml` makes it, or name another folder with --results", path.display())]
    Nothing { path: PathBuf },
    #[error("`{}` names no file\nhint: give a path that ends in a name", path.display())]
    NoName { path: PathBuf },
    #[error("{} would be written over: {reason}\nhint: choose another place", path.display())]
    WrittenOver { path: PathBuf, reason: String },
}

impl RecordError {
    /// Whether it lies with what was given on a command line, not with a disk or a record.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Nothing { .. } | Self::NoName { .. } | Self::WrittenOver { .. })
    }

    /// Wraps an I/O error with what was being done to which file.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

fn cure(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "\nhint: free some space and run the same command again; nothing recorded so far is lost"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "\nhint: choose a folder you can write to with --results"
        }
        _ => "",
    }
}
