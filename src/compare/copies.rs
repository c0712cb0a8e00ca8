//! Studies that are the same results under two names, which would count as evidence twice.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use super::CompareError;
use crate::checksum::sha256;
use crate::record::{RecordError, StudyRecord, SweepFolder};
use crate::spec::RunId;

/// By run: the sum of its journal, where it has one.
type Journals<'s> = BTreeMap<&'s RunId, String>;

/// Refuses a study that is another, or a copy of it; of two that share some records, a note.
pub(super) fn shared_records(studies: &[(String, StudyRecord)]) -> Result<Vec<String>, CompareError> {
    let mut notes = Vec::new();
    let mut counts: BTreeMap<&RunId, usize> = BTreeMap::new();
    for run_id in studies.iter().flat_map(|(_, study)| recorded(study)) {
        *counts.entry(run_id).or_default() += 1;
    }
    // Journals may be long: only those are read that another study may have too.
    let is_shared = |run_id: &RunId| counts[run_id] > 1;
    let journals: Vec<Journals> =
        studies.iter().map(|(_, study)| journals(study, is_shared)).collect::<Result<_, RecordError>>()?;
    for (index, (name, study)) in studies.iter().enumerate() {
        for (other_index, (other_name, other)) in studies.iter().enumerate().take(index) {
            let same =
                |what: String| CompareError::Same { one: other.folder.clone(), other: study.folder.clone(), what };
            if let (Ok(one), Ok(two)) = (study.folder.canonicalize(), other.folder.canonicalize())
                && one == two
            {
                return Err(same("they are one folder".to_owned()));
            }
            let (own, others) = (&journals[index], &journals[other_index]);
            let shared = own.iter().filter(|(run_id, sum)| others.get(*run_id) == Some(*sum)).count();
            let fewer = recorded(study).count().min(recorded(other).count());
            if shared > 0 && shared == fewer {
                return Err(same(format!("all {shared} recorded runs of one have the same journals in the other")));
            }
            if shared > 0 {
                notes.push(format!(
                    "`{name}` and `{other_name}` share records of runs ({shared}): these are no independent evidence"
                ));
            }
        }
    }
    Ok(notes)
}

/// Runs that have recorded something whole.
fn recorded(study: &StudyRecord) -> impl Iterator<Item = &RunId> {
    study.runs.iter().filter(|run| !run.attempts.is_empty()).map(|run| &run.planned.run_id)
}

fn journals(study: &StudyRecord, is_wanted: impl Fn(&RunId) -> bool) -> Result<Journals<'_>, RecordError> {
    let folder = SweepFolder { path: study.folder.clone() };
    let mut found = Journals::new();
    for run_id in recorded(study).filter(|run_id| is_wanted(run_id)) {
        let path = folder.current(run_id)?.journal();
        match fs::read(&path) {
            Ok(bytes) => drop(found.insert(run_id, sha256(&bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(RecordError::io("read", &path)(error)),
        }
    }
    Ok(found)
}
