//! Which run a person means.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::record::{RecordError, RunFolder, SweepFolder};
use crate::spec::RunId;

/// Runs that an error names.
const NAMED_RUNS: usize = 12;

/// The run whose folder `name` is, or the only one in any sweep of `results` whose id begins with it.
pub(super) fn find_run(name: &str, results: &Path) -> anyhow::Result<RunFolder> {
    let path = Path::new(name);
    if path.join("spec.json").is_file() {
        let path = fs::canonicalize(path).with_context(|| format!("cannot find {}", path.display()))?;
        return Ok(RunFolder { path });
    }
    let runs = recorded_runs(results)?;
    let mut matching: Vec<&(RunFolder, RunId)> = runs.iter().filter(|(_, id)| id.as_str().starts_with(name)).collect();
    match matching.len() {
        0 if runs.is_empty() => Err(RecordError::Nothing { path: results.to_owned() }.into()),
        0 => bail!(
            "there is no run `{name}` in {}; there {}\nhint: name a run's folder, its id or the beginning of its id; `speedlab status` lists the ids",
            results.display(),
            list(&runs.iter().collect::<Vec<_>>())
        ),
        1 => Ok(matching.remove(0).0.clone()),
        _ => bail!(
            "`{name}` may be any of these; there {}\nhint: write more of the id, or name the run's folder",
            list(&matching)
        ),
    }
}

/// Every run in every sweep of `results`, by path.
fn recorded_runs(results: &Path) -> anyhow::Result<Vec<(RunFolder, RunId)>> {
    let mut runs = Vec::new();
    for sweep in folders_in(results)? {
        let paths = [folders_in(&sweep.join("runs"))?, folders_in(&sweep.join("attempts"))?].concat();
        let mut ids: Vec<RunId> = paths.iter().filter_map(|path| RunId::parse(path.file_name()?.to_str()?)).collect();
        ids.sort_unstable();
        ids.dedup();
        let folder = SweepFolder { path: sweep };
        for run_id in ids {
            runs.push((folder.current(&run_id)?, run_id));
        }
    }
    Ok(runs)
}

/// Sorted; none if the folder does not exist or is a file.
fn folders_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let cannot_list = || format!("cannot list {}", folder.display());
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error).with_context(cannot_list),
    };
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry.with_context(cannot_list)?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

/// `are 2:` and a line for each run.
fn list(runs: &[&(RunFolder, RunId)]) -> String {
    let mut text = if runs.len() == 1 { "is 1:".to_owned() } else { format!("are {}:", runs.len()) };
    for (run, run_id) in runs.iter().take(NAMED_RUNS) {
        // Its id is enough where its spec cannot be read.
        let title = run.read_spec().map_or_else(|_| String::new(), |run| format!("  {} seed {}", run.trial, run.seed));
        text += &format!("\n  {}{title}  {}", run_id, run.path.display());
    }
    if runs.len() > NAMED_RUNS {
        text += &format!("\n  and {} more", runs.len() - NAMED_RUNS);
    }
    text
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::spec::{PlannedRun, RunSpec};

    /// Runs of two sweeps, given as (sweep, id).
    fn results(runs: &[(&str, &str)]) -> TempDir {
        let results = tempfile::tempdir().unwrap();
        for (sweep, id) in runs {
            let run_id = RunId::parse(id).unwrap();
            let run = SweepFolder::new(results.path(), sweep).run(&run_id);
            let planned = PlannedRun { run_id, ..PlannedRun::of_baseline(RunSpec::default()) };
            run.prepare(&planned).unwrap();
        }
        results
    }

    fn found(name: &str, results: &TempDir) -> Result<String, String> {
        let id = |run: RunFolder| run.path.file_name().unwrap().to_string_lossy().into_owned();
        find_run(name, results.path()).map(id).map_err(|error| error.to_string())
    }

    const THREE: [(&str, &str); 3] = [("one", "0123456789ab"), ("one", "0199999999ab"), ("two", "abcdefabcdef")];

    #[test]
    fn a_run_is_found_by_its_folder_its_id_or_a_beginning_of_it() {
        let results = results(&THREE);
        fs::write(results.path().join("one/runs/notes.txt"), "no run").unwrap();
        fs::write(results.path().join("notes.txt"), "no sweep").unwrap();
        assert_eq!(found("0123456789ab", &results), Ok("0123456789ab".to_owned()));
        assert_eq!(found("012", &results), Ok("0123456789ab".to_owned()));
        assert_eq!(found("a", &results), Ok("abcdefabcdef".to_owned()));
        let folder = results.path().join("one/runs/0199999999ab/");
        assert_eq!(found(folder.to_str().unwrap(), &results), Ok("0199999999ab".to_owned()));
    }

    #[test]
    fn what_may_be_several_runs_names_them() {
        let results = results(&[THREE[0], THREE[1], THREE[2], ("two", "0123456789ab")]);
        let error = found("01", &results).unwrap_err();
        assert!(error.contains("are 3:") && error.contains("0199999999ab  baseline seed 0"), "{error}");
        assert!(error.contains("hint: write more of the id"), "{error}");
        assert!(found("0123456789ab", &results).unwrap_err().contains("are 2:"), "one id in two sweeps");
    }

    #[test]
    fn what_is_no_run_names_those_there_are() {
        let error = found("77", &results(&THREE)).unwrap_err();
        assert!(error.contains("there is no run `77`") && error.contains("abcdefabcdef"), "{error}");
        let error = found("77", &results(&[])).unwrap_err();
        assert!(error.contains("there is nothing recorded"), "{error}");
    }
}
