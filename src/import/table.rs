//! A table of another program: CSV, TSV, Parquet or JSON lines.

use std::fs::{self, File};
use std::path::Path;

use polars::prelude::{AnyValue, ParquetReader, SerReader as _};
use serde_json::Value;

use super::ImportError;

/// Columns by name, and rows of as many cells.
#[derive(Debug)]
pub(super) struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

/// A cell as it is written, without space around it; `None` if it is empty. Whether it is a name or a number, the mapping says: `007` and `7`
/// are two names.
pub(super) type Cell = Option<String>;

pub(super) fn cell_of(text: &str) -> Cell {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

impl Table {
    pub fn read(path: &Path) -> Result<Self, ImportError> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        match ending.as_str() {
            "csv" => csv(path, b','),
            "tsv" => csv(path, b'\t'),
            "parquet" => parquet(path),
            "jsonl" | "ndjson" => json_lines(path),
            _ => Err(ImportError::Kind { path: path.to_owned() }),
        }
    }
}

fn csv(path: &Path, delimiter: u8) -> Result<Table, ImportError> {
    let failed = |error: csv::Error| match error.into_kind() {
        csv::ErrorKind::Io(source) => ImportError::Io { path: path.to_owned(), source },
        other => ImportError::Format { path: path.to_owned(), format: "table", reason: csv_words(&other) },
    };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_path(path).map_err(failed)?;
    let columns: Vec<String> = reader.headers().map_err(failed)?.iter().map(str::to_owned).collect();
    // Some programs begin a file with the mark of its encoding.
    let columns = columns.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
    let rows = reader.records().map(|record| Ok(record.map_err(failed)?.iter().map(cell_of).collect()));
    Ok(Table { columns, rows: rows.collect::<Result<_, ImportError>>()? })
}

fn csv_words(kind: &csv::ErrorKind) -> String {
    match kind {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or_else(String::new, |at| format!("line {}: ", at.line()));
            format!("{line}{len} cells, and the first line has {expected_len}")
        }
        csv::ErrorKind::Utf8 { pos, .. } => {
            let line = pos.as_ref().map_or_else(String::new, |at| format!("line {}: ", at.line()));
            format!("{line}it is not in UTF-8")
        }
        other => format!("{other:?}"),
    }
}

fn parquet(path: &Path) -> Result<Table, ImportError> {
    let file = File::open(path).map_err(|source| ImportError::Io { path: path.to_owned(), source })?;
    let failed = |reason: String| ImportError::Format { path: path.to_owned(), format: "Parquet file", reason };
    let frame = ParquetReader::new(file).finish().map_err(|error| failed(error.to_string()))?;
    let columns: Vec<String> = frame.get_column_names().iter().map(|name| name.to_string()).collect();
    let mut rows = vec![Vec::with_capacity(columns.len()); frame.height()];
    for column in frame.columns() {
        for (index, row) in rows.iter_mut().enumerate() {
            let value = column.get(index).map_err(|error| failed(error.to_string()))?;
            row.push(match value {
                AnyValue::Null => None,
                // Also of a column that holds each text once and numbers for it.
                text if text.get_str().is_some() => text.get_str().and_then(cell_of),
                // As it is, where 64 bits of a float would round it.
                whole if whole.is_integer() => Some(whole.to_string()),
                number => Some(number.extract::<f64>().map_or_else(|| number.to_string(), |number| number.to_string())),
            });
        }
    }
    Ok(Table { columns, rows })
}

fn json_lines(path: &Path) -> Result<Table, ImportError> {
    let text = fs::read_to_string(path).map_err(|source| ImportError::Io { path: path.to_owned(), source })?;
    let mut table = Table { columns: Vec::new(), rows: Vec::new() };
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let failed = |reason: String| ImportError::Format {
            path: path.to_owned(),
            format: "file of JSON lines",
            reason: format!("line {}: {reason}", index + 1),
        };
        let value: Value = serde_json::from_str(line).map_err(|error| failed(error.to_string()))?;
        let Value::Object(fields) = value else { return Err(failed("no object".to_owned())) };
        let mut row = vec![None; table.columns.len()];
        for (key, value) in fields {
            let place = match table.columns.iter().position(|column| *column == key) {
                Some(place) => place,
                None => {
                    table.columns.push(key);
                    row.push(None);
                    row.len() - 1
                }
            };
            row[place] = match value {
                Value::Null => None,
                Value::Number(number) if number.is_f64() => number.as_f64().map(|number| number.to_string()),
                Value::Number(whole) => Some(whole.to_string()),
                Value::String(text) => cell_of(&text),
                other => Some(other.to_string()),
            };
        }
        table.rows.push(row);
    }
    let width = table.columns.len();
    table.rows.iter_mut().for_each(|row| row.resize(width, None));
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, content: &str) -> Result<Table, String> {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join(name);
        fs::write(&path, content).unwrap();
        Table::read(&path).map_err(|error| error.to_string().replace(&path.display().to_string(), name))
    }

    #[test]
    fn tables_of_each_kind_have_columns_and_cells() {
        let cell = |text: &str| Some(text.to_owned());
        for (name, content) in [
            ("a.csv", "\u{feff}arm,step,fid\n\"a, b\",10,2.5\nc,20,\n"),
            ("a.tsv", "arm\tstep\tfid\na, b\t10\t2.5\nc\t20\t\n"),
            ("a.jsonl", "{\"arm\": \"a, b\", \"step\": 10, \"fid\": 2.5}\n\n{\"arm\": \"c\", \"step\": \"20\"}\n"),
        ] {
            let table = read(name, content).unwrap();
            assert_eq!(table.columns, ["arm", "step", "fid"], "{name}");
            assert_eq!(table.rows[0], [cell("a, b"), cell("10"), cell("2.5")], "{name}");
            assert_eq!(table.rows[1], [cell("c"), cell("20"), None], "{name}");
        }
    }

    #[test]
    fn whole_numbers_of_parquet_are_as_they_are() {
        use polars::prelude::{DataFrame, NamedFrom as _, ParquetWriter, Series};
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("a.parquet");
        let columns = vec![
            Series::new("seed".into(), [9_007_199_254_740_993_u64, 7]).into(),
            Series::new("step".into(), [-1_i64, 10]).into(),
            Series::new("fid".into(), [0.1_f64, 1e-7]).into(),
        ];
        let mut frame = DataFrame::new(2, columns).unwrap();
        ParquetWriter::new(File::create(&path).unwrap()).finish(&mut frame).unwrap();
        let rows = Table::read(&path).unwrap().rows;
        let cells = |texts: [&str; 3]| texts.map(|text| Some(text.to_owned()));
        assert_eq!(rows[0], cells(["9007199254740993", "-1", "0.1"]));
        assert_eq!(rows[1], cells(["7", "10", "0.0000001"]));
    }

    #[test]
    fn what_is_no_table_says_where() {
        assert_eq!(
            read("a.csv", "a,b\n1,2\n3\n").unwrap_err(),
            "a.csv is no table: line 3: 1 cells, and the first line has 2"
        );
        assert!(
            read("a.jsonl", "{}\nx\n")
                .unwrap_err()
                .starts_with("a.jsonl is no file of JSON lines: line 2: expected value")
        );
        assert!(read("a.parquet", "x").unwrap_err().starts_with("a.parquet is no Parquet file: "));
        assert!(read("a.xlsx", "x").unwrap_err().contains("is of no kind that can be read\nhint: .csv"));
    }
}
