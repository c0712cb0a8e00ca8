//! Why results cannot be joined.

use std::path::PathBuf;

use crate::record::RecordError;

#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("{} holds no sweep's results: there is no plan.json in it\nhint: name folders such as results/quickstart", path.display())]
    NoSweep { path: PathBuf },
    #[error("{} holds other things than a sweep's results\nhint: give --into a folder that is new, or one with results of the same sweep", path.display())]
    Occupied { path: PathBuf },
    #[error("{} lies in {}\nhint: merge joins folders that stand beside each other, such as results/a and results/b", inner.display(), outer.display())]
    Nested { inner: PathBuf, outer: PathBuf },
    #[error("{} was made while the plans were read\nhint: give the same command again, once what writes there has ended", path.display())]
    Meanwhile { path: PathBuf },
    #[error("{} and {} differ\nhint: a sweep has one file; put the right one into both folders and merge again", one.display(), other.display())]
    OtherSweep { one: PathBuf, other: PathBuf },
    #[error(
        "{} and {} are not of one study: {what}\nhint: merge joins runs of one sweep; `speedlab compare` reports on several studies",
        one.display(), other.display()
    )]
    OtherPlan { one: PathBuf, other: PathBuf, what: String },
    #[error(
        "{} and {} plan different runs as `{trial}`: {what}\nhint: they answer different questions; give one of them another name with `--set name=..`",
        one.display(), other.display()
    )]
    OtherSpec { one: PathBuf, other: PathBuf, trial: String, what: String },
    #[error(
        "{} and {} record the same run differently: {what}\nhint: only one can count; move the folder of the other out of its results and merge again",
        one.display(), other.display()
    )]
    RecordedDifferently { one: PathBuf, other: PathBuf, what: String },
    #[error(
        "{} and {} measure `{metric}` by different protocols: {what}\nhint: their values do not compare; see that both machines have the same images and weights",
        one.display(), other.display()
    )]
    OtherProtocol { one: PathBuf, other: PathBuf, metric: String, what: String },
    #[error("{} is damaged: {damage}\nhint: put back a copy of it, or move it away and merge again", path.display())]
    Damaged { path: PathBuf, damage: String },
}

impl MergeError {
    /// Whether it lies with what was given to be joined, not with the disk.
    pub fn is_conflict(&self) -> bool {
        !matches!(self, Self::Record(_))
    }
}
