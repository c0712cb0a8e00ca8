//! Runs on a cluster: every attempt has a folder of its own; one rename makes it the run's folder.
//!
//! ```text
//! results/<sweep>/attempts/<run-id>/<token>/   as a run's folder
//! ```
//!
//! A node that was given up for lost may go on with a run that another node has begun again. Both then write, each to the
//! folder of its own attempt; the first that ends makes its folder `runs/<run-id>`, and the second finds that there is one. No
//! lock and no clock decides, because folders that several machines share keep neither well.

use std::fs;
use std::io;

use super::attempt_copy::copy;
use super::{RecordError, RunFolder, SweepFolder, effective_events, read_journal};
use crate::event::RunEvent;
use crate::spec::{PlannedRun, RunId};

/// The fate of an attempt that ended for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// Its folder is the run's.
    Placed,
    /// Another attempt was first; this one's folder stays where it is.
    OtherWasFirst,
}

/// How far a folder is: whether it ended, the step of its last checkpoint, how often it was begun, what it has recorded. The attempt that was
/// begun last counts for more than one that got further beyond the same checkpoint and died.
pub type Progress = (bool, u64, usize, usize);

impl SweepFolder {
    /// The folder of one attempt.
    pub fn attempt(&self, run_id: &RunId, token: &str) -> RunFolder {
        RunFolder { path: self.attempts(run_id).join(token) }
    }

    fn attempts(&self, run_id: &RunId) -> std::path::PathBuf {
        self.path.join("attempts").join(run_id.as_str())
    }

