//! Copies a run's folder for another attempt, while another process may still write to it.

use std::fs;
use std::io;
use std::path::Path;

use super::attempts::whole_lines;
use super::{RecordError, RunFolder};
use crate::spec::PlannedRun;

/// Copies a run that may go on being written: first its checkpoint, which its journal announces before the file is replaced, and
/// last the pictures that the journal names. The copy has its name when it is whole.
pub(super) fn copy(from: &RunFolder, to: &RunFolder, run: &PlannedRun) -> Result<(), RecordError> {
    let (parent, name) = (to.path.parent().expect("in a folder"), to.path.file_name().expect("it has a name"));
    let beside = RunFolder { path: parent.join(format!(".{}", name.to_string_lossy())) };
    // What a killed process left of its copy.
    let _ = fs::remove_dir_all(&beside.path);
    beside.prepare(run)?;
    if run.spec.trainer.is_none() {
        share(&from.checkpoint(), &beside.checkpoint())?;
    }
    // What a trainer of the user's own keeps, which may not be replaced whole.
    for folder in ["checkpoint", "output"] {
        copy_tree(&from.path.join(folder), &beside.path.join(folder))?;
    }
    match fs::read(from.journal()) {
        Ok(bytes) => {
            let path = beside.journal();
            fs::write(&path, whole_lines(&bytes)).map_err(RecordError::io("write", &path))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(RecordError::io("read", &from.journal())(error)),
    }
    if let Ok(log) = fs::read(from.log()) {
        fs::write(beside.log(), log).map_err(RecordError::io("write", &beside.log()))?;
    }
    for folder in ["samples", "consistency", "averages"] {
        let entries = fs::read_dir(from.path.join(folder)).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')) {
            let place = beside.path.join(folder);
            fs::create_dir_all(&place).map_err(RecordError::io("make the folder", &place))?;
            share(&entry.path(), &place.join(entry.file_name()))?;
        }
    }
    fs::rename(&beside.path, &to.path).map_err(RecordError::io("rename", &beside.path))
}

/// Copies what is below a folder and not at its place already: files, and links as links. What goes away meanwhile is left out.
fn copy_tree(from: &Path, to: &Path) -> Result<(), RecordError> {
    let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) => return Ok(()),
        Err(error) => return Err(RecordError::io("read", from)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(RecordError::io("read", from))?;
        let (source, place) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(RecordError::io("read", &source))?;
        if kind.is_dir() {
            copy_tree(&source, &place)?;
            continue;
        }
        if place.symlink_metadata().is_ok() || !(kind.is_file() || kind.is_symlink()) {
            continue; // pipes and sockets hold nothing
        }
        fs::create_dir_all(to).map_err(RecordError::io("make the folder", to))?;
        let copied = if kind.is_symlink() { copy_link(&source, &place) } else { fs::copy(&source, &place).map(drop) };
        match copied {
            Err(error) if !is_gone(&error) => return Err(RecordError::io("copy", &source)(error)),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(unix)]
pub(crate) fn copy_link(from: &Path, to: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(fs::read_link(from)?, to)
}

/// Copies the link's target; there a link needs rights that few users have.
#[cfg(not(unix))]
pub(crate) fn copy_link(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_file() { fs::copy(from, to).map(drop) } else { Ok(()) }
}

/// One more name for a file that is only ever replaced whole; a copy where the file system gives none. Nothing if there is no file.
fn share(from: &Path, to: &Path) -> Result<(), RecordError> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) => match fs::copy(from, to) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(RecordError::io("copy", from)(error)),
        },
    }
}
