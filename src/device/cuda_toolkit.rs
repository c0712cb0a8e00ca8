//! What CUDA needs beside its driver: NVIDIA's kernel compiler (libnvrtc) and the headers that kernels include.
//!
//! A toolkit has both, and so have the packages that come with PyTorch. cubecl looks for the headers in `CUDA_PATH` and the
//! toolkit's usual places, and ends its thread if they are missing; cudarc leaves the search for the compiler to the system's
//! loader.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::cuda_headers;

/// Where cubecl looks for headers.
const HEADERS_VARIABLE: &str = "CUDA_PATH";
/// Set in a process's environment, kernels are compiled with NVIDIA's own headers of barriers.
const WHOLE_HEADERS_VARIABLE: &str = "SPEEDLAB_WHOLE_CUDA_HEADERS";
/// The places of a toolkit that cubecl knows.
const USUAL_PLACES: [&str; 2] = ["/usr/local/cuda", "/opt/cuda"];
/// Headers that kernels include: of 16-bit numbers, of tensor cores, and what the latter includes. Each is of another package.
const HEADERS: [&str; 3] = ["include/cuda_fp16.h", "include/mma.h", "include/crt/mma.h"];

static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();

/// Looks for the compiler and the headers where neither the system's loader nor cubecl would, and shows them what it finds.
///
/// # Safety
/// No other thread may read or change the process's environment meanwhile: it is for the first lines of `main`.
pub unsafe fn show_toolkit() {
    let roots = roots();
    if !has_compiler()
        && let Some(path) = roots.iter().find_map(|root| compiler_in(root))
    {
        // SAFETY: NVIDIA's compiler does nothing when it is loaded.
        unsafe { keep_loaded(&path) };
    }
    let headers = roots.into_iter().find(|root| missing_header(root).is_none());
    // Without a driver nothing is compiled.
    // SAFETY: it only tries to open a library of the names that there are.
    let compiles = unsafe { cudarc::driver::sys::is_culib_present() } && env::var_os(WHOLE_HEADERS_VARIABLE).is_none();
    if let Some(root) = &headers {
        let root = compiles.then(|| cuda_headers::lighter(root)).flatten().unwrap_or_else(|| root.clone());
        let before = env::var_os(HEADERS_VARIABLE).unwrap_or_default();
        if env::var_os(super::CUDA_PATH_BEFORE).is_none() {
            // SAFETY: as this function asks of its caller.
            unsafe { env::set_var(super::CUDA_PATH_BEFORE, before) };
        }
        // SAFETY: as this function asks of its caller.
        unsafe { env::set_var(HEADERS_VARIABLE, root) };
    }
    let _ = FOUND.set(headers);
}

/// Whether cudarc will find the compiler.
pub fn has_compiler() -> bool {
    // SAFETY: it only tries to open a library of the names that there are.
    unsafe { cudarc::nvrtc::sys::is_culib_present() }
}

/// The first header that cubecl will not find.
pub fn absent_header() -> Option<&'static str> {
    let found = FOUND.get_or_init(|| roots().into_iter().find(|root| missing_header(root).is_none()));
    match found {
        Some(_) => None,
        // Of the folder that has the most.
        None => {
            let position = |header: &&str| HEADERS.iter().position(|other| other == header);
            roots().iter().filter_map(|root| missing_header(root)).max_by_key(position).or(Some(HEADERS[0]))
        }
    }
}

fn missing_header(root: &Path) -> Option<&'static str> {
    HEADERS.into_iter().find(|header| !root.join(header).is_file())
}

/// Loads a library and keeps it: who asks for it by name later is given what is there already.
#[cfg(unix)]
unsafe fn keep_loaded(path: &Path) {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: as this function asks of its caller.
    if let Ok(library) = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) } {
        std::mem::forget(library);
    }
}

#[cfg(not(unix))]
unsafe fn keep_loaded(path: &Path) {
    // SAFETY: as this function asks of its caller.
    if let Ok(library) = unsafe { libloading::Library::new(path) } {
        std::mem::forget(library);
    }
}

/// Folders that may be a toolkit, the likeliest first. A set `CUDA_PATH` is the only one: cubecl looks nowhere else then.
fn roots() -> Vec<PathBuf> {
    if let Some(path) = env::var_os(HEADERS_VARIABLE) {
        return vec![path.into()];
    }
    let usual = USUAL_PLACES.iter().map(PathBuf::from);
    let packages = site_packages().into_iter().flat_map(|folder| entries(&folder.join("nvidia")));
    usual.chain(packages).collect()
}

fn compiler_in(root: &Path) -> Option<PathBuf> {
    let folders = ["lib64", "lib"].map(|name| root.join(name));
    let is_compiler = |path: &PathBuf| {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        name.starts_with("libnvrtc.so")
    };
    folders.iter().flat_map(|folder| entries(folder)).find(is_compiler)
}

/// The folders of installed Python packages: of an active environment, of each Python on the path, and of the user.
fn site_packages() -> Vec<PathBuf> {
    let active = env::var_os("VIRTUAL_ENV").map(PathBuf::from);
    let on_path = env::var_os("PATH").unwrap_or_default();
    let has_python = |folder: &PathBuf| ["python3", "python"].iter().any(|name| folder.join(name).is_file());
    let prefixes = env::split_paths(&on_path).filter(has_python).filter_map(|folder| Some(folder.parent()?.to_owned()));
    let of_user = env::home_dir().map(|home| home.join(".local"));
    let mut prefixes: Vec<PathBuf> = active.into_iter().chain(prefixes).chain(of_user).collect();
    prefixes.dedup();
    let of_prefix = |prefix: PathBuf| {
        let pythons = entries(&prefix.join("lib"))
            .into_iter()
            .filter(|path| path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with("python3")));
        pythons.flat_map(|python| ["site-packages", "dist-packages"].map(|name| python.join(name)))
    };
    prefixes.into_iter().flat_map(of_prefix).filter(|folder| folder.is_dir()).collect()
}

/// Sorted; none where the folder is not there.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = read.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_is_found_in_a_toolkit_and_in_a_package() {
        let folder = tempfile::tempdir().unwrap();
        for (place, file) in [("toolkit/lib64", "libnvrtc.so.13.0.88"), ("package/lib", "libnvrtc.so.13")] {
            fs::create_dir_all(folder.path().join(place)).unwrap();
            fs::write(folder.path().join(place).join(file), "").unwrap();
            fs::write(folder.path().join(place).join("libnvrtc-builtins.so.13.0"), "").unwrap();
            let root = folder.path().join(place).parent().unwrap().to_owned();
            assert_eq!(compiler_in(&root), Some(folder.path().join(place).join(file)));
        }
        assert_eq!(compiler_in(folder.path()), None);
    }
    #[test]
    fn a_folder_without_one_of_the_headers_is_no_toolkit() {
        let folder = tempfile::tempdir().unwrap();
        for (count, header) in HEADERS.iter().enumerate() {
            assert_eq!(missing_header(folder.path()), Some(HEADERS[count]));
            fs::create_dir_all(folder.path().join(header).parent().unwrap()).unwrap();
            fs::write(folder.path().join(header), "").unwrap();
        }
        assert_eq!(missing_header(folder.path()), None);
    }
}
