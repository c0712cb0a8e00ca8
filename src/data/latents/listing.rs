use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::shard::Shard;
use super::{DataError, EncodedShard, LatentsManifest};
use crate::checksum::file_digest;

/// More shards than this are mapped into memory only where the system is told to allow it.
const MOST_SHARDS: usize = 8192;
const ENCODE_AGAIN: &str = "give the same `speedlab data encode` again: it encodes what is missing or damaged";
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
    let manifest = LatentsManifest::read(key, root)?;
    if let Some(manifest) = manifest.as_ref().filter(|manifest| !manifest.complete) {
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
        _ => {
            if let Some(manifest) = manifest {
                refuse_other_shards(key, path, &manifest, &found)?;
            }
            Ok(found)
        }
    }
}

/// The shards that were encoded, and no others, are in a folder of encoded latents.
fn refuse_other_shards(
    key: &'static str,
    path: &str,
    manifest: &LatentsManifest,
    found: &[PathBuf],
) -> Result<(), DataError> {
    let found: BTreeSet<String> = found.iter().map(|path| name(path)).collect();
    let encoded: BTreeSet<String> = manifest.shards.iter().map(|shard| shard.name.clone()).collect();
    if let Some(missing) = encoded.difference(&found).next() {
        let problem = format!("{path} lacks {missing}, which {} there names", LatentsManifest::NAME);
        return Err(DataError::latents(key, problem, ENCODE_AGAIN));
    }
    match found.difference(&encoded).next() {
        Some(foreign) => {
            let problem = format!("{path} holds {foreign}, which {} there does not name", LatentsManifest::NAME);
            Err(DataError::latents(key, problem, "move that file elsewhere: it was not encoded with the others"))
        }
        None => Ok(()),
    }
}

/// Reads each file that an `encoded.json` beside it names, and refuses one that is not as it was written.
pub fn verify(key: &'static str, files: &[&Path]) -> Result<(), DataError> {
    let Some(folder) = files.first().and_then(|path| path.parent()) else { return Ok(()) };
    let Some(manifest) = LatentsManifest::read(key, folder)? else { return Ok(()) };
    for path in files {
        let file = name(path);
        let Some(EncodedShard { sha256, .. }) = manifest.shards.iter().find(|shard| shard.name == file) else {
            continue;
        };
        if file_digest(path).map_err(DataError::io("read", path))? != *sha256 {
            let problem = format!(
                "{} is not as it was encoded: {} there has another sha256",
                path.display(),
                LatentsManifest::NAME
            );
            return Err(DataError::latents(key, problem, ENCODE_AGAIN));
        }
    }
    Ok(())
}

/// Latents that are trained on are not held out.
pub fn refuse_shared(train: &[Shard], held_out: &[Shard]) -> Result<(), DataError> {
    let place = |path: &Path| fs::canonicalize(path).map_err(DataError::io("find", path));
    let trained: BTreeSet<PathBuf> = train.iter().map(|shard| place(shard.path())).collect::<Result<_, _>>()?;
    for shard in held_out {
        if trained.contains(&place(shard.path())?) {
            let problem = format!("{} is a file of `data.path` too", shard.path().display());
            let hint = "leave `data.held_out_path` out, and `data.held_out` latents of `data.path` are held out";
            return Err(DataError::latents("data.held_out_path", problem, hint));
        }
    }
    Ok(())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn ending(path: &Path) -> Option<&'static str> {
    let found = path.extension()?;
    ENDINGS.into_iter().find(|ending| found == *ending)
}

/// `NAME.npy` -> `NAME.labels.npy`.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    path.with_extension(&ending[1..])
}
