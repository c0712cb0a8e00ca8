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

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Empty,
    Number(f64),
    Text(String),
}

impl Cell {
    pub fn of_text(text: &str) -> Self {
        let text = text.trim();
        match text {
            "" => Self::Empty,
            _ => text.parse().map_or_else(|_| Self::Text(text.to_owned()), Self::Number),
        }
    }

    /// As a name.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Empty => None,
            Self::Number(number) => Some(number.to_string()),
            Self::Text(text) => Some(text.clone()),
        }
    }
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
    let rows = reader.records().map(|record| Ok(record.map_err(failed)?.iter().map(Cell::of_text).collect()));
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
                AnyValue::Null => Cell::Empty,
                // Also of a column that holds each text once and numbers for it.
                text if text.get_str().is_some() => Cell::Text(text.get_str().unwrap_or_default().to_owned()),
                number => match number.extract::<f64>() {
                    Some(number) => Cell::Number(number),
                    None => Cell::Text(number.to_string()),
                },
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
        let mut row = vec![Cell::Empty; table.columns.len()];
        for (key, value) in fields {
            let place = match table.columns.iter().position(|column| *column == key) {
                Some(place) => place,
                None => {
                    table.columns.push(key);
                    row.push(Cell::Empty);
                    row.len() - 1
                }
            };
            row[place] = match value {
                Value::Null => Cell::Empty,
                Value::Number(number) => Cell::Number(number.as_f64().unwrap_or(f64::NAN)),
                Value::String(text) => Cell::of_text(&text),
                other => Cell::Text(other.to_string()),
            };
        }
        table.rows.push(row);
    }
    let width = table.columns.len();
    table.rows.iter_mut().for_each(|row| row.resize(width, Cell::Empty));
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
        let number = Cell::Number;
        for (name, content) in [
            ("a.csv", "\u{feff}arm,step,fid\n\"a, b\",10,2.5\nc,20,\n"),
            ("a.tsv", "arm\tstep\tfid\na, b\t10\t2.5\nc\t20\t\n"),
            ("a.jsonl", "{\"arm\": \"a, b\", \"step\": 10, \"fid\": 2.5}\n\n{\"arm\": \"c\", \"step\": \"20\"}\n"),
        ] {
            let table = read(name, content).unwrap();
            assert_eq!(table.columns, ["arm", "step", "fid"], "{name}");
            assert_eq!(table.rows[0], [Cell::Text("a, b".into()), number(10.0), number(2.5)], "{name}");
            assert_eq!(table.rows[1], [Cell::Text("c".into()), number(20.0), Cell::Empty], "{name}");
        }
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
