//! `curves.parquet`.

use std::fs::File;
use std::io;
use std::path::Path;

use polars::prelude::*;

use super::RecordError;
use super::curve_table::{RunRows, write_table};
use super::files::write_beside_by;
use crate::spec::RunId;

/// A row of `curves.parquet`, which can be read alone.
#[derive(Clone, Debug, PartialEq)]
pub struct CurveRow {
    pub run_id: RunId,
    pub arm: String,
    pub trial: String,
    pub seed: u64,
    /// As in [`super::Row`], from here on.
    pub attempt: u32,
    pub step: u64,
    pub images_seen: u64,
    pub train_seconds: f64,
    pub wall_seconds: f64,
    pub metric: String,
    pub protocol: String,
    pub value: f64,
}

/// Writes the curves of runs, in their order, as Parquet beside `path` and then renamed.
pub fn write_curves<'r>(path: &Path, runs: impl IntoIterator<Item = RunRows<'r>>) -> Result<(), RecordError> {
    write_beside_by(path, |file| write_table(file, runs).map_err(io::Error::other))
}

/// Reads rows back.
pub fn read_curves(path: &Path) -> Result<Vec<CurveRow>, RecordError> {
    let file = File::open(path).map_err(RecordError::io("read", path))?;
    ParquetReader::new(file)
        .finish()
        .and_then(|frame| from_frame(&frame))
        .map_err(|error| RecordError::Damaged { path: path.to_owned(), reason: error.to_string() })
}

fn from_frame(frame: &DataFrame) -> PolarsResult<Vec<CurveRow>> {
    let missing = |name: &str| polars_err!(ComputeError: "column `{name}` has a missing value");
    let run_id = frame.column("run_id")?.str()?;
    let arm = frame.column("arm")?.str()?;
    let trial = frame.column("trial")?.str()?;
    let seed = frame.column("seed")?.u64()?;
    let attempt = frame.column("attempt")?.u32()?;
    let step = frame.column("step")?.u64()?;
    let images_seen = frame.column("images_seen")?.u64()?;
    let train_seconds = frame.column("train_seconds")?.f64()?;
    let wall_seconds = frame.column("wall_seconds")?.f64()?;
    let metric = frame.column("metric")?.str()?;
    let protocol = frame.column("protocol")?.str()?;
    let value = frame.column("value")?.f64()?;
    (0..frame.height())
        .map(|index| {
            let text = |column: &StringChunked, name| column.get(index).map(str::to_owned).ok_or_else(|| missing(name));
            Ok(CurveRow {
                run_id: RunId::parse(&text(run_id, "run_id")?)
                    .ok_or_else(|| polars_err!(ComputeError: "`run_id` in row {index} is no run id"))?,
                arm: text(arm, "arm")?,
                trial: text(trial, "trial")?,
                seed: seed.get(index).ok_or_else(|| missing("seed"))?,
                attempt: attempt.get(index).ok_or_else(|| missing("attempt"))?,
                step: step.get(index).ok_or_else(|| missing("step"))?,
                images_seen: images_seen.get(index).ok_or_else(|| missing("images_seen"))?,
                train_seconds: train_seconds.get(index).ok_or_else(|| missing("train_seconds"))?,
                wall_seconds: wall_seconds.get(index).ok_or_else(|| missing("wall_seconds"))?,
                metric: text(metric, "metric")?,
                protocol: text(protocol, "protocol")?,
                value: value.get(index).ok_or_else(|| missing("value"))?,
            })
        })
        .collect()
}
