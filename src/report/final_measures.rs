//! The last values of every measure beside the compared metric, each protocol in a column of its own.

use super::comparison::{ArmComparison, Comparison, PointComparison, Spread, spread};
use super::curve::{all_protocols, last_value};
use super::wording::of_features;
use crate::record::StudyRecord;
use crate::spec::{EvaluatedWeights, IMPORTED, MEASURED_BY_TRAINER, PostHocAverage};

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

/// The best of an arm's averages that were made of kept ones, and measured alike.
#[derive(Clone, Debug, PartialEq)]
pub struct BestAverage<'a> {
    pub arm: &'a str,
    /// As its protocol names it: its length.
    pub average: &'a str,
    pub column: &'a MeasureColumn,
    pub median: f64,
    /// Of how many it is the best.
    pub of: usize,
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

/// An average, and the number of runs that it was measured of.
type OfRuns<'a> = (BestAverage<'a>, usize);

impl FinalMeasures<'_> {
    /// Of each arm, and of each way to measure `metric`, the average with the best median, where several were made of kept ones. Averages
    /// that fewer runs of the arm were measured by than others take no part.
    pub fn best_averages(&self, metric: &str) -> Vec<BestAverage<'_>> {
        let mut found = Vec::new();
        for (arm, values) in &self.rows {
            let mut ways: Vec<([&str; 2], Vec<OfRuns>)> = Vec::new();
            for (column, value) in self.columns.iter().zip(values).filter(|(column, _)| column.metric == metric) {
                let Some((average, way)) = PostHocAverage::in_protocol(&column.protocol) else { continue };
                let Some(FinalValue { spread, .. }) = value else { continue };
                let of_column = (BestAverage { arm, average, column, median: spread.median, of: 0 }, spread.n);
                match ways.iter_mut().find(|(other, _)| *other == way) {
                    Some((_, averages)) => averages.push(of_column),
                    None => ways.push((way, vec![of_column])),
                }
            }
            for (_, mut averages) in ways {
                let most = averages.iter().map(|(_, n)| *n).max();
                averages.retain(|(_, n)| Some(*n) == most);
                let of = averages.len();
                let by_rank = |(one, _): &OfRuns, (other, _): &OfRuns| {
                    let order = one.median.total_cmp(&other.median);
                    if one.column.higher_is_better { order.reverse() } else { order }
                };
                let best = averages.into_iter().min_by(by_rank).filter(|_| of > 1);
                found.extend(best.map(|(best, _)| BestAverage { of, ..best }));
            }
        }
        found
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_average_is_among_those_that_are_measured_alike_of_as_many_runs() {
        let mut found = FinalMeasures { columns: vec![], rows: vec![], protocols: vec![] };
        for protocol in [
            "n=80 ema=0.9",
            "n=80 ema=post-hoc-power(0.05)",
            "n=80 ema=post-hoc-power(0.1)",
            "n=80 ema=post-hoc-power(0.2)",
            "n=90 ema=post-hoc-power(0.1)",
        ] {
            found.add_column("fid", "FID", protocol);
        }
        found.add_column("kid", "KID", "n=80 ema=post-hoc-power(0.1)");
        let value = |(median, n)| {
            Some(FinalValue { spread: Spread { median, low: median, high: median, n }, uncertainty: None })
        };
        let all = [(1.0, 3), (4.0, 3), (3.0, 3), (5.0, 3), (2.0, 3), (0.5, 3)].map(value);
        // That of one run of three is no median of the arm's runs.
        let few = [(1.0, 3), (4.0, 3), (3.0, 1), (5.0, 3), (2.0, 3), (0.5, 3)].map(value);
        let one = [Some((1.0, 3)), Some((4.0, 3)), None, None, None, None].map(|known| known.and_then(value));
        found.rows = vec![("all", all.to_vec()), ("few", few.to_vec()), ("one", one.to_vec())];
        let best = found.best_averages("fid");
        let best: Vec<(&str, &str, f64, usize)> =
            best.iter().map(|best| (best.arm, best.average, best.median, best.of)).collect();
        assert_eq!(best, [("all", "0.1", 3.0, 3), ("few", "0.05", 4.0, 2)]);
        assert_eq!(found.best_averages("kid"), []);
    }
}
