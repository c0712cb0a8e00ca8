use std::fs;
use std::path::{Path, PathBuf};

use super::{DataError, LatentsManifest};

/// More shards than this are mapped into memory only where the system is told to allow it.
const MOST_SHARDS: usize = 8192;
pub const LABELS: &str = ".labels.npy";
pub const FLIPPED: &str = ".flip.npy";
const ENDINGS: [&str; 2] = ["safetensors", "npy"];

/// The shards that `path` names: one file, or those of a folder, in the order of names.
pub fn shards(key: &'static str, path: &str) -> Result<Vec<PathBuf>, DataError> {
    let root = Path::new(path);
    let refused = |problem: String, hint: &str| Err(DataError::latents(key, problem, hint));
    if root.is_file() {
        return match ending(root) {
            Some(_) => Ok(vec![root.to_owned()]),
            None => refused(format!("{path} is neither .safetensors nor .npy"), "name a file of latents, or a folder"),
        };
    }
    if !root.is_dir() {
        let hint =
            "a relative path starts at the folder where the program is started; `speedlab data encode` makes latents";
        return refused(format!("there is no file or folder {path}"), hint);
    }
    if let Some(manifest) = LatentsManifest::read(root)?.filter(|manifest| !manifest.complete) {
        let (shards, all) = (manifest.shards.len(), manifest.images.div_ceil(manifest.encoded.images_per_shard));
        let problem = format!("{path} has {shards} of {all} shards: encoding was stopped");
        return refused(problem, "give the same `speedlab data encode` again; it goes on");
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(root).map_err(DataError::io("read the folder", root))? {
        let path = entry.map_err(DataError::io("read the folder", root))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let beside = name.starts_with('.') || name.ends_with(LABELS) || name.ends_with(FLIPPED);
        if !beside && ending(&path).is_some() && path.is_file() {
            found.push(path.clone());
        }
    }
    found.sort();
    let kinds: Vec<&str> =
        ENDINGS.into_iter().filter(|kind| found.iter().any(|path| ending(path) == Some(kind))).collect();
    match (kinds.len(), found.len()) {
        (0, _) => refused(
            format!("{path} holds neither .safetensors nor .npy files"),
            "name the folder of the shards, or make them: speedlab data encode",
        ),
        (2, _) => refused(
            format!("{path} holds both .safetensors and .npy files"),
            "leave one kind there: which of them are the latents is not known",
        ),
        (_, count) if count > MOST_SHARDS => {
            refused(format!("{path} holds {count} shards"), "join them into files of some thousand latents")
        }
        _ => Ok(found),
    }
}

fn ending(path: &Path) -> Option<&'static str> {
    let found = path.extension()?;
    ENDINGS.into_iter().find(|ending| found == *ending)
}

/// `NAME.npy` -> `NAME.labels.npy`.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    path.with_extension(&ending[1..])
}
