//! A run's folder, copied byte for byte.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::MergeError;

/// Files that say who works on a run, not what it recorded.
const LOCK: &str = "lock";

/// Copies a folder beside its place, brings it to the disk, and renames it.
pub(super) fn copy_run(from: &Path, to: &Path) -> Result<(), MergeError> {
    let parent = to.parent().expect("an attempt is in a folder");
    let beside = parent.join(format!(".{}", to.file_name().expect("it has a name").to_string_lossy()));
    // What a killed process left of its copy.
    let _ = fs::remove_dir_all(&beside);
    copy_folder(from, &beside)?;
    fs::rename(&beside, to).map_err(|source| MergeError::Io { action: "rename", path: beside, source })
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), MergeError> {
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| MergeError::Io { action, path, source }
    };
    fs::create_dir_all(to).map_err(failed("make the folder", to))?;
    for entry in fs::read_dir(from).map_err(failed("read", from))? {
        let entry = entry.map_err(failed("read", from))?;
        let (source, place) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(failed("read", &source))?;
        if kind.is_dir() {
            copy_folder(&source, &place)?;
        } else if kind.is_symlink() {
            copy_link(&source, &place).map_err(failed("copy", &source))?;
        } else if kind.is_file() && entry.file_name() != LOCK {
            fs::copy(&source, &place).map_err(failed("copy", &source))?;
            File::open(&place).and_then(|file| file.sync_all()).map_err(failed("write", &place))?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn copy_link(from: &Path, to: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(fs::read_link(from)?, to)
}

/// What it leads to; there a link needs rights that few have.
#[cfg(not(unix))]
fn copy_link(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to).map(drop)
}
