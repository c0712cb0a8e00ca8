//! Where other files may be written: not over records, not over a sweep's file, not over each other.

use std::path::{Component, Path, PathBuf};

use super::{RecordError, SweepFolder};

/// A path without links and `..`, also where its end is not there yet.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut found = PathBuf::new();
    for part in absolute.components() {
        match part {
            Component::ParentDir => drop(found.pop()),
            part => found.push(part),
        }
        // What is not there has no links.
        found = found.canonicalize().unwrap_or(found);
    }
    found
}

/// Whether a path is a folder or leads into it, by whatever name.
pub fn lies_in(path: &Path, folder: &Path) -> bool {
    resolved(path).starts_with(resolved(folder))
}

/// Refuses files and folders to be written that would replace a record, the sweep's own file, or each other.
pub fn refuse_outputs(outputs: &[&Path], folder: &SweepFolder, sweep: &Path) -> Result<(), RecordError> {
    for (index, output) in outputs.iter().enumerate() {
        let refused = |reason: String| Err(RecordError::WrittenOver { path: (*output).to_owned(), reason });
        if output.file_name().is_none() {
            return Err(RecordError::NoName { path: (*output).to_owned() });
        }
        if lies_in(output, &folder.path) {
            return refused(format!("{} holds records", folder.path.display()));
        }
        if sweep.is_file() && resolved(output) == resolved(sweep) {
            return refused("it is the sweep's own file".to_owned());
        }
        let earlier = outputs[..index].iter().find(|other| lies_in(output, other) || lies_in(other, output));
        if let Some(other) = earlier {
            return refused(format!("{} is written too", other.display()));
        }
        refuse_folder(output)?;
    }
    Ok(())
}

/// Refuses a place that is a sweep's results, or lies in them.
pub fn refuse_folder(path: &Path) -> Result<(), RecordError> {
    let place = resolved(path);
    match place.ancestors().find(|folder| folder.join("plan.json").is_file()) {
        Some(folder) => Err(RecordError::WrittenOver {
            path: path.to_owned(),
            reason: format!("{} holds a sweep's results", folder.display()),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn records_the_sweep_and_other_outputs_are_not_written_over() {
        let temporary = tempfile::tempdir().unwrap();
        let at = |path: &str| temporary.path().join(path);
        fs::create_dir_all(at("results/a/runs")).unwrap();
        fs::create_dir_all(at("other")).unwrap();
        fs::write(at("other/plan.json"), "{}").unwrap();
        fs::write(at("sweep.yaml"), "").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(at("results/a"), at("link")).unwrap();
        let folder = SweepFolder { path: at("results/a") };
        let check = |outputs: &[&str]| {
            let outputs: Vec<PathBuf> = outputs.iter().map(|output| at(output)).collect();
            let outputs: Vec<&Path> = outputs.iter().map(PathBuf::as_path).collect();
            refuse_outputs(&outputs, &folder, &at("sweep.yaml")).map_err(|error| error.to_string())
        };
        for outputs in [&["a.csv", "b.csv"][..], &["results/a.zip"], &["results/ab/x"], &["new/deep/a.csv"]] {
            assert_eq!(check(outputs), Ok(()), "{outputs:?}");
        }
        for (outputs, words) in [
            (&["results/a/plan.json"][..], "holds records"),
            (&["results/a/curves.parquet"], "holds records"),
            (&["results/a"], "holds records"),
            (&["results/b/../a/x"], "holds records"),
            (&["other/new/x.csv"], "holds a sweep's results"),
            (&["./sweep.yaml"], "it is the sweep's own file"),
            (&["x", "new/../x"], "is written too"),
            (&["x", "x/y"], "is written too"),
            (&["x/.."], "names no file"),
        ] {
            let error = check(outputs).unwrap_err();
            assert!(error.contains(words), "{outputs:?}: {error}");
        }
        #[cfg(unix)]
        assert!(check(&["link/x"]).unwrap_err().contains("holds records"));
    }
}
