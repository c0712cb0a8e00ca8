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
    let journals: Vec<Journals> =
        studies.iter().map(|(_, study)| journals(study)).collect::<Result<_, RecordError>>()?;
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
            let fewer = own.len().min(others.len());
            if shared > 0 && shared == fewer {
                return Err(same(format!("all {shared} recorded runs of one have the same journals in the other")));
            }
            if shared > 0 {
                notes.push(format!(
                    "{shared} runs of `{name}` are records of `{other_name}` too: they are no independent evidence"
                ));
            }
        }
    }
    Ok(notes)
}

fn journals(study: &StudyRecord) -> Result<Journals<'_>, RecordError> {
    let folder = SweepFolder { path: study.folder.clone() };
    let mut found = Journals::new();
    for run in study.runs.iter().filter(|run| !run.attempts.is_empty()) {
        let path = folder.current(&run.planned.run_id)?.journal();
        match fs::read(&path) {
            Ok(bytes) => drop(found.insert(&run.planned.run_id, sha256(&bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(RecordError::Io { action: "read", path, source }),
        }
    }
    Ok(found)
}
