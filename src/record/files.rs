//! Writes files that readers see whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::RecordError;
use crate::checksum::sha256;
use crate::spec::decode_json;

/// Writes a file beside `path`, brings it to the disk, and renames it into place: readers see the old or the new one.
pub fn write_beside(path: &Path, bytes: &[u8]) -> Result<(), RecordError> {
    write_beside_by(path, |file| file.write_all(bytes))
}

/// The same of a file that is never in memory as a whole: `write` writes it.
pub fn write_beside_by(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), RecordError> {
    place(path, write, File::sync_all)
}

/// Like [`write_beside`], but a power cut may lose the file: for a view of what is recorded elsewhere.
pub(super) fn write_view(path: &Path, bytes: &[u8]) -> Result<(), RecordError> {
    place(path, |file| file.write_all(bytes), |_| Ok(()))
}

/// Writes a file beside `path` and, once it is as safe as `secure` makes it, renames it into place.
fn place(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
    secure: impl FnOnce(&File) -> io::Result<()>,
) -> Result<(), RecordError> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(RecordError::NoName { path: path.to_owned() });
    };
    // That of a bare name is the one that the program was started in.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    fs::create_dir_all(folder).map_err(RecordError::io("make the folder", folder))?;
    let beside = folder.join(beside_name(&name.to_string_lossy(), std::process::id()));
    let written = File::create(&beside).and_then(|mut file| {
        write(&mut file)?;
        secure(&file)
    });
    if let Err(source) = written.and_then(|()| fs::rename(&beside, path)) {
        // The half-written file is of no use; failing to remove it is no further harm.
        let _ = fs::remove_file(&beside);
        return Err(RecordError::io("write", path)(source));
    }
    Ok(())
}

/// The name under which a process writes a file before it is whole.
fn beside_name(name: &str, process: u32) -> String {
    format!(".{name}.{process}")
}

/// Whether a file has such a name.
pub fn is_half_written(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let parts = name.strip_prefix('.').and_then(|name| name.rsplit_once('.'));
    parts.is_some_and(|(name, process)| !name.is_empty() && process.parse::<u32>().is_ok())
}

/// Writes a JSON record whose last key, `sha256`, is the sum of the text before it.
pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), RecordError> {
    let text = serde_json::to_string_pretty(value).expect("records are plain data, which JSON can hold");
    write_beside(path, with_sum(&text).as_bytes())
}

fn with_sum(text: &str) -> String {
    let before = text.strip_suffix("\n}").expect("a record is a map with keys");
    format!("{before}{SUM_BEGINS}{}{SUM_ENDS}\n", sha256(before.as_bytes()))
}

const SUM_BEGINS: &str = ",\n  \"sha256\": \"";
const SUM_ENDS: &str = "\"\n}";
const SUM_DIGITS: usize = 64;

/// Whether the sum at the end of a text is that of the text before it; `None` if there is none.
fn has_right_sum(text: &str) -> Option<bool> {
    let (before, sum) = text.trim_end().strip_suffix(SUM_ENDS)?.rsplit_once(SUM_BEGINS)?;
    (sum.len() == SUM_DIGITS).then(|| sum == sha256(before.as_bytes()))
}

/// Reads a JSON record that carries its version in `version`; files of versions from `summed_since` must have the right sum.
pub(super) fn read_json<T: serde::de::DeserializeOwned>(
    path: &Path,
    known: u32,
    summed_since: u32,
) -> Result<T, RecordError> {
    let damaged = |reason: String| RecordError::Damaged { path: path.to_owned(), reason };
    let text = fs::read_to_string(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => damaged("it is not text in UTF-8".to_owned()),
        _ => RecordError::io("read", path)(error),
    })?;
    if let Some(value) = read_whole(&text, known) {
        return Ok(value);
    }
    let mut json: serde_json::Value = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    let found = json["version"].as_u64().ok_or_else(|| damaged("it has no version".to_owned()))?;
    // First, since a newer file may be summed in another way.
    if found > u64::from(known) {
        return Err(RecordError::Newer { path: path.to_owned(), found: found as u32, known });
    }
    match has_right_sum(&text) {
        Some(false) => return Err(damaged("it was changed after it was written: its checksum is another".to_owned())),
        None if found >= u64::from(summed_since) => return Err(damaged("its checksum is missing".to_owned())),
        _ => {}
    }
    if let Some(map) = json.as_object_mut() {
        map.shift_remove("sha256");
    }
    decode_json(&json).map_err(|error| damaged(error.to_string()))
}

