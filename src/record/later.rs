//! What was measured of a run's kept weights after the run had ended: a file for each evaluation, beside what the run recorded itself.
//!
//! Nothing of the run's own record changes: neither its journal nor its table, nor what arms are compared by.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{is_half_written, read_json, write_json};
use super::{RecordError, Row, Rows, RunFolder};
use crate::checksum::sha256;
use crate::event::{Measure, Stamp};
use crate::spec::{Evaluate, PostHocAverage};

/// The version of an evaluation's file.
const LATER_VERSION: u32 = 1;
/// The folder in a run's.
pub(super) const EVALUATIONS: &str = "evaluations";
/// Digits of a hash in a file's name.
const HASH_DIGITS: usize = 12;

/// One evaluation of a run's kept weights by settings that may not be the run's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaterEvaluation {
    version: u32,
    /// The clocks of the run when it had these weights.
    pub stamp: Stamp,
    /// RFC 3339, UTC.
    pub measured_at: String,
    /// The program, its version, and the first digits of its file's SHA-256.
    pub program: String,
    pub build: String,
    /// The device, as records name it.
    pub device: String,
    /// The settings that it was measured by.
    pub evaluate: Evaluate,
    /// The average that the averaged weights are, where it is not the run's own but was made of kept ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<PostHocAverage>,
    pub measures: Vec<Measure>,
}

impl LaterEvaluation {
    /// An evaluation that nothing was measured by yet.
    pub fn new(stamp: Stamp, evaluate: Evaluate) -> Self {
        let [measured_at, program, build, device] = [const { String::new() }; 4];
        let (average, measures) = (None, Vec::new());
        Self { version: LATER_VERSION, stamp, measured_at, program, build, device, evaluate, average, measures }
    }

    /// The file's name: the same of the same values by the same settings at the same step. What was measured later by the same settings,
    /// because it was not known yet, has another name.
    pub fn name(&self) -> String {
        let settings = serde_json::to_string(&self.evaluate).expect("settings are plain data, which JSON can hold");
        let values: BTreeSet<(&str, &str)> =
            self.measures.iter().map(|Measure { metric, protocol, .. }| (metric.as_str(), protocol.as_str())).collect();
        let values = serde_json::to_string(&values).expect("names are plain data, which JSON can hold");
        let digest = sha256(format!("{} {settings} {values}", self.stamp.step).as_bytes());
        format!("{}.json", &digest[..HASH_DIGITS])
    }
}

impl RunFolder {
    /// The folder of evaluations after the run's end.
    pub fn evaluations(&self) -> PathBuf {
        self.path.join(EVALUATIONS)
    }

    /// The files of evaluations after the run's end, by name.
    pub fn evaluation_files(&self) -> Result<Vec<PathBuf>, RecordError> {
        let folder = self.evaluations();
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(RecordError::io("read", &folder)(error)),
        };
        let paths = entries.map(|entry| Ok(entry.map_err(RecordError::io("read", &folder))?.path()));
        let mut paths = paths.collect::<Result<Vec<PathBuf>, RecordError>>()?;
        paths.retain(|path| !is_half_written(path) && path.extension().is_some_and(|kind| kind == "json"));
        paths.sort();
        Ok(paths)
    }

    /// The evaluations after the run's end with their files, in the order in which they were made. The first file that cannot be read is an
    /// error.
    pub fn read_evaluations(&self) -> Result<Vec<(PathBuf, LaterEvaluation)>, RecordError> {
        let mut found = Vec::new();
        for path in self.evaluation_files()? {
            let evaluation = read(&path)?;
            found.push((path, evaluation));
        }
        found.sort_by(|(_, one), (_, other)| one.measured_at.cmp(&other.measured_at));
        Ok(found)
    }

    /// The evaluations whose files are whole and of a version that is known, in the order in which they were made; and what is wrong with
    /// each of the others.
    pub(super) fn read_whole_evaluations(&self) -> Result<(Vec<LaterEvaluation>, Vec<RecordError>), RecordError> {
        let (mut found, mut wrong) = (Vec::new(), Vec::new());
        for path in self.evaluation_files()? {
            match read(&path) {
                Ok(evaluation) => found.push(evaluation),
                Err(error @ (RecordError::Damaged { .. } | RecordError::Newer { .. })) => wrong.push(error),
                Err(error) => return Err(error),
            }
        }
        found.sort_by(|one, other| one.measured_at.cmp(&other.measured_at));
        Ok((found, wrong))
    }

    /// Adds an evaluation to the run's record. Who does so holds the run.
    pub fn write_evaluation(&self, evaluation: &LaterEvaluation) -> Result<PathBuf, RecordError> {
        let path = self.evaluations().join(evaluation.name());
        write_json(&path, evaluation)?;
        Ok(path)
    }
}

