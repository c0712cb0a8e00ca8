//! The tidy table as CSV, with the columns of `curves.parquet`.

use std::borrow::Cow;
use std::io::{self, BufWriter};
use std::path::Path;

use csv::WriterBuilder;

use super::{ExportError, OnRuns};
use crate::record::{Row, StudyRecord, curve_columns, write_beside_by};
use crate::spec::PlannedRun;

/// Writes every number of every run, in the plan's order. Numbers are written as short as they come back bit for bit; those that are not
/// finite as `NaN`, `inf` and `-inf`.
pub fn write_csv(study: &StudyRecord, path: &Path, progress: OnRuns<'_>) -> Result<(), ExportError> {
    Ok(write_beside_by(path, |file| {
        let mut writer = WriterBuilder::new().from_writer(BufWriter::with_capacity(1 << 16, file));
        writer.write_record(curve_columns())?;
        for (done, run) in study.runs.iter().enumerate() {
            progress(done, study.runs.len());
            for row in run.rows.iter().chain(run.later.iter()) {
                write_row(&mut writer, &run.planned, &row)?;
            }
        }
        writer.flush()
    })?)
}

fn write_row(writer: &mut csv::Writer<impl io::Write>, planned: &PlannedRun, row: &Row) -> io::Result<()> {
    let Row { attempt, step, images_seen, train_seconds, wall_seconds, metric, protocol, value } = row;
    let text = |text| harmless(text);
    let number = |number: &dyn ToString| Cow::Owned(number.to_string());
    writer.write_record(
        [
            text(planned.run_id.as_str()),
            text(&planned.arm),
            text(&planned.trial),
            number(&planned.seed),
            number(attempt),
            number(step),
            number(images_seen),
            number(train_seconds),
            number(wall_seconds),
            text(metric),
            text(protocol),
            number(value),
        ]
        .iter()
        .map(|cell| cell.as_bytes()),
    )?;
    Ok(())
}

/// A text that no spreadsheet takes for a formula: one that begins as formulas do has a `'` before it, which spreadsheets read as "a text
/// follows". Numbers are not texts.
fn harmless(text: &str) -> Cow<'_, str> {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => Cow::Owned(format!("'{text}")),
        false => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_no_formula_and_a_number_stays_one() {
        for formula in ["=1+1", "+1", "-x", "@sum(a1)", "\t=1", "\r=1"] {
            assert_eq!(harmless(formula), format!("'{formula}"));
        }
        for text in ["", "clts model.channels=16", "a-b", "'=1"] {
            assert_eq!(harmless(text), text);
        }
        let mut planned = PlannedRun::of_baseline(crate::spec::RunSpec::default());
        planned.trial = "=HYPERLINK(\"x\")".to_owned();
        let row = Row {
            attempt: 1,
            step: 2,
            images_seen: 3,
            train_seconds: 0.1,
            wall_seconds: 1e-300,
            metric: "-loss",
            protocol: "a, \"b\"",
            value: -0.1,
        };
        let mut writer = WriterBuilder::new().from_writer(Vec::new());
        write_row(&mut writer, &planned, &row).unwrap();
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let run_id = &planned.run_id;
        let small = 1e-300_f64;
        assert_eq!(
            text,
            format!("{run_id},baseline,\"'=HYPERLINK(\"\"x\"\")\",0,1,2,3,0.1,{small},'-loss,\"a, \"\"b\"\"\",-0.1\n")
        );
    }
}