/// The record, if it is as it was written and of a version that is known; what else it may be takes ten times as much memory to find
/// out, and words.
fn read_whole<T: serde::de::DeserializeOwned>(text: &str, known: u32) -> Option<T> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } = serde_json::from_str(text).ok()?;
    // Its last key, the sum, is none of the record's.
    (version <= known && has_right_sum(text)?).then(|| serde_json::from_str(text).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::PlanFile;
    use crate::spec::{PLAN_VERSION, Plan, PlannedRun, RunSpec};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Record {
        version: u32,
        words: String,
    }

    fn record(version: u32) -> Record {
        Record { version, words: "a \"quoted\" word".to_owned() }
    }

    #[test]
    fn a_record_that_was_changed_is_refused_and_one_of_an_older_program_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.json");
        let read = || read_json::<Record>(&path, 2, 2);
        write_json(&path, &record(2)).unwrap();
        assert_eq!(read().unwrap(), record(2));
        let text = fs::read_to_string(&path).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["sha256"].is_string());
        let refused = |text: &str| {
            fs::write(&path, text).unwrap();
            read().unwrap_err().to_string()
        };
        assert!(refused(&text.replace("quoted", "quoten")).ends_with("its checksum is another"));
        assert!(refused(&text.replace("\"version\": 2", "\"version\": 1")).ends_with("its checksum is another"));
        assert!(refused(&text.replace("sha256", "sha255")).ends_with("its checksum is missing"));
        fs::write(&path, b"{\"version\": 2, \"words\": \"\xff\"}").unwrap();
        assert!(matches!(read(), Err(RecordError::Damaged { .. })));
        // White space at the end is no change.
        fs::write(&path, text + "\n").unwrap();
        assert_eq!(read().unwrap(), record(2));
        fs::write(&path, serde_json::to_string(&record(1)).unwrap()).unwrap();
        assert_eq!(read().unwrap(), record(1));
        write_json(&path, &record(3)).unwrap();
        assert!(matches!(read(), Err(RecordError::Newer { found: 3, .. })));
    }

    #[test]
    fn a_plan_is_read_without_a_tree_of_all_its_runs() {
        let spec = RunSpec { seed: 3, ..RunSpec::default() };
        let compare =
            serde_json::json!({ "baseline": "baseline", "metric": "fid", "target": { "kind": "value", "value": 40 } });
        let plan = Plan {
            version: PLAN_VERSION,
            name: "plan".into(),
            question: "why?".into(),
            arms: vec!["baseline".into()],
            axes: vec![],
            seeds: vec![0, 3],
            compare: Some(decode_json(&compare).unwrap()),
            until_decided: None,
            exclusive: false,
            labels: crate::spec::Labels::default(),
            runs: vec![PlannedRun::of_baseline(RunSpec::default()), PlannedRun::of_baseline(spec)],
        };
        let file = PlanFile::unfrozen(plan);
        let text = with_sum(&serde_json::to_string_pretty(&file).unwrap());
        assert_eq!(read_whole(&text, u32::MAX), Some(file.clone()));
        let json: serde_json::Value = serde_json::to_value(&file).unwrap();
        assert_eq!(decode_json(&json), Ok(file.clone()), "as one tree it is the same");
        let wrong = text.replace("\"kind\": \"digits\"", "\"kind\": \"digit\"");
        let error = serde_json::from_str::<PlanFile>(&wrong).unwrap_err().to_string();
        assert!(error.starts_with("unknown kind `digit` of `spec.data`"), "{error}");
    }

    #[test]
    fn a_path_without_a_name_is_refused() {
        for path in ["", ".", "..", "/", "a/.."] {
            let error = write_beside(Path::new(path), b"x").unwrap_err();
            assert!(matches!(error, RecordError::NoName { .. }), "{path}: {error}");
        }
    }

    #[test]
    fn what_a_killed_process_left_is_told_from_every_other_file() {
        let is = |name: &str| is_half_written(&Path::new("checkpoint").join(name));
        assert!(is(&beside_name("state.safetensors", 4711)) && is(".DONE.1"));
        for name in ["state.safetensors", "step-00000400.png", ".hidden", ".4711", ".room.x", "lock", "a.4711"] {
            assert!(!is(name), "{name}");
        }
    }
}
