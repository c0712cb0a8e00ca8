//! `curves.parquet`: the one door to Polars for records.

use std::fs::File;
use std::io;
use std::path::Path;

use polars::prelude::*;
use rayon::prelude::*;

use super::files::write_beside_by;
use super::{RecordError, Row, Rows};
use crate::spec::{PlannedRun, RunId};

/// A row of `curves.parquet`, which can be read alone.
#[derive(Clone, Debug, PartialEq)]
pub struct CurveRow {
    pub run_id: RunId,
    pub arm: String,
    pub trial: String,
    pub seed: u64,
    /// As in [`Row`], from here on.
    pub attempt: u32,
    pub step: u64,
    pub images_seen: u64,
    pub train_seconds: f64,
    pub wall_seconds: f64,
    pub metric: String,
    pub protocol: String,
    pub value: f64,
}

/// At least so many rows are written at once, where there are as many: they take some 50 MiB meanwhile.
const BATCH: usize = 1 << 18;

/// A run and its curves.
type RunRows<'r> = (&'r PlannedRun, &'r Rows);

/// Writes the curves of runs, in their order, as Parquet beside `path` and then renamed.
pub fn write_curves<'r>(path: &Path, runs: impl IntoIterator<Item = RunRows<'r>>) -> Result<(), RecordError> {
    write_beside_by(path, |file| write_table(file, runs).map_err(io::Error::other))
}

fn write_table<'r>(file: &File, runs: impl IntoIterator<Item = RunRows<'r>>) -> PolarsResult<()> {
    let mut writer = ParquetWriter::new(io::BufWriter::new(file))
        .with_compression(ParquetCompression::Zstd(None))
        .batched(to_frame(&[]).schema())?;
    let (mut batch, mut height) = (Vec::new(), 0);
    for run in runs {
        batch.push(run);
        height += run.1.len();
        if height >= BATCH {
            writer.write_batch(&to_frame(&batch))?;
            batch.clear();
            height = 0;
        }
    }
    if height > 0 {
        writer.write_batch(&to_frame(&batch))?;
    }
    writer.finish().map(drop)
}

/// Reads rows back.
pub fn read_curves(path: &Path) -> Result<Vec<CurveRow>, RecordError> {
    let file = File::open(path).map_err(RecordError::io("read", path))?;
    ParquetReader::new(file)
        .finish()
        .and_then(|frame| from_frame(&frame))
        .map_err(|error| RecordError::Damaged { path: path.to_owned(), reason: error.to_string() })
}

/// The source of a column.
enum Field {
    Text(for<'r> fn(&'r PlannedRun, Row<'r>) -> &'r str),
    Attempt(fn(&PlannedRun, Row) -> u32),
    Count(fn(&PlannedRun, Row) -> u64),
    Number(fn(&PlannedRun, Row) -> f64),
}

const COLUMNS: [(&str, Field); 12] = [
    ("run_id", Field::Text(|planned, _| planned.run_id.as_str())),
    ("arm", Field::Text(|planned, _| &planned.arm)),
    ("trial", Field::Text(|planned, _| &planned.trial)),
    ("seed", Field::Count(|planned, _| planned.seed)),
    ("attempt", Field::Attempt(|_, row| row.attempt)),
    ("step", Field::Count(|_, row| row.step)),
    ("images_seen", Field::Count(|_, row| row.images_seen)),
    ("train_seconds", Field::Number(|_, row| row.train_seconds)),
    ("wall_seconds", Field::Number(|_, row| row.wall_seconds)),
    ("metric", Field::Text(|_, row| row.metric)),
    ("protocol", Field::Text(|_, row| row.protocol)),
    ("value", Field::Number(|_, row| row.value)),
];

fn to_frame(runs: &[RunRows]) -> DataFrame {
    let height = runs.iter().map(|(_, rows)| rows.len()).sum();
    let columns = COLUMNS.par_iter().map(|&(name, ref field)| match field {
        Field::Text(of) => Column::new(name.into(), values(runs, height, of)),
        Field::Attempt(of) => Column::new(name.into(), values(runs, height, of)),
        Field::Count(of) => Column::new(name.into(), values(runs, height, of)),
        Field::Number(of) => Column::new(name.into(), values(runs, height, of)),
    });
    DataFrame::new(height, columns.collect()).expect("every column has one value a row")
}

/// The value of a field in each row.
fn values<'r, T>(runs: &[RunRows<'r>], height: usize, field: impl Fn(&'r PlannedRun, Row<'r>) -> T) -> Vec<T> {
    let mut values = Vec::with_capacity(height);
    runs.iter().for_each(|&(planned, rows)| values.extend(rows.iter().map(|row| field(planned, row))));
    values
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
