//! Runs of TensorBoard: a folder of event files for each.

use std::fs;
use std::path::{Path, PathBuf};

use super::ImportError;
use crate::tensorboard::{MARK, Scalar, scalars};

/// What the event files of a folder hold.
#[derive(Debug, PartialEq)]
pub(super) struct EventRun {
    /// The folder's path below the one that was read.
    pub name: String,
    /// In the order of time.
    pub scalars: Vec<Scalar>,
    /// Of the first event of all, mostly that of opening the file: seconds since 1970.
    pub began: f64,
}

/// Every folder at or below `folder` that holds event files.
pub(super) fn runs_below(folder: &Path) -> Result<Vec<EventRun>, ImportError> {
    let mut files: Vec<PathBuf> = Vec::new();
    list(folder, &mut files)?;
    files.sort();
    let mut runs: Vec<EventRun> = Vec::new();
    for file in files {
        let parent = file.parent().unwrap_or(folder).strip_prefix(folder).unwrap_or(folder);
        let name = parent.to_string_lossy().replace('\\', "/");
        let bytes = fs::read(&file).map_err(|source| ImportError::Io { path: file.clone(), source })?;
        let failed =
            |reason: String| ImportError::Format { path: file.clone(), format: "event file of TensorBoard", reason };
        let (scalars, began) = scalars(&bytes).map_err(failed)?;
        match runs.last_mut() {
            Some(last) if last.name == name => {
                last.scalars.extend(scalars);
                last.began = last.began.min(began);
            }
            _ => runs.push(EventRun { name, scalars, began }),
        }
    }
    for run in &mut runs {
        run.scalars.sort_by(|one, other| one.wall_time.total_cmp(&other.wall_time));
    }
    Ok(runs)
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), ImportError> {
    let io = |source| ImportError::Io { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        if entry.file_type().map_err(io)?.is_dir() {
            list(&entry.path(), files)?;
        } else if entry.file_name().to_string_lossy().contains(MARK) {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by the package tensorboard (scripts/golden/tensorboard_events.py), with the scalars in it.
    fn golden() -> (PathBuf, serde_json::Value) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tensorboard");
        let scalars = fs::read_to_string(folder.join("scalars.json")).unwrap();
        (folder, serde_json::from_str(&scalars).unwrap())
    }

    #[test]
    fn scalars_of_both_forms_are_read_and_all_else_is_passed_over() {
        let (folder, expected) = golden();
        let runs = runs_below(&folder).unwrap();
        assert_eq!(runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>(), ["baseline/seed0", "fast/seed1"]);
        for EventRun { name, scalars, began } in runs {
            assert_eq!(began, 1.7e9);
            let expected = expected[&name].as_array().unwrap();
            assert_eq!(scalars.len(), expected.len(), "{name}");
            for (found, expected) in scalars.iter().zip(expected) {
                assert_eq!(found.tag, expected["tag"].as_str().unwrap());
                assert_eq!(
                    (found.step, found.wall_time),
                    (expected["step"].as_u64().unwrap(), expected["wall_time"].as_f64().unwrap())
                );
                assert_eq!(found.value as f32, expected["value"].as_f64().unwrap() as f32);
            }
        }
    }

    #[test]
    fn a_torn_end_is_left_out_and_damage_is_named() {
        let (folder, _) = golden();
        let mut files = Vec::new();
        list(&folder, &mut files).unwrap();
        files.sort();
        let whole = fs::read(&files[0]).unwrap();
        let count = scalars(&whole).unwrap().0.len();
        for cut in 1..16 {
            assert_eq!(scalars(&whole[..whole.len() - cut]).unwrap().0.len(), count - 1, "{cut}");
        }
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 4;
            let message = scalars(&damaged).expect_err("a changed byte is noticed");
            assert!(message.ends_with("is damaged"), "{place}: {message}");
        }
    }
}
