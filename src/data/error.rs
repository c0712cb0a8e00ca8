use std::io;
use std::path::{Path, PathBuf};

/// Why images could not be had.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error(
        "data `{name}`: sha256 is {found}, expected {expected}\n\
         hint: the file was changed after it was published; get the program's source again"
    )]
    Checksum { name: &'static str, expected: &'static str, found: String },
    #[error("data `{name}`: image {index} is malformed: {problem}")]
    Malformed { name: &'static str, index: usize, problem: String },
    /// Nothing of a set that has to be fetched is there.
    #[error("data `{name}` is not in {}\nhint: fetch it, about {megabytes} MB: {command}", folder.display())]
    Absent { name: String, folder: PathBuf, megabytes: u64, command: String },
    /// A file of a fetched set is missing, truncated or wrong.
    #[error("data `{name}`: {} {problem}\nhint: fetch what is wrong again: {command}", path.display())]
    File { name: String, path: PathBuf, problem: String, command: String },
    #[error("`data.path`: {problem}{}", hint_line(hint))]
    Folder { problem: String, hint: Option<&'static str> },
    #[error(
        "`{key}`, {}: {problem}\n\
         hint: put the file back; the same command plans anew with the file that is there", path.display()
    )]
    PlannedFile { key: &'static str, path: PathBuf, problem: String },
    /// Files of latents, or their autoencoder, are not as a key says.
    #[error("`{key}`: {problem}\nhint: {hint}")]
    Latents { key: &'static str, problem: String, hint: String },
    /// What a recorded run was trained on is no longer there.
    #[error(
        "`{key}`: {what} is not what {} was trained on: its sha256 was {recorded:.12}, and is {found:.12}\n\
         hint: put it back as it was; or give the sweep another `name`, and all its runs are trained on what is there now", run.display()
    )]
    Changed { key: &'static str, what: String, run: PathBuf, recorded: String, found: String },
    #[error("cannot read the image {}: {problem}\nhint: repair or remove that file", path.display())]
    Image { path: PathBuf, problem: String },
    #[error("cannot {action} {}: {source}{}", path.display(), cure(source))]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "there is no folder for data: neither --data-dir nor SPEEDLAB_DATA is given, and the user has no home folder\n\
         hint: give --data-dir FOLDER"
    )]
    NoFolder,
}

impl DataError {
    /// Wraps an I/O error with what was being done to which file.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    pub(super) fn latents(key: &'static str, problem: String, hint: &str) -> Self {
        Self::Latents { key, problem, hint: hint.to_owned() }
    }

    /// Whether the data is not there, or not what it should be: nothing can start, and the message says what to do.
    pub fn is_absence(&self) -> bool {
        matches!(
            self,
            Self::Absent { .. }
                | Self::File { .. }
                | Self::Folder { .. }
                | Self::PlannedFile { .. }
                | Self::Latents { .. }
                | Self::Changed { .. }
        )
    }
}

fn hint_line(hint: &Option<&'static str>) -> String {
    hint.map_or_else(String::new, |hint| format!("\nhint: {hint}"))
}

/// The cure for an error of the file system.
pub(super) fn cure(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "\nhint: free some space, or choose a folder on another disk with --data-dir; the same command goes on"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "\nhint: choose a folder you can read and write with --data-dir"
        }
        _ => "",
    }
}
