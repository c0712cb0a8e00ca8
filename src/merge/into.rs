//! The folder that is written: what may be in it already.

use std::fs;
use std::io;
use std::path::Path;

use super::{MergeError, Source};
use crate::record::{PlanFile, RecordError, SweepFolder, is_half_written};
use crate::spec::RunId;

/// The file of an imported sweep, which has no other place.
pub(super) const SWEEP: &str = "sweep.yaml";

/// What the folder holds already; `None` if there is none. One without a plan may hold what an interrupted merge leaves, and nothing else.
pub(super) fn known(into: &SweepFolder) -> Result<Option<Source>, MergeError> {
    let Some(names) = names_in(&into.path)? else { return Ok(None) };
    let plan = PlanFile::read(into)?;
    if plan.is_none() {
        let occupied = || MergeError::Occupied { path: into.path.clone() };
        for name in &names {
            let is_left = match name.as_str() {
                "lock" | SWEEP => true,
                "runs" | "attempts" => holds_only(&into.path.join(name), |name| RunId::parse(name).is_some())?,
                "plans" => holds_only(&into.path.join(name), |name| {
                    is_half_written(Path::new(name))
                        || name.strip_suffix(".json").is_some_and(|sum| RunId::parse(sum).is_some())
                })?,
                name => is_half_written(Path::new(name)),
            };
            if !is_left {
                return Err(occupied());
            }
        }
        // Beside nothing of ours it is a file of somebody's own.
        if names.iter().any(|name| name == SWEEP) && !names.iter().any(|name| name == "runs") {
            return Err(occupied());
        }
    }
    Ok(Some(Source { folder: into.clone(), plan }))
}

/// Whether every entry of a folder has such a name.
fn holds_only(folder: &Path, is_ours: impl Fn(&str) -> bool) -> Result<bool, MergeError> {
    Ok(names_in(folder)?.unwrap_or_default().iter().all(|name| is_ours(name)))
}

/// The names of a folder's entries; `None` if it is not there.
pub(super) fn names_in(folder: &Path) -> Result<Option<Vec<String>>, MergeError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(RecordError::io("read", folder)(error).into()),
    };
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    Ok(Some(entries.map(name).collect::<io::Result<_>>().map_err(RecordError::io("read", folder))?))
}

/// The one file of the sweep that sources hold, if any does.
pub(super) fn sweep_file(sources: &[Source]) -> Result<Option<Vec<u8>>, MergeError> {
    let mut found: Option<(std::path::PathBuf, Vec<u8>)> = None;
    for source in sources {
        let path = source.folder.path.join(SWEEP);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(RecordError::io("read", &path)(error).into()),
        };
        match &found {
            Some((one, known)) if *known != bytes => {
                return Err(MergeError::OtherSweep { one: one.clone(), other: path });
            }
            Some(_) => {}
            None => found = Some((path, bytes)),
        }
    }
    Ok(found.map(|(_, bytes)| bytes))
}
