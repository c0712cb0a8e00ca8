//! `curves.parquet`, written: columns whose values repeat hold each value once, so that ten million rows take a second.

use std::fs::File;
use std::hash::Hash;
use std::io::BufWriter;
use std::iter::repeat_n;

use polars::prelude::*;
use polars_arrow::array::{Array, DictionaryArray, PrimitiveArray, Utf8ViewArray};
use polars_arrow::datatypes::{ArrowDataType, IntegerType};
use polars_arrow::types::NativeType;
use polars_parquet::write::{CompressedPage, Encoding, ParquetType, WriteOptions, array_to_columns, compress};
use rayon::prelude::*;

use super::Rows;
use super::rows::Moment;
use crate::spec::PlannedRun;

/// A run and its curves.
pub(super) type RunRows<'r> = (&'r PlannedRun, &'r Rows);

/// At least so many rows are written at once, where there are as many: they take some 50 MiB meanwhile.
const BATCH: usize = 1 << 18;

/// What a column is made of.
enum Field {
    /// Each run has one value.
    Text(for<'r> fn(&'r PlannedRun) -> &'r str),
    Seed(fn(&PlannedRun) -> u64),
    /// Numbers of one moment share it.
    Attempt(fn(&Moment) -> u32),
    Count(fn(&Moment) -> u64),
    Clock(fn(&Moment) -> f64),
    /// Of a number's (metric, protocol).
    Name(for<'r> fn((&'r str, &'r str)) -> &'r str),
    Value,
}

const COLUMNS: [(&str, Field); 12] = [
    ("run_id", Field::Text(|planned| planned.run_id.as_str())),
    ("arm", Field::Text(|planned| &planned.arm)),
    ("trial", Field::Text(|planned| &planned.trial)),
    ("seed", Field::Seed(|planned| planned.seed)),
    ("attempt", Field::Attempt(|moment| moment.attempt)),
    ("step", Field::Count(|moment| moment.step)),
    ("images_seen", Field::Count(|moment| moment.images_seen)),
    ("train_seconds", Field::Clock(|moment| moment.train_seconds)),
    ("wall_seconds", Field::Clock(|moment| moment.wall_seconds)),
    ("metric", Field::Name(|(metric, _)| metric)),
    ("protocol", Field::Name(|(_, protocol)| protocol)),
    ("value", Field::Value),
];

/// The names of the columns, in their order.
pub fn curve_columns() -> impl Iterator<Item = &'static str> {
    COLUMNS.iter().map(|(name, _)| *name)
}

pub(super) fn write_table<'r>(file: &File, runs: impl IntoIterator<Item = RunRows<'r>>) -> PolarsResult<()> {
    let schema: Schema = COLUMNS.iter().map(|(name, field)| ((*name).into(), field.data_type())).collect();
    let mut writer =
        ParquetWriter::new(BufWriter::new(file)).with_compression(ParquetCompression::Zstd(None)).batched(&schema)?;
    let types = writer.parquet_schema().fields().to_vec();
    let options = writer.get_writer().lock().expect("writing does not panic").options();
    let mut write = |batch: &[RunRows], height: usize| {
        let columns = COLUMNS
            .par_iter()
            .zip(&types)
            .map(|((_, field), type_)| pages(field.array(batch, height), field.encoding(), type_, options));
        writer.write_row_group(height as u64, &columns.collect::<PolarsResult<Vec<_>>>()?)
    };
    let (mut batch, mut height) = (Vec::new(), 0);
    for run in runs {
        batch.push(run);
        height += run.1.len();
        if height >= BATCH {
            write(&batch, height)?;
            batch.clear();
            height = 0;
        }
    }
    if height > 0 {
        write(&batch, height)?;
    }
    writer.finish().map(drop)
}

fn pages(
    array: Box<dyn Array>,
    encoding: Encoding,
    type_: &ParquetType,
    options: WriteOptions,
) -> PolarsResult<Vec<CompressedPage>> {
    let leaves = array_to_columns(array, type_.clone(), options, &[encoding])?;
    leaves.into_iter().flatten().map(|page| Ok(compress(page?, vec![], options.compression)?)).collect()
}

