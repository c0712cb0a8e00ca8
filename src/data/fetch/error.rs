use std::io;
use std::path::{Path, PathBuf};

use super::super::DataError;
use super::super::error::cure;

/// Why a set could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error("cannot {action} {}: {source}{}", path.display(), cure(source))]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// The server, or the way to it.
    #[error("{0}")]
    Network(String),
    /// A program that gets packages.
    #[error("{0}")]
    Package(String),
    #[error("what came is not {what}: it {problem}")]
    Wrong { what: String, problem: String },
    #[error("{} cannot be unpacked: {problem}", path.display())]
    Archive { path: PathBuf, problem: String },
    #[error(
        "`{name}` could not be fetched:\n{}\n\
         hint: try again when the network is there (what was fetched is kept), or put the files into {} yourself and \
         check them with: {command}",
        list(failures),
        folder.display()
    )]
    Nowhere { name: String, folder: PathBuf, failures: Vec<(String, String)>, command: String },
}

impl FetchError {
    /// Wraps an I/O error with what was being done to which file.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// Whether this machine is the reason, so that another origin would not help.
    pub(super) fn is_local(&self) -> bool {
        matches!(self, Self::Data(_) | Self::Io { .. })
    }
}

fn list(failures: &[(String, String)]) -> String {
    let line = |(origin, problem): &(String, String)| format!("  from {origin}: {}", problem.replace('\n', "\n    "));
    failures.iter().map(line).collect::<Vec<_>>().join("\n")
}
