//! Whether a bundle is what was bundled.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;

use super::container::{Container, Found};
use super::sums::{copy_summed, of_text};
use super::{BundleError, METADATA, OnFiles, SUMS, metadata};
use crate::event::RunEvent;
use crate::record::{PlanFile, RecordError, RunFolder, RunState, StudyRecord, SweepFolder, read_journal};
use crate::spec::{PlannedRun, RunId, canonical_json};

/// What a check has found.
pub struct Verified {
    pub files: usize,
    pub ended: usize,
    pub planned: usize,
    /// A sentence each, with the file's name; none where all is well.
    pub mistakes: Vec<String>,
}

/// Checks every sum, the metadata, and each run's record against the plan.
pub fn verify(path: &Path, progress: OnFiles<'_>) -> Result<Verified, BundleError> {
    let mut container = Container::open(path)?;
    let (names, mut mistakes) = container.names(path)?;
    let no_bundle = |reason: String| BundleError::NoBundle { path: path.to_owned(), reason };
    let text = container.text(SUMS).map_err(|error| no_bundle(format!("its {SUMS} cannot be read: {error}")))?;
    let sums = of_text(&text).map_err(|reason| no_bundle(format!("{SUMS}: {reason}")))?;
    let mut found = Found::new();
    let names: BTreeSet<String> = names.into_iter().filter(|name| name != SUMS).collect();
    for (index, name) in names.iter().enumerate() {
        progress("verifying", index, names.len());
        let Some(expected) = sums.get(name) else {
            mistakes.push(format!("{name}: it was added, {SUMS} does not name it"));
            continue;
        };
        match container.read(name, |mut file| copy_summed(&mut file, &mut io::sink())) {
            Ok((sum, _)) if sum != *expected => mistakes.push(format!("{name}: it was changed, its sum is another")),
            Ok(known) => drop(found.insert(name.clone(), known)),
            Err(error) => mistakes.push(format!("{name}: it cannot be read: {error}")),
        }
    }
    let missing = sums.keys().filter(|name| !names.contains(*name));
    mistakes.extend(missing.map(|name| format!("{name}: it is missing")));
    let mut verified = Verified { files: names.len() + 1, ended: 0, planned: 0, mistakes };
    // What else could be said would only follow from these.
    if !verified.mistakes.is_empty() {
        return Ok(verified);
    }
    found.remove(METADATA);
    match container.text(METADATA) {
        Ok(text) => {
            let of_metadata = metadata::mistakes(&text, &found).into_iter();
            verified.mistakes.extend(of_metadata.map(|words| format!("{METADATA}: {words}")));
        }
        Err(error) => verified.mistakes.push(format!("{METADATA}: it cannot be read: {error}")),
    }
    check_records(path, &mut container, &found, &mut verified)?;
    Ok(verified)
}

/// Reads the records as a report does: of an archive, from a folder for the time being.
fn check_records(
    path: &Path,
    container: &mut Container,
    found: &Found,
    verified: &mut Verified,
) -> Result<(), BundleError> {
    let unpacked = tempfile::tempdir().map_err(RecordError::io("make a folder below", &std::env::temp_dir()))?;
    let folder = match container {
        Container::Folder(folder) => folder.clone(),
        Container::Zip(_) => {
            for name in found.keys().filter(|name| is_record(name)) {
                unpack(container, name, &unpacked.path().join(name))?;
            }
            unpacked.path().to_owned()
        }
    };
    let folder = SweepFolder { path: folder };
    // The folder's own path means nothing to who gave an archive.
    let prefix = format!("{}/", folder.path.display());
    let plain = |words: String| words.replace(&prefix, "");
    let plan = match PlanFile::read(&folder) {
        Ok(Some(plan)) => plan,
        Ok(None) => {
            verified.mistakes.push("plan.json: it is missing".to_owned());
            return Ok(());
        }
        Err(error) => {
            verified.mistakes.push(plain(error.to_string()));
            return Ok(());
        }
    };
    for run_id in folder.unplanned(&plan.plan)? {
        verified.mistakes.push(format!("runs/{run_id}: it is in no plan"));
    }
    let study = match StudyRecord::of(&folder, plan) {
        Ok(study) => study,
        Err(error) => {
            verified.mistakes.push(plain(error.to_string()));
            return Ok(());
        }
    };
    verified.planned = study.runs.len();
    for run in &study.runs {
        let run_folder = folder.current(&run.planned.run_id)?;
        let name = plain(run_folder.path.display().to_string());
        let mistakes = match &run.state {
            RunState::Waiting if !run_folder.path.exists() => continue,
            RunState::Damaged(damage) => damage.clone(),
            state => {
                verified.ended += usize::from(matches!(state, RunState::Ended(_)));
                let mut wrong = belongs(&run_folder, &run.planned);
                wrong.extend(run.unread.iter().cloned());
                wrong
            }
        };
        verified.mistakes.extend(mistakes.into_iter().map(|words| format!("{name}: {}", plain(words))));
    }
    if path.is_file() {
        // What cannot be removed from the system's folder for such things does no harm.
        let _ = unpacked.close();
    }
    Ok(())
}

/// What of a run's folder is not that of the planned run.
fn belongs(folder: &RunFolder, planned: &PlannedRun) -> Vec<String> {
    let mut wrong = Vec::new();
    match folder.read_spec() {
        Ok(run) => {
            let is_planned = run.run_id == planned.run_id && canonical_json(&run.spec) == canonical_json(&planned.spec);
            if !is_planned {
                wrong.push("spec.json: it is not the run that plan.json has".to_owned());
            }
        }
        Err(error) => wrong.push(error.to_string()),
    }
    if RunId::of(&planned.spec) != planned.run_id {
        wrong.push("plan.json: its id is not that of its settings".to_owned());
    }
    match read_journal(&folder.journal()) {
        Ok(journal) => {
            let of_other = journal.events.iter().find_map(|event| match event {
                RunEvent::Started(started) if started.run_id != planned.run_id => Some(&started.run_id),
                _ => None,
            });
            wrong.extend(of_other.map(|run_id| format!("events.jsonl: it is the record of run {run_id}")));
        }
        Err(error) => wrong.push(error.to_string()),
    }
    if folder.has_ended() && !folder.curves().exists() {
        wrong.push("curves.parquet: it is missing".to_owned());
    }
    wrong
}

/// Whether a record's reader looks at a file.
fn is_record(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or_default();
    name == "plan.json"
        || (["runs/", "attempts/"].iter().any(|folder| name.starts_with(folder))
            && (["spec.json", "events.jsonl", "curves.parquet", "DONE"].contains(&last)
                || name.contains("/evaluations/")))
}

fn unpack(container: &mut Container, name: &str, to: &Path) -> Result<(), BundleError> {
    let folder = to.parent().expect("it is below a folder");
    std::fs::create_dir_all(folder).map_err(RecordError::io("make the folder", folder))?;
    let mut file = File::create(to).map_err(RecordError::io("write", to))?;
    container.read(name, |read| io::copy(read, &mut file)).map_err(RecordError::io("unpack to", to))?;
    Ok(())
}