    /// The folders of a run's attempts that have not become the run's own, by name.
    pub fn open_attempts(&self, run_id: &RunId) -> Result<Vec<RunFolder>, RecordError> {
        let path = self.attempts(run_id);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(RecordError::io("read", &path)(error)),
        };
        // A name with a dot before it is a copy that is not whole yet.
        let is_whole = |name: &std::ffi::OsStr| !name.to_string_lossy().starts_with('.');
        let mut names: Vec<_> =
            entries.flatten().map(|entry| entry.file_name()).filter(|name| is_whole(name)).collect();
        names.sort_unstable();
        Ok(names.into_iter().map(|name| RunFolder { path: path.join(name) }).collect())
    }

    /// The folder of a run's record: `runs/<run-id>`, unless the run has not ended there and an attempt is further.
    pub fn current(&self, run_id: &RunId) -> Result<RunFolder, RecordError> {
        let own = self.run(run_id);
        if own.has_ended() {
            return Ok(own);
        }
        Ok(self.furthest(run_id)?.unwrap_or(own))
    }

    /// The attempt that is further than all others and than `runs/<run-id>`.
    fn furthest(&self, run_id: &RunId) -> Result<Option<RunFolder>, RecordError> {
        let attempts = self.open_attempts(run_id)?;
        if attempts.is_empty() {
            return Ok(None);
        }
        let own = self.run(run_id);
        let mut best = own.path.exists().then(|| progress(&own)).transpose()?.map(|progress| (progress, None));
        for attempt in attempts {
            match progress(&attempt) {
                Ok(progress) if best.as_ref().is_none_or(|(best, _)| progress > *best) => {
                    best = Some((progress, Some(attempt)));
                }
                Ok(_) => {}
                // Another process has made it the run's own meanwhile, or removed it as a part of that.
                Err(RecordError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(best.and_then(|(_, attempt)| attempt))
    }

    /// Makes the folder of a new attempt, which goes on from where the furthest is. `token` names no other attempt of any machine.
    pub fn begin_attempt(&self, run: &PlannedRun, token: &str) -> Result<RunFolder, RecordError> {
        let begun = self.attempt(&run.run_id, token);
        loop {
            let from = self.current(&run.run_id)?;
            copy(&from, &begun, run)?;
            // Unless it became the run, or was removed as a part of it, while it was copied.
            if from.path.exists() || self.current(&run.run_id)?.path == from.path {
                return Ok(begun);
            }
            fs::remove_dir_all(&begun.path).map_err(RecordError::io("remove", &begun.path))?;
        }
    }

    /// Makes an attempt that has ended the run's own, where who made it could not. Gives the run's folder if it has ended.
    pub fn settle(&self, run_id: &RunId) -> Result<Option<RunFolder>, RecordError> {
        let current = self.current(run_id)?;
        if !current.has_ended() {
            return Ok(None);
        }
        let own = self.run(run_id);
        if current.path != own.path && !own.path.exists() {
            let token = current.path.file_name().expect("an attempt has a name").to_string_lossy().into_owned();
            self.commit(run_id, &token)?;
        }
        Ok(own.has_ended().then_some(own))
    }

    /// Makes the folder of an attempt that has ended for good the run's own.
    pub fn commit(&self, run_id: &RunId, token: &str) -> Result<Commit, RecordError> {
        let (attempt, own) = (self.attempt(run_id, token), self.run(run_id));
        let runs = self.path.join("runs");
        fs::create_dir_all(&runs).map_err(RecordError::io("make the folder", &runs))?;
        match fs::rename(&attempt.path, &own.path) {
            Ok(()) => {}
            // A server whose answer was lost is asked again, and has done it already.
            Err(error) if error.kind() == io::ErrorKind::NotFound && own.has_ended() => {}
            Err(error)
                if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists)
                    && own.path.exists() =>
            {
                return Ok(Commit::OtherWasFirst);
            }
            Err(error) => return Err(RecordError::io("rename", &attempt.path)(error)),
        }
        self.forget_forerunners(run_id, &own);
        Ok(Commit::Placed)
    }

    /// Removes the attempts that `own` went on from: all that they recorded is in it. What is left of another stays.
    fn forget_forerunners(&self, run_id: &RunId, own: &RunFolder) {
        let Ok(whole) = fs::read(own.journal()) else { return };
        for attempt in self.open_attempts(run_id).unwrap_or_default() {
            let is_part = match fs::read(attempt.journal()) {
                Ok(part) => whole.starts_with(whole_lines(&part)),
                Err(error) => error.kind() == io::ErrorKind::NotFound,
            };
            if is_part {
                // Of no more use; one that stays does no harm.
                let _ = fs::remove_dir_all(&attempt.path);
            }
        }
        // It fails while another attempt is in it.
        let _ = fs::remove_dir(self.attempts(run_id));
    }

    /// Removes attempts at a run of which everything is in its own folder; another stays.
    pub fn forget_parts(&self, run_id: &RunId) {
        self.forget_forerunners(run_id, &self.run(run_id));
    }

    /// Gives a run to the cluster: what `runs/<run-id>` holds of it becomes an attempt, so that the first that ends finds the place
    /// free.
    pub fn set_aside(&self, run: &PlannedRun, token: &str) -> Result<(), RecordError> {
        let (own, attempt) = (self.run(&run.run_id), self.attempt(&run.run_id, token));
        if own.path.exists() && own.is_held()? {
            own.lock()?;
        }
        let attempts = self.attempts(&run.run_id);
        fs::create_dir_all(&attempts).map_err(RecordError::io("make the folder", &attempts))?;
        match fs::rename(&own.path, &attempt.path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !self.open_attempts(&run.run_id)?.is_empty() {
                    return Ok(());
                }
            }
            Err(error) => return Err(RecordError::io("rename", &own.path)(error)),
        }
        attempt.prepare(run)
    }

    /// Takes a run back from the cluster: the furthest attempt becomes `runs/<run-id>`, and what was there an attempt.
    pub fn take_back(&self, run: &PlannedRun) -> Result<RunFolder, RecordError> {
        let own = self.run(&run.run_id);
        if own.has_ended() {
            self.forget_forerunners(&run.run_id, &own);
            return Ok(own);
        }
        let Some(furthest) = self.furthest(&run.run_id)? else { return Ok(own) };
        if own.path.exists() {
            let aside = self.attempt(&run.run_id, &format!("local-{}", self.open_attempts(&run.run_id)?.len()));
            fs::rename(&own.path, &aside.path).map_err(RecordError::io("rename", &own.path))?;
        }
        match furthest.has_ended() {
            // Nothing writes there any more.
            true => fs::rename(&furthest.path, &own.path).map_err(RecordError::io("rename", &furthest.path))?,
            // A node may go on with it.
            false => copy(&furthest, &own, run)?,
        }
        Ok(own)
    }
}

