//! A bundle as it is found: an archive, or the folder it was unpacked to.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use zip::ZipArchive;

use super::BundleError;
use super::files::name_of;
use crate::record::RecordError;

pub(super) enum Container {
    Zip(Box<ZipArchive<BufReader<File>>>),
    Folder(PathBuf),
}

/// Stands in every unpacked folder that a report was drawn in, or that a process has looked into; neither is a part of the results.
const PASSED_OVER: [&str; 2] = ["lock", "live.json"];

impl Container {
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        let file = File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                BundleError::NoBundle { path: path.to_owned(), reason: "there is no such file or folder".to_owned() }
            }
            _ => RecordError::io("read", path)(error).into(),
        })?;
        let no_bundle = |error: zip::result::ZipError| BundleError::NoBundle {
            path: path.to_owned(),
            reason: format!("it is no whole zip archive: {error}"),
        };
        let mut archive = ZipArchive::new(BufReader::new(file)).map_err(no_bundle)?;
        // What two programs would unpack in two ways is no archive.
        archive.validate_header_consistency().map_err(no_bundle)?;
        Ok(Self::Zip(Box::new(archive)))
    }

    /// Names of files, and what is wrong with some.
    pub fn names(&mut self, path: &Path) -> Result<(Vec<String>, Vec<String>), BundleError> {
        let (mut names, mut wrong) = (Vec::new(), Vec::new());
        match self {
            Self::Zip(archive) => {
                for index in 0..archive.len() {
                    let read = archive.by_index_raw(index).map_err(|error| error.to_string()).and_then(|file| {
                        let name = file.name().map_err(|error| error.to_string())?.into_owned();
                        match is_plain(&name) && file.is_file() {
                            true => Ok(name),
                            false => Err(format!("{name}: it is no plain file below the bundle's folder")),
                        }
                    });
                    match read {
                        Ok(name) => names.push(name),
                        Err(words) => wrong.push(words),
                    }
                }
            }
            Self::Folder(_) => visit(path, path, &mut names)?,
        }
        Ok((names, wrong))
    }

    /// Reads a file by what `read` makes of it.
    pub fn read<T>(&mut self, name: &str, read: impl FnOnce(&mut dyn Read) -> io::Result<T>) -> io::Result<T> {
        match self {
            Self::Zip(archive) => read(&mut archive.by_name(name)?),
            Self::Folder(folder) => read(&mut File::open(folder.join(name))?),
        }
    }

    pub fn text(&mut self, name: &str) -> io::Result<String> {
        self.read(name, |file| {
            let mut text = String::new();
            file.read_to_string(&mut text).map(|_| text)
        })
    }
}

/// Whether a name leads to a place below a folder, and is written in one way.
pub(super) fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    !name.is_empty()
        && !name.contains(['\\', '\0'])
        && parts.all(|part| matches!(part, Component::Normal(_)))
        && !name.split('/').any(|part| part.is_empty() || part == ".")
}

fn visit(folder: &Path, root: &Path, names: &mut Vec<String>) -> Result<(), BundleError> {
    for entry in fs::read_dir(folder).map_err(RecordError::io("read", folder))? {
        let entry = entry.map_err(RecordError::io("read", folder))?;
        let path = entry.path();
        if entry.file_type().map_err(RecordError::io("read", &path))?.is_dir() {
            visit(&path, root, names)?;
            continue;
        }
        let name = name_of(path.strip_prefix(root).expect("it is below"))?;
        if !PASSED_OVER.contains(&name.as_str()) {
            names.push(name);
        }
    }
    Ok(())
}

/// By name: the sum and the length of a file.
pub(super) type Found = BTreeMap<String, (String, u64)>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_none() {
        for name in ["plan.json", "runs/0123/DONE", "report/a b.png"] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["", "/etc/passwd", "../a", "a/../../b", "a//b", "a/./b", "a/", "a\\b", "a\0b"] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
