//! Why a table cannot be imported.

use std::io;
use std::path::PathBuf;

use crate::checksum::InputError;
use crate::plan::PlanError;
use crate::record::RecordError;

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("cannot read {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is no {format}: {reason}", path.display())]
    Format { path: PathBuf, format: &'static str, reason: String },
    #[error(
        "{} is of no kind that can be read\nhint: .csv, .tsv, .parquet, .jsonl, or a folder with TensorBoard's event files",
        path.display()
    )]
    Kind { path: PathBuf },
    #[error("{}", of_row(path, *row, column, reason))]
    Row { path: PathBuf, row: usize, column: String, reason: String },
    #[error("{} has no column `{column}`\nhint: {hint}", path.display())]
    NoColumn { path: PathBuf, column: String, hint: String },
    #[error(
        "`--map {written}` is not of the form key=COLUMN\nhint: keys are arm, seed, step, images, seconds, and metrics such as fid"
    )]
    Mapping { written: String },
    #[error("`--only {written}` is not of the form COLUMN=TEXT\nhint: as in `--only metric=fid`")]
    Only { written: String },
    #[error("--only chooses rows of a table, and {} is a folder of event files\nhint: tags are chosen by --map", path.display())]
    OnlyOfEvents { path: PathBuf },
    #[error("--map needs {what}\nhint: {hint}")]
    Missing { what: &'static str, hint: String },
    #[error(
        "`{written}` is no pattern of names\nhint: write {{arm}} and {{seed}} where they stand, as in `{{arm}}-seed{{seed}}`"
    )]
    Pattern { written: String },
    #[error(
        "the name `{name}` does not fit the pattern `{pattern}`\nhint: write {{arm}} and {{seed}} where they stand, as in --names '{{arm}}_s{{seed}}'"
    )]
    Name { name: String, pattern: String },
    #[error("there is no arm `{given}`\nhint: the arms are {arms}")]
    NoBaseline { given: String, arms: String },
    #[error("{} holds no value that could be imported\nhint: {hint}", path.display())]
    Nothing { path: PathBuf, hint: String },
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("{} holds a sweep already\nhint: give another --name, or move it away", path.display())]
    Exists { path: PathBuf },
}

fn of_row(path: &std::path::Path, row: usize, column: &str, reason: &str) -> String {
    format!("{}, row {row}, column `{column}`: {reason}", path.display())
}