/// How far a folder is; the larger is further.
pub fn progress(folder: &RunFolder) -> Result<Progress, RecordError> {
    let events = effective_events(read_journal(&folder.journal())?.events);
    let checkpoint = events.iter().rev().find_map(|(_, event)| match event {
        RunEvent::Checkpointed { stamp, .. } => Some(stamp.step),
        _ => None,
    });
    let starts = events.iter().filter(|(_, event)| matches!(event, RunEvent::Started(_))).count();
    Ok((folder.has_ended(), checkpoint.unwrap_or(0), starts, events.len()))
}

/// The lines of a journal that are whole.
pub(super) fn whole_lines(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1)]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::event::{RunOutcome, Stamp, Started};
    use crate::record::{Journal, RunRecord, RunState, write_beside};
    use crate::spec::RunSpec;

    fn sweep() -> (tempfile::TempDir, SweepFolder, PlannedRun) {
        let results = tempfile::tempdir().unwrap();
        let folder = SweepFolder::new(results.path(), "sweep");
        (results, folder, PlannedRun::of_baseline(RunSpec::default()))
    }

    /// Trains to a checkpoint at `step`, the `number`th.
    fn train(folder: &RunFolder, attempt: u32, from: u32, step: u64, number: u32) {
        let mut journal = Journal::open(&folder.journal()).unwrap();
        let stamp = Stamp { step, ..Stamp::default() };
        journal.append(&RunEvent::Started(Started::of_test(attempt, from))).unwrap();
        journal.append(&RunEvent::Checkpointed { stamp, checkpoint: number, losses: Vec::new() }).unwrap();
        write_beside(&folder.checkpoint(), format!("step {step}").as_bytes()).unwrap();
    }

    fn end(folder: &RunFolder) {
        let mut journal = Journal::open(&folder.journal()).unwrap();
        journal.append(&RunEvent::Ended { stamp: Stamp::default(), outcome: RunOutcome::Completed }).unwrap();
        fs::write(folder.curves(), "a table").unwrap();
        folder.write_done(&RunOutcome::Completed).unwrap();
    }

    #[test]
    fn an_attempt_goes_on_from_the_furthest_and_becomes_the_run() {
        let (_results, folder, run) = sweep();
        folder.set_aside(&run, "0").unwrap();
        let first = folder.begin_attempt(&run, "a").unwrap();
        train(&first, 1, 0, 10, 1);
        let second = folder.begin_attempt(&run, "b").unwrap();
        assert_eq!(fs::read_to_string(second.checkpoint()).unwrap(), "step 10");
        train(&second, 2, 1, 20, 2);
        // The file that both had a name for was replaced for one of them alone.
        assert_eq!(fs::read_to_string(first.checkpoint()).unwrap(), "step 10");
        assert_eq!(folder.current(&run.run_id).unwrap().path, second.path);
        assert_eq!(RunRecord::read(&folder, &run).unwrap().state, RunState::Unfinished);
        end(&second);
        assert_eq!(folder.commit(&run.run_id, "b").unwrap(), Commit::Placed);
        assert_eq!(RunRecord::read(&folder, &run).unwrap().attempts.len(), 2);
        assert!(folder.run(&run.run_id).has_ended());
        assert!(!folder.path.join("attempts").join(run.run_id.as_str()).exists(), "nothing is left of its forerunners");
    }

    #[test]
    fn what_a_trainer_of_ones_own_keeps_goes_along_and_is_not_shared() {
        let (_results, folder, run) = sweep();
        let trainer = Some(crate::spec::Trainer::default());
        let run = PlannedRun { spec: RunSpec { trainer, ..run.spec }, ..run };
        folder.set_aside(&run, "0").unwrap();
        let first = folder.begin_attempt(&run, "a").unwrap();
        train(&first, 1, 0, 10, 1);
        let files = ["checkpoint/model/part.bin", "output/notes.txt"];
        for file in files {
            let path = first.path.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "before").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink("model", first.path.join("checkpoint/latest")).unwrap();
        let second = folder.begin_attempt(&run, "b").unwrap();
        for file in files {
            // In place, as some programs write.
            fs::write(first.path.join(file), "after").unwrap();
            assert_eq!(fs::read_to_string(second.path.join(file)).unwrap(), "before", "{file}");
        }
        #[cfg(unix)]
        assert_eq!(fs::read_link(second.path.join("checkpoint/latest")).unwrap(), Path::new("model"));
    }

    #[test]
    fn of_two_copies_the_first_that_ends_is_the_run_and_the_other_is_kept() {
        let (_results, folder, run) = sweep();
        folder.set_aside(&run, "0").unwrap();
        for token in ["lost", "again"] {
            let attempt = folder.begin_attempt(&run, token).unwrap();
            train(&attempt, 1, 0, 10, 1);
            end(&attempt);
        }
        assert_eq!(folder.commit(&run.run_id, "again").unwrap(), Commit::Placed);
        // Its journal says the same, so it was a forerunner as far as anyone can tell.
        assert!(folder.open_attempts(&run.run_id).unwrap().is_empty());
        let late = folder.begin_attempt(&run, "late").unwrap();
        train(&late, 3, 0, 30, 1);
        assert_eq!(folder.commit(&run.run_id, "late").unwrap(), Commit::OtherWasFirst);
        assert_eq!(folder.open_attempts(&run.run_id).unwrap().len(), 1);
        assert_eq!(RunRecord::read(&folder, &run).unwrap().state, RunState::Ended(RunOutcome::Completed));
    }

    #[test]
    fn a_run_goes_to_the_cluster_and_back_with_what_it_has_done() {
        let (_results, folder, run) = sweep();
        let own = folder.run(&run.run_id);
        own.prepare(&run).unwrap();
        train(&own, 1, 0, 10, 1);
        folder.set_aside(&run, "0").unwrap();
        assert!(!own.path.exists());
        let attempt = folder.begin_attempt(&run, "a").unwrap();
        train(&attempt, 2, 1, 20, 2);
        let taken = folder.take_back(&run).unwrap();
        assert_eq!(taken.path, own.path);
        assert_eq!(fs::read_to_string(own.checkpoint()).unwrap(), "step 20");
        assert_eq!(RunRecord::read(&folder, &run).unwrap().attempts.len(), 2);
        // The node goes on, and ends first: nothing of either is lost.
        train(&attempt, 3, 2, 30, 3);
        end(&attempt);
        assert_eq!(folder.commit(&run.run_id, "a").unwrap(), Commit::OtherWasFirst);
        let taken = folder.take_back(&run).unwrap();
        assert!(taken.has_ended() && taken.path == own.path);
    }

    #[test]
    fn a_copy_of_a_run_that_is_being_written_has_no_torn_line() {
        let (_results, folder, run) = sweep();
        folder.set_aside(&run, "0").unwrap();
        let first = folder.begin_attempt(&run, "a").unwrap();
        train(&first, 1, 0, 10, 1);
        let mut torn = fs::read(first.journal()).unwrap();
        torn.extend_from_slice(b"{\"event\":\"train");
        fs::write(first.journal(), torn).unwrap();
        let second = folder.begin_attempt(&run, "b").unwrap();
        let contents = read_journal(&second.journal()).unwrap();
        assert_eq!((contents.events.len(), contents.torn_lines, contents.damage.len()), (2, 0, 0));
    }
}
