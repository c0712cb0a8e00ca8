//! Whether anything was recorded since somebody last looked, without reading it.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::Path;

use super::{RecordError, SweepFolder};
use crate::spec::Plan;

/// What changes when anything of a sweep is recorded: how long its plan and its journals are, when they were written, which runs have ended, and
/// when they were evaluated since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordMark(u64);

impl RecordMark {
    /// Of the runs of `plan`, and of the plan's file itself.
    pub fn of(folder: &SweepFolder, plan: &Plan) -> Result<Self, RecordError> {
        let mut hasher = DefaultHasher::new();
        mark(&folder.plan_file(), &mut hasher)?;
        for run in &plan.runs {
            let own = folder.run(&run.run_id);
            own.has_ended().hash(&mut hasher);
            mark(&own.journal(), &mut hasher)?;
            mark(&own.evaluations(), &mut hasher)?;
            for attempt in folder.open_attempts(&run.run_id)? {
                attempt.path.hash(&mut hasher);
                mark(&attempt.journal(), &mut hasher)?;
            }
        }
        Ok(Self(hasher.finish()))
    }
}

/// Length and time of a file; nothing of one that is not there.
fn mark(path: &Path, hasher: &mut DefaultHasher) -> Result<(), RecordError> {
    match fs::metadata(path) {
        Ok(metadata) => {
            metadata.len().hash(hasher);
            // Where there are no times, the length says enough: a journal only grows.
            metadata.modified().ok().hash(hasher);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(RecordError::io("look at", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{PlannedRun, RunSpec};

    #[test]
    fn it_changes_with_every_line_and_with_nothing_else() {
        let results = tempfile::tempdir().unwrap();
        let folder = SweepFolder::new(results.path(), "tiny");
        let run = PlannedRun::of_baseline(RunSpec::default());
        let own = folder.run(&run.run_id);
        let plan = Plan::of_test("tiny", vec![run]);
        let mut marks = vec![RecordMark::of(&folder, &plan).unwrap()];
        fs::create_dir_all(&own.path).unwrap();
        assert_eq!(RecordMark::of(&folder, &plan).unwrap(), marks[0]);
        for (path, text) in [
            (own.journal(), "a\n"),
            (own.journal(), "a\nb\n"),
            (own.path.join("DONE"), "{}"),
            (folder.plan_file(), "{}"),
        ] {
            fs::write(path, text).unwrap();
            let mark = RecordMark::of(&folder, &plan).unwrap();
            assert!(!marks.contains(&mark), "{text}");
            assert_eq!(RecordMark::of(&folder, &plan).unwrap(), mark);
            marks.push(mark);
        }
        fs::write(folder.live_file(), "{}").unwrap();
        assert_eq!(RecordMark::of(&folder, &plan).unwrap(), *marks.last().unwrap());
    }
}
