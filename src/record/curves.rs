//! `curves.parquet`: the one door to Polars for records.

use std::fs::File;
use std::path::Path;

use polars::prelude::*;

use super::{CurveRow, RecordError, write_beside};
use crate::spec::RunId;

/// Writes rows as Parquet, beside `path` and then renamed.
pub fn write_curves(path: &Path, rows: &[CurveRow]) -> Result<(), RecordError> {
    let mut frame = to_frame(rows);
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .with_compression(ParquetCompression::Zstd(None))
        .finish(&mut frame)
        .map_err(|error| RecordError::Damaged { path: path.to_owned(), reason: error.to_string() })?;
    write_beside(path, &bytes)
}

/// Reads rows back.
pub fn read_curves(path: &Path) -> Result<Vec<CurveRow>, RecordError> {
    let file = File::open(path).map_err(RecordError::io("read", path))?;
    ParquetReader::new(file)
        .finish()
        .and_then(|frame| from_frame(&frame))
        .map_err(|error| RecordError::Damaged { path: path.to_owned(), reason: error.to_string() })
}

fn to_frame(rows: &[CurveRow]) -> DataFrame {
    let texts =
        |name: &str, field: fn(&CurveRow) -> &str| Column::new(name.into(), rows.iter().map(field).collect::<Vec<_>>());
    let counts =
        |name: &str, field: fn(&CurveRow) -> u64| Column::new(name.into(), rows.iter().map(field).collect::<Vec<_>>());
    let numbers =
        |name: &str, field: fn(&CurveRow) -> f64| Column::new(name.into(), rows.iter().map(field).collect::<Vec<_>>());
    DataFrame::new(
        rows.len(),
        vec![
            texts("run_id", |row| row.run_id.as_str()),
            texts("arm", |row| &row.arm),
            texts("trial", |row| &row.trial),
            counts("seed", |row| row.seed),
            Column::new("attempt".into(), rows.iter().map(|row| row.attempt).collect::<Vec<_>>()),
            counts("step", |row| row.step),
            counts("images_seen", |row| row.images_seen),
            numbers("train_seconds", |row| row.train_seconds),
            numbers("wall_seconds", |row| row.wall_seconds),
            texts("metric", |row| &row.metric),
            texts("protocol", |row| &row.protocol),
            numbers("value", |row| row.value),
        ],
    )
    .expect("every column has one value a row")
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
