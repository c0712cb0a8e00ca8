//! Why studies cannot be compared.

use std::path::PathBuf;

use crate::record::RecordError;

#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error("there is no arm `{given}`\nhint: the arms are {arms}")]
    NoBaseline { given: String, arms: String },
    #[error(
        "`{study}` compares nothing: its sweep has no `compare` section, which says by what metric and over which qualities\nhint: take the baseline from a study that has one"
    )]
    NothingCompared { study: String },
    #[error(
        "{} and {} are the same results: {what}\nhint: name each study once; arms of one study are compared by `speedlab report`",
        one.display(), other.display()
    )]
    Same { one: PathBuf, other: PathBuf, what: String },
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(
        "`{one_study}` and `{other_study}` do not compare: their {what} differs\n  {one_study}: {one}\n  {other_study}: {other}\nhint: only \
         values of the same data, metric, grid and protocol answer one question"
    )]
    Differs { what: &'static str, one_study: String, other_study: String, one: String, other: String },
}
