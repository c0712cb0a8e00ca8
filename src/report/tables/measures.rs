//! The last values of every measure: as cells, as Markdown, as rows for other programs, as JSON.

use serde_json::{Value, json};

use super::csv::{number, quoted};
use super::markdown::escape;
use super::spread_cell;
use crate::report::cell::Cells;
use crate::report::comparison::{Comparison, PointComparison};
use crate::report::final_measures::{
    BestAverage, FinalMeasures, FinalValue, MeasureColumn, final_measures, has_final_measures,
};
use crate::report::number::significant;

const HEADER: &str =
    "point,arm,metric,protocol,higher_is_better,runs_planned,n,median,low,high,median_uncertainty,label,cell";

/// How to read the numbers.
pub const MEASURES_NOTE: &str = "Last values of completed runs: median, and the range over seeds in parentheses. ± is the \
uncertainty within a run's own evaluation, the median over runs: of a KID its standard error if images were drawn anew, of an \
FID-infinity that of its line, of an Inception score the deviation between splits. Lines of different protocols are not \
compared with each other.";

/// Which length of averages is best for each arm, where several were made after training.
pub fn best_averages(comparison: &Comparison, found: &FinalMeasures) -> Option<String> {
    let best = found.best_averages(comparison.metric.name());
    let words = |BestAverage { arm, average, column, median, of }: &BestAverage| {
        let (number, value) = (column.protocol_number, significant(*median, 4));
        let average = average.replace(',', ", ");
        format!("{arm} {average} ({} {value}, protocol {number}, of {of} lengths)", column.words)
    };
    let each: Vec<String> = best.iter().map(words).collect();
    let begin = "Best of the averages that were made after training, by the median over runs:";
    let end = "Each is chosen by the values that are shown, which flatters it.";
    (!each.is_empty()).then(|| format!("{begin} {}. {end}", each.join("; ")))
}

/// `KID ↓`: what it is, and which way is better.
pub fn column_name(column: &MeasureColumn) -> String {
    format!("{} {}", column.words, if column.higher_is_better { "↑" } else { "↓" })
}

/// (median with its uncertainty, what follows: range and number of runs).
pub fn cell(value: Option<FinalValue>, planned: usize) -> (String, String) {
    let Some(FinalValue { spread, uncertainty }) = value else { return ("–".to_owned(), String::new()) };
    let (median, range) = spread_cell(spread, planned);
    let uncertainty = uncertainty.map_or(String::new(), |uncertainty| format!(" ± {}", significant(uncertainty, 2)));
    (format!("{median}{uncertainty}"), range)
}

/// The table of one grid point under the speedups'; empty where there is none.
pub fn markdown(comparison: &Comparison, point: &PointComparison) -> String {
    let Some(found) = final_measures(comparison, point) else { return String::new() };
    let best = best_averages(comparison, &found);
    let FinalMeasures { columns, rows, protocols } = found;
    let names: Vec<String> = rows.iter().map(|(arm, _)| escape(arm)).collect();
    let mut text = format!("| measure | protocol | {} |\n| --- | --- |", names.join(" | "));
    text.push_str(&format!("{}\n", " --- |".repeat(rows.len())));
    for (index, column) in columns.iter().enumerate() {
        let cells = rows.iter().map(|(arm, values)| {
            let (median, range) = cell(values[index], planned(point, arm));
            escape(format!("{median} {range}").trim_end())
        });
        let cells: Vec<String> = cells.collect();
        text.push_str(&format!("| {} | {} | {} |\n", column_name(column), column.protocol_number, cells.join(" | ")));
    }
    text.push('\n');
    for (index, protocol) in protocols.iter().enumerate() {
        text.push_str(&format!("{}. `{protocol}`\n", index + 1));
    }
    if let Some(best) = best {
        text.push_str(&format!("\n{}\n", escape(&best)));
    }
    text.push_str(&format!("\n{MEASURES_NOTE}\n\n"));
    text
}

/// A row for each grid point, arm and measure, nothing rounded (RFC 4180); `None` where the study asks for none.
pub fn measures_csv(comparison: &Comparison, cells: &Cells) -> Option<String> {
    if !has_final_measures(comparison.study) {
        return None;
    }
    let labels = &comparison.study.plan.labels;
    let mut text = format!("{HEADER}\n");
    for point in &comparison.points {
        let Some(FinalMeasures { columns, rows, .. }) = final_measures(comparison, point) else { continue };
        for (arm, values) in &rows {
            for (column, value) in columns.iter().zip(values) {
                let spread = value.map(|value| value.spread);
                let cells = [
                    quoted(&point.name),
                    quoted(labels.name_of(arm)),
                    column.metric.to_owned(),
                    quoted(&column.protocol),
                    column.higher_is_better.to_string(),
                    planned(point, arm).to_string(),
                    spread.map_or(0, |spread| spread.n).to_string(),
                    number(spread.map(|spread| spread.median)),
                    number(spread.map(|spread| spread.low)),
                    number(spread.map(|spread| spread.high)),
                    number(value.and_then(|value| value.uncertainty)),
                    quoted(arm),
                    cells.measure(point, arm, column).to_owned(),
                ];
                text.push_str(&cells.join(","));
                text.push('\n');
            }
        }
    }
    Some(text)
}

/// The measures of one grid point; `None` where there are none.
pub fn measures_json(comparison: &Comparison, cells: &Cells, point: &PointComparison) -> Option<Value> {
    let labels = &comparison.study.plan.labels;
    let FinalMeasures { columns, rows, .. } = final_measures(comparison, point)?;
    let measure = |(index, column): (usize, &MeasureColumn)| {
        let arms = rows.iter().map(|(arm, values)| {
            let final_value = values[index].map(|FinalValue { spread, uncertainty }| {
                json!({ "median": spread.median, "low": spread.low, "high": spread.high, "n": spread.n, "median_uncertainty": uncertainty })
            });
            json!({ "arm": labels.name_of(arm), "final": final_value, "cell": cells.measure(point, arm, column) })
        });
        json!({ "metric": column.metric, "protocol": column.protocol, "higher_is_better": column.higher_is_better,
                "arms": arms.collect::<Vec<_>>() })
    };
    Some(columns.iter().enumerate().map(measure).collect())
}

/// Runs of an arm at a grid point.
pub fn planned(point: &PointComparison, arm: &str) -> usize {
    point.arms.iter().find(|other| other.arm == arm).map_or(0, |arm| arm.runs.len())
}
