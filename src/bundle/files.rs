//! Which files of a sweep's folder a bundle holds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::BundleError;
use super::container::is_plain;
use crate::record::{RecordError, RunFolder, StudyRecord, SweepFolder};

/// A file, and its name in the bundle.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Member {
    pub name: String,
    pub path: PathBuf,
}

/// Of a sweep.
const SWEEP_FILES: [&str; 3] = ["plan.json", "curves.parquet", "sweep.yaml"];
const SWEEP_FOLDERS: [&str; 2] = ["report", "plans"];
/// Of a run.
const RUN_FILES: [&str; 6] = ["spec.json", "events.jsonl", "curves.parquet", "log.txt", "trainer.json", "DONE"];
const RUN_FOLDERS: [&str; 3] = ["samples", "consistency", "evaluations"];
/// What only goes along where checkpoints are asked for: weights, and what a trainer of the user's own keeps.
const HEAVY_FOLDERS: [&str; 3] = ["checkpoint", "averages", "output"];

/// What a bundle holds, and how many links and files with a dot before their names it does not.
pub(super) struct Members {
    pub found: Vec<Member>,
    pub left_out: usize,
}

/// Every file that goes in, by name. Locks, views of what is under way and what a cluster was handed stay where they are.
pub(super) fn members(study: &StudyRecord, checkpoints: bool) -> Result<Members, BundleError> {
    let folder = SweepFolder { path: study.folder.clone() };
    let mut found = Members { found: Vec::new(), left_out: 0 };
    add_all(&folder.path, "", &SWEEP_FILES, &SWEEP_FOLDERS, &mut found)?;
    for run in &study.runs {
        let run_id = &run.planned.run_id;
        let attempts = folder.open_attempts(run_id)?;
        for RunFolder { path } in std::iter::once(folder.run(run_id)).chain(attempts) {
            let below = path.strip_prefix(&folder.path).expect("a run is below its sweep");
            let prefix = format!("{}/", name_of(below)?);
            let folders = if checkpoints { [&RUN_FOLDERS[..], &HEAVY_FOLDERS].concat() } else { RUN_FOLDERS.to_vec() };
            add_all(&path, &prefix, &RUN_FILES, &folders, &mut found)?;
        }
    }
    found.found.sort();
    // One that reads the bundle would have to refuse it.
    let is_odd = |member: &&Member| !is_plain(&member.name) || member.name.contains(char::is_control);
    match found.found.iter().find(is_odd) {
        Some(Member { name, path }) => Err(BundleError::Unplain { path: path.clone(), name: name.clone() }),
        None => Ok(found),
    }
}

fn add_all(
    folder: &Path,
    prefix: &str,
    files: &[&str],
    folders: &[&str],
    found: &mut Members,
) -> Result<(), BundleError> {
    let files = files.iter().map(|name| (format!("{prefix}{name}"), folder.join(name)));
    found.found.extend(files.filter(|(_, path)| path.is_file()).map(|(name, path)| Member { name, path }));
    folders.iter().try_for_each(|name| visit(&folder.join(name), &format!("{prefix}{name}"), found))
}

/// Every plain file below a folder; a name with a dot before it is a file that was not whole yet, and links may lead anywhere.
fn visit(folder: &Path, prefix: &str, found: &mut Members) -> Result<(), BundleError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(RecordError::io("read", folder)(error).into()),
    };
    for entry in entries {
        let entry = entry.map_err(RecordError::io("read", folder))?;
        let path = entry.path();
        let name = entry.file_name().into_string().map_err(|_| BundleError::Name { path: path.clone() })?;
        let kind = entry.file_type().map_err(RecordError::io("read", &path))?;
        if name.starts_with('.') {
            found.left_out += 1;
            continue;
        }
        let name = format!("{prefix}/{name}");
        if kind.is_dir() {
            visit(&path, &name, found)?;
        } else if kind.is_file() {
            found.found.push(Member { name, path });
        } else {
            found.left_out += 1;
        }
    }
    Ok(())
}

/// A path as archives write it.
pub(super) fn name_of(path: &Path) -> Result<String, BundleError> {
    let part = |part: std::path::Component| part.as_os_str().to_str().map(str::to_owned);
    let parts: Option<Vec<String>> = path.components().map(part).collect();
    Ok(parts.ok_or_else(|| BundleError::Name { path: path.to_owned() })?.join("/"))
}
