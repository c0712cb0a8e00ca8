//! Files that readers see whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;

use super::RecordError;
use crate::spec::decode_json;

/// Writes a file beside `path`, brings it to the disk, and renames it into place: readers see the old or the new one.
pub fn write_beside(path: &Path, bytes: &[u8]) -> Result<(), RecordError> {
    place(path, bytes, File::sync_all)
}

/// As [`write_beside`], but a power cut may cost the file: for a view of what is recorded elsewhere.
pub(super) fn write_view(path: &Path, bytes: &[u8]) -> Result<(), RecordError> {
    place(path, bytes, |_| Ok(()))
}

/// Writes a file beside `path` and, once it is as safe as `secure` makes it, renames it into place.
fn place(path: &Path, bytes: &[u8], secure: impl FnOnce(&File) -> io::Result<()>) -> Result<(), RecordError> {
    let folder = path.parent().expect("a file of a record is in a folder");
    fs::create_dir_all(folder).map_err(RecordError::io("make the folder", folder))?;
    let name = path.file_name().expect("a file of a record has a name").to_string_lossy();
    let beside = folder.join(beside_name(&name, std::process::id()));
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
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
pub(super) fn is_half_written(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let parts = name.strip_prefix('.').and_then(|name| name.rsplit_once('.'));
    parts.is_some_and(|(name, process)| !name.is_empty() && process.parse::<u32>().is_ok())
}

pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), RecordError> {
    let mut text = serde_json::to_string_pretty(value).expect("records are plain data, which JSON can hold");
    text.push('\n');
    write_beside(path, text.as_bytes())
}

/// Reads a JSON record that carries its version in `version`.
pub(super) fn read_json<T: serde::de::DeserializeOwned>(path: &Path, known: u32) -> Result<T, RecordError> {
    let text = fs::read_to_string(path).map_err(RecordError::io("read", path))?;
    let damaged = |reason: String| RecordError::Damaged { path: path.to_owned(), reason };
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    let found = json["version"].as_u64().ok_or_else(|| damaged("it has no version".to_owned()))? as u32;
    if found > known {
        return Err(RecordError::Newer { path: path.to_owned(), found, known });
    }
    decode_json(&json).map_err(|error| damaged(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_told_from_every_other_file() {
        let is = |name: &str| is_half_written(&Path::new("checkpoint").join(name));
        assert!(is(&beside_name("state.safetensors", 4711)) && is(".DONE.1"));
        for name in ["state.safetensors", "step-00000400.png", ".hidden", ".4711", ".room.x", "lock", "a.4711"] {
            assert!(!is(name), "{name}");
        }
    }
}