fn read(path: &Path) -> Result<LaterEvaluation, RecordError> {
    read_json(path, LATER_VERSION, LATER_VERSION)
}

/// The values of evaluations that `own` has not, each once. `attempt` is the one that had the weights.
pub(super) fn rows_of(evaluations: &[LaterEvaluation], own: &Rows, attempt: u32) -> Rows {
    let mut known: BTreeSet<(u64, &str, &str)> = BTreeSet::new();
    let mut rows = Rows::default();
    for LaterEvaluation { stamp, measures, .. } in evaluations {
        for Measure { metric, protocol, value } in measures {
            let is_own = own.series(metric, protocol).any(|row| row.step == stamp.step);
            if is_own || !known.insert((stamp.step, metric, protocol)) {
                continue;
            }
            let Stamp { step, images_seen, train_seconds, wall_seconds, .. } = *stamp;
            rows.push(Row { attempt, step, images_seen, train_seconds, wall_seconds, metric, protocol, value: *value });
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation(samples: usize, value: f64) -> LaterEvaluation {
        let mut evaluate = Evaluate::default();
        evaluate.fid.samples = samples;
        let stamp = Stamp { step: 60, images_seen: 960, ..Stamp::default() };
        let measures = vec![Measure { metric: "fid".into(), protocol: format!("n={samples}").into(), value }];
        let measured_at = format!("2026-01-01T00:00:{:02}Z", 50 - samples);
        LaterEvaluation { measures, measured_at, ..LaterEvaluation::new(stamp, evaluate) }
    }

    #[test]
    fn evaluations_come_back_in_their_order_and_the_same_settings_have_one_file() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = RunFolder { path: temporary.path().to_owned() };
        assert_eq!(folder.read_evaluations().unwrap(), []);
        let (first, second) = (evaluation(30, 5.0), evaluation(20, 4.0));
        for written in [&second, &first, &first] {
            folder.write_evaluation(written).unwrap();
        }
        fs::write(folder.evaluations().join(".0123.json.7"), "half").unwrap();
        let path = folder.evaluations().join(first.name());
        let with_file =
            |evaluation: &LaterEvaluation| (folder.evaluations().join(evaluation.name()), evaluation.clone());
        assert_eq!(folder.read_evaluations().unwrap(), [with_file(&first), with_file(&second)]);
        // By the same settings, something that was not known yet: nothing is written over.
        let mut more = first.clone();
        more.measures[0].metric = "kid".into();
        folder.write_evaluation(&more).unwrap();
        assert_eq!(folder.read_evaluations().unwrap().len(), 3);
        // One that was changed is noticed, and the others are read.
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("5.0", "4.9")).unwrap();
        let error = folder.read_evaluations().unwrap_err().to_string();
        assert!(error.contains("is damaged: it was changed after it was written"), "{error}");
        fs::write(folder.evaluations().join(second.name()), "{\"version\": 7}").unwrap();
        let (whole, wrong) = folder.read_whole_evaluations().unwrap();
        assert_eq!(whole, [more]);
        let words: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        assert!(words.iter().any(|words| words.contains("was written by a newer speedlab")), "{words:?}");
        assert!(words.iter().any(|words| words.contains("is damaged")) && words.len() == 2, "{words:?}");
    }

    #[test]
    fn a_value_that_the_run_recorded_itself_counts_once() {
        let row = Row {
            attempt: 2,
            step: 60,
            images_seen: 960,
            train_seconds: 0.0,
            wall_seconds: 0.0,
            metric: "fid",
            protocol: "n=20",
            value: 4.5,
        };
        let own = [row].into_iter().collect();
        let twice = [evaluation(20, 4.0), evaluation(30, 5.0), evaluation(30, 6.0)];
        let found: Vec<(u32, String, f64)> =
            rows_of(&twice, &own, 2).iter().map(|row| (row.attempt, row.protocol.to_owned(), row.value)).collect();
        assert_eq!(found, [(2, "n=30".to_owned(), 5.0)]);
    }
}
