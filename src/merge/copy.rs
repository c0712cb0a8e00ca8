//! A run's folder, copied byte for byte.

use std::fs::{self, File};
use std::path::Path;

use crate::record::{RecordError, copy_link};

/// Files that say who works on a run, not what it recorded.
const LOCK: &str = "lock";

/// Copies a folder beside its place, brings it to the disk, and renames it.
pub(super) fn copy_run(from: &Path, to: &Path) -> Result<(), RecordError> {
    let parent = to.parent().expect("an attempt is in a folder");
    let beside = parent.join(format!(".{}", to.file_name().expect("it has a name").to_string_lossy()));
    // What a killed process left of its copy.
    let _ = fs::remove_dir_all(&beside);
    copy_folder(from, &beside)?;
    fs::rename(&beside, to).map_err(RecordError::io("rename", &beside))
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), RecordError> {
    fs::create_dir_all(to).map_err(RecordError::io("make the folder", to))?;
    for entry in fs::read_dir(from).map_err(RecordError::io("read", from))? {
        let entry = entry.map_err(RecordError::io("read", from))?;
        let (source, place) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(RecordError::io("read", &source))?;
        if kind.is_dir() {
            copy_folder(&source, &place)?;
        } else if kind.is_symlink() {
            copy_link(&source, &place).map_err(RecordError::io("copy", &source))?;
        } else if kind.is_file() && entry.file_name() != LOCK {
            fs::copy(&source, &place).map_err(RecordError::io("copy", &source))?;
            File::open(&place).and_then(|file| file.sync_all()).map_err(RecordError::io("write", &place))?;
        }
    }
    Ok(())
}
