//! Files that are either old or new, never half.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::ReportError;

/// Writes `folder/name` beside and renames it; returns its path.
pub fn publish(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, ReportError> {
    let path = folder.join(name);
    let beside = folder.join(format!(".{name}.{}.new", std::process::id()));
    let written = write_and_rename(&beside, &path, bytes);
    written.map_err(|source| {
        // What could be written of it helps nobody; that it cannot be removed either changes nothing.
        let _ = fs::remove_file(&beside);
        ReportError::Write { path: path.clone(), source }
    })?;
    Ok(path)
}

fn write_and_rename(beside: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(beside, path)
}
