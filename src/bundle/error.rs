//! Why a bundle cannot be made or read.

use std::path::PathBuf;

use crate::record::RecordError;

#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("{} is damaged: {damage}\nhint: put back a copy of it, or move it away; a bundle holds whole records only", path.display())]
    Damaged { path: PathBuf, damage: String },
    #[error("{} has a name that is not in UTF-8\nhint: rename it", path.display())]
    Name { path: PathBuf },
    #[error("{} has the name {name:?}, which not every program that reads archives takes\nhint: rename it; names have no control characters and no \\", path.display())]
    Unplain { path: PathBuf, name: String },
    #[error("{} is no bundle: {reason}\nhint: give a file that `speedlab bundle` wrote, or the folder that it was unpacked to", path.display())]
    NoBundle { path: PathBuf, reason: String },
}
