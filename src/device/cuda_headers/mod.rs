//! CUDA's headers with lighter ones where NVIDIA's keep the compiler busy.
//!
//! Kernels of matrix products and convolutions wait for barriers. NVIDIA's header of these includes most of a C++ library, a second and a half of the
//! compiler for each such kernel, on one thread: three quarters of the time before a card's first step. The ones here have what cubecl's kernels
//! use, in the same instructions.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

use crate::checksum::sha256;

/// Of the folder `include`, and what is there instead of NVIDIA's.
const LIGHTER: [(&str, &str); 3] = [
    ("cuda/barrier", include_str!("barrier.h")),
    ("cooperative_groups.h", include_str!("cooperative_groups.h")),
    ("cooperative_groups/memcpy_async.h", include_str!("memcpy_async.h")),
];
/// A file that says that a folder is one of these.
const MARK: &str = "speedlab-headers";

/// The folder of a toolkit's links with the lighter headers; none where it cannot be made, or the system has no links.
pub fn lighter(toolkit: &Path) -> Option<PathBuf> {
    let folder = etcetera::choose_base_strategy().ok()?.cache_dir().join("speedlab").join("cuda-headers");
    lighter_in(&folder, toolkit).ok()
}

/// One folder for each content: processes may make it at once, and another toolkit gets another.
fn lighter_in(folder: &Path, toolkit: &Path) -> io::Result<PathBuf> {
    if toolkit.join(MARK).is_file() {
        return Ok(toolkit.to_owned());
    }
    let toolkit = fs::canonicalize(toolkit)?;
    let include = toolkit.join("include");
    // A toolkit of CUDA 12 has the C++ library itself in the folder.
    let mut links = links(&toolkit, Path::new(""), &["include"])?;
    links.extend(self::links(&include, Path::new("include"), &["cuda", "cooperative_groups.h", "cooperative_groups"])?);
    if include.join("cuda").is_dir() {
        links.extend(self::links(&include.join("cuda"), Path::new("include/cuda"), &["barrier"])?);
    }
    let mut content = format!("{}\n", toolkit.display());
    for (link, _) in &links {
        content += &format!("{}\n", link.display());
    }
    for (name, text) in LIGHTER {
        content += &format!("{name}\n{text}");
    }
    let place = folder.join(&sha256(content.as_bytes())[..16]);
    let is_whole =
        || place.join(MARK).is_file() && LIGHTER.iter().all(|(name, _)| place.join("include").join(name).is_file());
    if is_whole() {
        return Ok(place);
    }
    fs::create_dir_all(folder)?;
    // Somebody has removed some of its files.
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    let making = tempfile::Builder::new().prefix("making-").tempdir_in(folder)?;
    for (name, text) in LIGHTER {
        let path = making.path().join("include").join(name);
        fs::create_dir_all(path.parent().expect("a folder"))?;
        fs::write(path, text)?;
    }
    for (link, target) in links {
        symlink(&target, &making.path().join(link))?;
    }
    fs::write(making.path().join(MARK), content)?;
    // Another process may have been faster; its folder is as good.
    match fs::rename(making.path(), &place) {
        Err(error) if !is_whole() => Err(error),
        _ => Ok(place),
    }
}

/// Links below `place` to all that is in `folder` but `left_out`, by name.
fn links(folder: &Path, place: &Path, left_out: &[&str]) -> io::Result<Vec<(PathBuf, PathBuf)>> {
    let mut links = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if !left_out.iter().any(|left_out| name == *left_out) {
            links.push((place.join(&name), entry.path()));
        }
    }
    links.sort();
    Ok(links)
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(not(unix))]
fn symlink(_target: &Path, _link: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn toolkit(folder: &Path, files: &[&str]) -> PathBuf {
        let root = folder.join("toolkit");
        for file in files {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), file).unwrap();
        }
        root
    }

    #[test]
    fn a_folder_has_the_lighter_headers_and_all_else_of_the_toolkit() {
        let folder = tempfile::tempdir().unwrap();
        for of_cuda_13 in [false, true] {
            let library = if of_cuda_13 { "include/cccl/cuda" } else { "include/cuda" };
            let barrier = format!("{library}/barrier");
            let std = format!("{library}/std/atomic");
            let files =
                [&barrier, &std, "include/mma.h", "include/crt/mma.h", "include/cooperative_groups.h", "bin/nvcc"];
            let files: Vec<&str> = files.iter().map(|file| AsRef::as_ref(*file)).collect();
            let root = toolkit(&folder.path().join(library), &files);
            let made = lighter_in(&folder.path().join("cache"), &root).unwrap();
            for (name, text) in LIGHTER {
                assert_eq!(fs::read_to_string(made.join("include").join(name)).unwrap(), text);
            }
            for file in [&std, "include/mma.h", "include/crt/mma.h", "bin/nvcc"] {
                assert_eq!(fs::read_to_string(made.join(file)).unwrap(), file);
            }
            // It is found again, is not made of itself, and what it links to is as it was.
            assert_eq!(lighter_in(&folder.path().join("cache"), &root).unwrap(), made);
            assert_eq!(lighter_in(&folder.path().join("cache"), &made).unwrap(), made);
            assert_eq!(fs::read_to_string(root.join(&barrier)).unwrap(), barrier);
            // What a cleaner took away is put back.
            fs::remove_file(made.join("include").join(LIGHTER[0].0)).unwrap();
            assert_eq!(lighter_in(&folder.path().join("cache"), &root).unwrap(), made);
            assert!(made.join("include").join(LIGHTER[0].0).is_file());
            // A toolkit that has got another header has another folder.
            fs::write(root.join("include/cuda_fp16.h"), "").unwrap();
            let other = lighter_in(&folder.path().join("cache"), &root).unwrap();
            assert!(other != made && other.join("include/cuda_fp16.h").is_file());
        }
        let left = fs::read_dir(folder.path().join("cache")).unwrap().count();
        assert_eq!(left, 4, "nothing half made is left");
    }

    #[test]
    fn where_nothing_can_be_written_the_toolkit_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let root = toolkit(folder.path(), &["include/mma.h"]);
        fs::write(folder.path().join("cache"), "a file").unwrap();
        assert!(lighter_in(&folder.path().join("cache"), &root).is_err());
        assert!(lighter_in(&folder.path().join("cache"), &folder.path().join("absent")).is_err());
    }
}
