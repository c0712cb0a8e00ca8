//! The files in a folder of the user's, grouped by what can be done with them.

use std::fs;
use std::path::{Path, PathBuf};

use super::DataError;
use super::decode::is_image_file;

/// Folders inside folders are followed this far: a link that leads back up ends here.
const DEEPEST: usize = 16;
/// Endings of other kinds of images, which are named rather than passed over.
const OTHER_ENDINGS: [&str; 9] = ["avif", "gif", "heic", "heif", "jp2", "jxl", "pbm", "pnm", "tga"];
/// The files that operating systems leave in folders, beside names that begin with a dot.
const LEFT_BY_SYSTEMS: [&str; 3] = ["__MACOSX", "Thumbs.db", "desktop.ini"];

/// Files and folders, each in the order of names.
#[derive(Debug, Default)]
pub struct FolderListing {
    /// Folders in this folder; none where those below were listed as well.
    pub folders: Vec<PathBuf>,
    /// Regular files, or links to such, of the kinds of images that are read.
    pub images: Vec<PathBuf>,
    /// Images of kinds that are not read.
    pub others: Vec<PathBuf>,
    /// Entries that have an image's name but are no regular files, and what they are instead.
    pub irregular: Vec<(PathBuf, &'static str)>,
    /// How many entries were passed over because their names begin with a dot or are ones that operating systems leave behind.
    pub passed_over: usize,
}

impl FolderListing {
    /// Of a folder, without the folders in it.
    pub fn of(folder: &Path) -> Result<Self, DataError> {
        let mut listing = Self::default();
        let reading = || DataError::io("read the folder", folder);
        for entry in fs::read_dir(folder).map_err(reading())? {
            let entry = entry.map_err(reading())?;
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b".")
                || LEFT_BY_SYSTEMS.iter().any(|left| name.eq_ignore_ascii_case(left))
            {
                listing.passed_over += 1;
                continue;
            }
            listing.add(entry.path())?;
        }
        listing.folders.sort();
        listing.images.sort();
        listing.others.sort();
        listing.irregular.sort();
        Ok(listing)
    }

    /// Of a folder and all below it: the files of each folder come before those of the folders in it.
    pub fn below(folder: &Path) -> Result<Self, DataError> {
        Self::to_depth(folder, 0)
    }

    fn to_depth(folder: &Path, depth: usize) -> Result<Self, DataError> {
        if depth > DEEPEST {
            let problem = format!("{} is more than {DEEPEST} folders deep", folder.display());
            return Err(DataError::Folder { problem, hint: Some("does a link lead back to a folder above it?") });
        }
        let mut listing = Self::of(folder)?;
        for folder in std::mem::take(&mut listing.folders) {
            let deeper = Self::to_depth(&folder, depth + 1)?;
            listing.images.extend(deeper.images);
            listing.others.extend(deeper.others);
            listing.irregular.extend(deeper.irregular);
            listing.passed_over += deeper.passed_over;
        }
        Ok(listing)
    }

    fn add(&mut self, path: PathBuf) -> Result<(), DataError> {
        // Follows links. Nothing is opened: to open a pipe is to wait for who writes into it.
        let what = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                self.folders.push(path);
                return Ok(());
            }
            Ok(metadata) if metadata.is_file() => None,
            Ok(_) => Some("it is a pipe, a socket or a device, not a regular file"),
            Err(_) if path.is_symlink() => Some("it is a link that leads nowhere"),
            Err(error) => return Err(DataError::io("read", &path)(error)),
        };
        match what {
            None if is_image_file(&path) => self.images.push(path),
            None if is_other_image(&path) => self.others.push(path),
            Some(what) if is_image_file(&path) => self.irregular.push((path, what)),
            _ => {}
        }
        Ok(())
    }
}

/// Whether its ending, in capitals or not, says that a file is an image of a kind that is not read.
fn is_other_image(path: &Path) -> bool {
    path.extension().is_some_and(|ending| OTHER_ENDINGS.iter().any(|other| ending.eq_ignore_ascii_case(other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: &Path, paths: &[PathBuf]) -> Vec<String> {
        paths.iter().map(|path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn what_systems_leave_behind_is_no_image_wherever_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let files = [
            "b.png",
            "a/c.JPG",
            "a.jpeg",
            "notes.txt",
            "x.gif",
            "._b.png",
            ".DS_Store",
            "Thumbs.db",
            "thumbs.DB",
            "desktop.ini",
            "__MACOSX/._b.png",
            "a/._c.JPG",
            ".hidden/d.png",
        ];
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let listing = FolderListing::below(root).unwrap();
        assert_eq!(names(root, &listing.images), ["a.jpeg", "b.png", "a/c.JPG"]);
        assert_eq!(names(root, &listing.others), ["x.gif"]);
        assert_eq!((listing.passed_over, listing.irregular.len()), (8, 0));
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_regular_file_is_named_and_never_opened() {
        use std::os::unix::fs::symlink;
        use std::os::unix::net::UnixListener;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::write(root.join("real.png"), "").unwrap();
        symlink(root.join("real.png"), root.join("link.png")).unwrap();
        symlink(root.join("gone.png"), root.join("dangling.png")).unwrap();
        symlink(root.join("loop.png"), root.join("loop.png")).unwrap();
        let _socket = UnixListener::bind(root.join("socket.png")).unwrap();
        let pipe = std::process::Command::new("mkfifo").arg(root.join("pipe.png")).status().unwrap();
        assert!(pipe.success());
        let listing = FolderListing::below(root).unwrap();
        assert_eq!(names(root, &listing.images), ["link.png", "real.png"]);
        let irregular: Vec<String> = listing
            .irregular
            .iter()
            .map(|(path, what)| format!("{}: {what}", path.file_name().unwrap().to_str().unwrap()))
            .collect();
        assert_eq!(
            irregular,
            [
                "dangling.png: it is a link that leads nowhere",
                "loop.png: it is a link that leads nowhere",
                "pipe.png: it is a pipe, a socket or a device, not a regular file",
                "socket.png: it is a pipe, a socket or a device, not a regular file",
            ]
        );
        // A link that leads back up.
        symlink(root, root.join("up")).unwrap();
        let error = FolderListing::below(root).unwrap_err().to_string();
        assert!(error.contains("more than 16 folders deep") && error.contains("does a link lead back"), "{error}");
    }
}
