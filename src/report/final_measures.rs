//! The last values of every measure beside the compared metric, each protocol in a column of its own.

use super::comparison::{ArmComparison, Comparison, PointComparison, Spread, spread};
use super::curve::{all_protocols, last_value};
use super::wording::of_features;
use crate::record::StudyRecord;
use crate::spec::{EvaluatedWeights, IMPORTED, MEASURED_BY_TRAINER};

/// Measures that may be a column: name in the records, in words, and the record of its uncertainty within one evaluation.
const MEASURES: [(&str, &str, Option<&str>); 11] = [
    ("fid", "FID", None),
    ("sfid", "sFID", None),
    ("fid_infinity", "FID-infinity", Some("fid_infinity_se")),
    ("kid", "KID", Some("kid_se")),
    ("cmmd", "CMMD", None),
    ("precision", "precision", None),
    ("recall", "recall", None),
    ("density", "density", None),
    ("coverage", "coverage", None),
    ("inception_score", "Inception score", Some("inception_score_sd")),
    ("validation_loss", "validation loss", None),
];

/// The last values of all arms at a grid point.
pub struct FinalMeasures<'a> {
    pub columns: Vec<MeasureColumn>,
    /// (arm, a cell for each column).
    pub rows: Vec<(&'a str, Vec<Option<FinalValue>>)>,
    /// Every protocol once; columns name them by their place, from 1.
    pub protocols: Vec<String>,
}

/// A measure by one protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasureColumn {
    /// The metric's name in the records.
    pub metric: &'static str,
    pub words: String,
    pub higher_is_better: bool,
    pub protocol: String,
    /// Its place among the protocols, from 1.
    pub protocol_number: usize,
}

/// Over an arm's completed runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FinalValue {
    pub spread: Spread,
    /// The median of what each run records as the value's own uncertainty, where the measure has one.
    pub uncertainty: Option<f64>,
}

/// Distances are of some features, which a protocol begins with.
fn qualified(metric: &str, words: &str, protocol: &str) -> String {
    match metric {
        _ if protocol.starts_with(MEASURED_BY_TRAINER) => format!("{words} (its trainer's)"),
        _ if protocol.starts_with(IMPORTED) => format!("{words} (imported)"),
        "fid" | "fid_infinity" | "kid" => of_features(words, protocol.split(' ').next().unwrap_or_default()),
        _ => words.to_owned(),
    }
}

/// Whether a study asks for more than one number of an evaluation's quality, or was measured in other ways since.
pub fn has_final_measures(study: &StudyRecord) -> bool {
    let asks = |evaluate: &crate::spec::Evaluate| {
        !evaluate.measures.is_empty() || !evaluate.also.is_empty() || evaluate.weights != EvaluatedWeights::Averaged
    };
    study.plan.runs.iter().any(|run| asks(&run.spec.evaluate)) || study.runs.iter().any(|run| !run.later.is_empty())
}

/// `None` where the study asks for nothing beside its metric, or nothing has been measured.
pub fn final_measures<'a>(comparison: &Comparison<'a>, point: &PointComparison<'a>) -> Option<FinalMeasures<'a>> {
    let mut found = columns(comparison, point);
    found.rows = point
        .arms
        .iter()
        .map(|arm| (arm.arm, found.columns.iter().map(|column| final_value(arm, column)).collect()))
        .collect();
    (!found.columns.is_empty()).then_some(found)
}

/// The measures of a grid point; empty where the study asks for nothing beside its metric.
pub fn measure_columns(comparison: &Comparison, point: &PointComparison) -> Vec<MeasureColumn> {
    columns(comparison, point).columns
}

/// Columns and protocols, without rows.
fn columns<'a>(comparison: &Comparison<'a>, point: &PointComparison<'a>) -> FinalMeasures<'a> {
    let mut found = FinalMeasures { columns: vec![], rows: vec![], protocols: vec![] };
    if !has_final_measures(comparison.study) {
        return found;
    }
    for (metric, words, _) in MEASURES {
        for run in point.arms.iter().flat_map(|arm| &arm.runs) {
            for protocol in all_protocols(run.record, metric) {
                found.add_column(metric, words, protocol);
            }
        }
    }
    found
}

impl FinalMeasures<'_> {
    fn add_column(&mut self, metric: &'static str, words: &'static str, protocol: &str) {
        if self.columns.iter().any(|column| column.metric == metric && column.protocol == protocol) {
            return;
        }
        let known = self.protocols.iter().position(|other| other == protocol);
        let place = known.unwrap_or_else(|| {
            self.protocols.push(protocol.to_owned());
            self.protocols.len() - 1
        });
        self.columns.push(MeasureColumn {
            metric,
            words: qualified(metric, words, protocol),
            higher_is_better: matches!(metric, "precision" | "recall" | "density" | "coverage" | "inception_score"),
            protocol: protocol.to_owned(),
            protocol_number: place + 1,
        });
    }
}

/// The last values of an arm's completed runs.
pub fn final_value(arm: &ArmComparison, column: &MeasureColumn) -> Option<FinalValue> {
    let last = |metric: &str| -> Vec<f64> {
        let completed = arm.runs.iter().filter(|run| run.completed());
        completed.filter_map(|run| last_value(run.record, metric, &column.protocol)).collect()
    };
    let uncertainty = MEASURES.iter().find(|(metric, ..)| *metric == column.metric)?.2;
    let uncertainty = uncertainty.and_then(|metric| spread(&last(metric)));
    let spread = spread(&last(column.metric))?;
    Some(FinalValue { spread, uncertainty: uncertainty.map(|spread| spread.median) })
}