impl Field {
    fn data_type(&self) -> DataType {
        match self {
            Self::Text(_) | Self::Name(_) => DataType::String,
            Self::Attempt(_) => DataType::UInt32,
            Self::Seed(_) | Self::Count(_) => DataType::UInt64,
            Self::Clock(_) | Self::Value => DataType::Float64,
        }
    }

    fn encoding(&self) -> Encoding {
        if matches!(self, Self::Value) { Encoding::Plain } else { Encoding::RleDictionary }
    }

    fn array(&self, runs: &[RunRows], height: usize) -> Box<dyn Array> {
        match *self {
            Self::Text(of) => texts(of_runs(runs, height, of)),
            Self::Seed(of) => numbers(of_runs(runs, height, of), |seed| seed),
            Self::Attempt(of) => numbers(of_moments(runs, height, of), |attempt| attempt),
            Self::Count(of) => numbers(of_moments(runs, height, of), |count| count),
            // By their bits, which are equal where they are the same.
            Self::Clock(of) => numbers(of_moments(runs, height, |moment| of(moment).to_bits()), f64::from_bits),
            Self::Name(of) => texts(of_names(runs, height, of)),
            Self::Value => {
                let mut values = Vec::with_capacity(height);
                runs.iter().for_each(|(_, rows)| values.extend(rows.values()));
                PrimitiveArray::from_vec(values).boxed()
            }
        }
    }
}

/// A column: each value once, in the order met, and which of them every row has.
struct Repeated<T> {
    values: Vec<T>,
    places: PlHashMap<T, u32>,
    keys: Vec<u32>,
}

impl<T: Copy + Eq + Hash> Repeated<T> {
    fn with_capacity(height: usize) -> Self {
        Self { values: vec![], places: PlHashMap::new(), keys: Vec::with_capacity(height) }
    }

    fn place(&mut self, value: T) -> u32 {
        *self.places.entry(value).or_insert_with(|| {
            self.values.push(value);
            self.values.len() as u32 - 1
        })
    }

    fn push(&mut self, value: T, rows: usize) {
        let place = self.place(value);
        self.keys.extend(repeat_n(place, rows));
    }
}

fn of_runs<'r, T: Copy + Eq + Hash>(
    runs: &[RunRows<'r>],
    height: usize,
    of: impl Fn(&'r PlannedRun) -> T,
) -> Repeated<T> {
    let mut column = Repeated::with_capacity(height);
    runs.iter().for_each(|(planned, rows)| column.push(of(planned), rows.len()));
    column
}

fn of_moments<T: Copy + Eq + Hash>(runs: &[RunRows], height: usize, of: impl Fn(&Moment) -> T) -> Repeated<T> {
    let mut column = Repeated::with_capacity(height);
    for (moment, count) in runs.iter().flat_map(|(_, rows)| rows.moments()) {
        column.push(of(moment), count);
    }
    column
}

fn of_names<'r>(runs: &[RunRows<'r>], height: usize, of: impl Fn((&'r str, &'r str)) -> &'r str) -> Repeated<&'r str> {
    let mut column = Repeated::with_capacity(height);
    for &(_, rows) in runs {
        let places: Vec<u32> = rows.names().map(|name| column.place(of(name))).collect();
        column.keys.extend(rows.name_places().map(|name| places[name]));
    }
    column
}

fn texts(column: Repeated<&str>) -> Box<dyn Array> {
    dictionary(column.keys, ArrowDataType::Utf8View, Utf8ViewArray::from_slice_values(column.values).boxed())
}

fn numbers<T, N: NativeType>(column: Repeated<T>, number: impl Fn(T) -> N) -> Box<dyn Array> {
    let values = PrimitiveArray::from_vec(column.values.into_iter().map(number).collect());
    dictionary(column.keys, values.dtype().clone(), values.boxed())
}

fn dictionary(keys: Vec<u32>, of: ArrowDataType, values: Box<dyn Array>) -> Box<dyn Array> {
    let data_type = ArrowDataType::Dictionary(IntegerType::UInt32, Box::new(of), false);
    let array = DictionaryArray::try_new(data_type, PrimitiveArray::from_vec(keys), values);
    array.expect("every key is a value's place").boxed()
}
