//! The checksums of a trainer's files, which are part of a run's identity.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::hexadecimal;

/// More files or bytes than these are data, not a program.
const MOST_FILES: usize = 10_000;
const MOST_BYTES: u64 = 1 << 30;
/// The folder that Python writes beside its sources.
const COMPILED: &str = "__pycache__";

/// Why a trainer's input has no sum.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    #[error("cannot read {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is a link to a folder, whose files would not be seen\nhint: name that folder itself in `inputs`", path.display())]
    LinkedFolder { path: PathBuf },
    #[error("{} holds more than {MOST_FILES} files or 1 GiB\nhint: inputs are programs and configurations; data belongs elsewhere", path.display())]
    TooMuch { path: PathBuf },
}

/// The names of the inputs whose contents have changed since `digests` were made; the checksums are computed again.
pub fn changed_inputs(digests: &BTreeMap<String, String>) -> Result<Vec<String>, InputError> {
    let mut changed = Vec::new();
    for (input, digest) in digests {
        if input_digest(Path::new(input))? != *digest {
            changed.push(input.clone());
        }
    }
    Ok(changed)
}

/// The SHA-256 of a file, or of all files below a folder with their names, in hexadecimal digits.
pub fn input_digest(path: &Path) -> Result<String, InputError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| InputError::Io { path, source }
    };
    let mut hasher = Sha256::new();
    let known = fs::metadata(path).map_err(io(path))?;
    if known.is_file() && known.len() > MOST_BYTES {
        return Err(InputError::TooMuch { path: path.to_owned() });
    }
    if known.is_file() {
        hasher.update(fs::read(path).map_err(io(path))?);
        return Ok(hexadecimal(&hasher.finalize()));
    }
    let mut files = Vec::new();
    list(path, &mut files)?;
    // In one order wherever it is listed.
    files.sort();
    let sizes = files.iter().map(|file| fs::metadata(file).map(|known| known.len()).map_err(io(file)));
    let bytes = sizes.sum::<Result<u64, _>>()?;
    if files.len() > MOST_FILES || bytes > MOST_BYTES {
        return Err(InputError::TooMuch { path: path.to_owned() });
    }
    for file in files {
        let name = file.strip_prefix(path).expect("it was found below");
        let content = fs::read(&file).map_err(io(&file))?;
        hasher.update(name.as_os_str().as_encoded_bytes());
        // A name ends where its length says, so that no two folders are one text.
        hasher.update([0]);
        hasher.update((content.len() as u64).to_le_bytes());
        hasher.update(content);
    }
    Ok(hexadecimal(&hasher.finalize()))
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), InputError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| InputError::Io { path, source }
    };
    for entry in fs::read_dir(folder).map_err(io(folder))? {
        let entry = entry.map_err(io(folder))?;
        let (name, path) = (entry.file_name(), entry.path());
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if hidden || name == COMPILED || files.len() > MOST_FILES {
            continue;
        }
        match entry.file_type().map_err(io(&path))? {
            kind if kind.is_dir() => list(&path, files)?,
            kind if kind.is_file() => files.push(path),
            // A link to a folder may lead round in a circle.
            _ => match fs::metadata(&path).map_err(io(&path))? {
                known if known.is_dir() => return Err(InputError::LinkedFolder { path }),
                known if known.is_file() => files.push(path),
                _ => {}
            },
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_own_sum_and_a_folder_that_of_names_and_contents() {
        let temporary = tempfile::tempdir().unwrap();
        let at = |name: &str| temporary.path().join(name);
        fs::create_dir_all(at("code/deep/__pycache__")).unwrap();
        fs::write(at("code/train.py"), "abc").unwrap();
        let file = input_digest(&at("code/train.py")).unwrap();
        // FIPS 180-2, appendix B.1.
        assert_eq!(file, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let folder = |change: &dyn Fn()| {
            change();
            input_digest(&at("code")).unwrap()
        };
        let first = folder(&|| {});
        for passed_over in ["code/.hidden", "code/deep/__pycache__/x.pyc"] {
            assert_eq!(folder(&|| fs::write(at(passed_over), "x").unwrap()), first);
        }
        let second = folder(&|| fs::write(at("code/deep/b.py"), "").unwrap());
        let third = folder(&|| fs::rename(at("code/deep/b.py"), at("code/deep/c.py")).unwrap());
        assert!(first != second && second != third && first != third);
        let digests = [(at("code").display().to_string(), third)].into();
        assert!(changed_inputs(&digests).unwrap().is_empty());
        fs::write(at("code/train.py"), "abd").unwrap();
        assert_eq!(changed_inputs(&digests).unwrap(), [at("code").display().to_string()]);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let message = input_digest(Path::new("no/train.py")).unwrap_err().to_string();
        assert!(message.starts_with("cannot read no/train.py: "), "{message}");
    }
}
