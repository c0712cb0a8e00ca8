//! Files that are always whole: either the old or the new one.

use std::path::{Path, PathBuf};

use super::error::ReportError;
use crate::record::write_beside;

/// Writes `folder/name` beside and renames it; returns its path.
pub fn publish(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, ReportError> {
    let path = folder.join(name);
    write_beside(&path, bytes)?;
    Ok(path)
}
