//! Results of one sweep from several machines, joined by run: nothing is changed, nothing is lost.
//!
//! ```text
//! folders -> plans joined -> the records of each run compared -> Merge; nothing is written before every conflict is known
//! Merge::carry_out -> records copied whole, each renamed into place -> the plan, last
//! ```
//!
//! A merge that was interrupted leaves whole records without a plan; the same merge again goes on with them.

mod copy;
mod error;
mod into;
mod plans;
mod protocols;
mod runs;

use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

pub use error::MergeError;

use self::runs::Gathered;
use crate::checksum::sha256;
use crate::record::{Lock, PlanFile, RecordError, SweepFolder, lies_in, write_beside};
use crate::spec::RunId;

/// What is to be done, with every conflict ruled out.
pub struct Merge {
    into: SweepFolder,
    sources: Vec<Source>,
    plan: PlanFile,
    runs: Vec<Gathered>,
    /// The sweep's own file, where a source has it.
    sweep: Option<Vec<u8>>,
    /// Held from before `into` was read, where it was there.
    lock: Option<Lock>,
}

/// A folder of results, and the plan that is frozen in it.
struct Source {
    folder: SweepFolder,
    /// What is left of an interrupted merge has none.
    plan: Option<PlanFile>,
}

impl Merge {
    /// The same as [`Self::of`], for who carries it out: takes `into` for this process before it is read.
    pub fn locked(folders: &[PathBuf], into: &Path) -> Result<Self, MergeError> {
        let folder = SweepFolder { path: into.to_owned() };
        // Nothing is written into a folder of other things, and none is made before every conflict is known.
        let lock = into::known(&folder)?.map(|_| folder.lock()).transpose()?;
        Ok(Self { lock, ..Self::of(folders, into)? })
    }

    /// Reads everything and writes nothing. What `into` holds already takes part.
    pub fn of(folders: &[PathBuf], into: &Path) -> Result<Self, MergeError> {
        let into = SweepFolder { path: into.to_owned() };
        let mut sources = Vec::new();
        if let Some(known) = into::known(&into)? {
            sources.push(known);
        }
        for path in folders {
            let folder = SweepFolder { path: path.clone() };
            let plan = PlanFile::read(&folder)?.ok_or_else(|| MergeError::NoSweep { path: path.clone() })?;
            if is_same(path, &into.path) {
                continue;
            }
            for (inner, outer) in [(path, &into.path), (&into.path, path)] {
                if lies_in(inner, outer) {
                    return Err(MergeError::Nested { inner: inner.clone(), outer: outer.clone() });
                }
            }
            if let Some(holder) = folder.holder()? {
                return Err(RecordError::Held { folder: path.clone(), holder }.into());
            }
            sources.push(Source { folder, plan: Some(plan) });
        }
        let plan = plans::join(&sources)?;
        let mut run_ids: Vec<RunId> = Vec::new();
        for source in &sources {
            run_ids.extend(source.folder.recorded()?);
        }
        run_ids.sort_unstable();
        run_ids.dedup();
        let gathered = run_ids.par_iter().map(|run_id| Gathered::of(run_id, &sources));
        let gathered: Vec<Option<Gathered>> = gathered.collect::<Result<_, _>>()?;
        let runs: Vec<Gathered> = gathered.into_iter().flatten().collect();
        protocols::check(&runs)?;
        let sweep = into::sweep_file(&sources)?;
        Ok(Self { into, sources, plan, runs, sweep, lock: None })
    }

    /// The plan that the merged folder gets.
    pub fn plan(&self) -> &PlanFile {
        &self.plan
    }

    /// The folder that is written.
    pub fn folder(&self) -> &SweepFolder {
        &self.into
    }

    /// How many runs have recorded something.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// What a person should know of it.
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.runs.iter().filter_map(|run| run.note.clone()).collect();
        let is_planned = |run: &&Gathered| self.plan.plan.runs.iter().any(|planned| planned.run_id == run.run_id);
        let unplanned = self.runs.iter().filter(|run| !is_planned(run)).count();
        if unplanned > 0 {
            notes.push(format!("{unplanned} runs are in no plan any more; their records are kept"));
        }
        notes
    }

    /// Copies what is missing, and writes the plan last. `progress` hears how many runs are done, of how many.
    pub fn carry_out(&self, progress: &mut dyn FnMut(usize, usize)) -> Result<(), MergeError> {
        let _lock = match &self.lock {
            Some(_) => None,
            None => Some(self.lock_new()?),
        };
        for (done, run) in self.runs.iter().enumerate() {
            progress(done, self.runs.len());
            run.carry_into(&self.into)?;
        }
        progress(self.runs.len(), self.runs.len());
        // It fails while something is in it.
        let _ = fs::remove_dir(self.into.path.join("attempts"));
        // What each machine had planned, as it was written: the merged plan has one time and one command line.
        for source in &self.sources {
            let path = source.folder.plan_file();
            if source.plan.as_ref().is_none_or(|plan| *plan == self.plan) {
                continue;
            }
            let bytes = fs::read(&path).map_err(RecordError::io("read", &path))?;
            let kept = self.into.path.join("plans").join(format!("{}.json", &sha256(&bytes)[..12]));
            if !kept.exists() {
                write_beside(&kept, &bytes)?;
            }
        }
        if let Some(bytes) = &self.sweep {
            let path = self.into.path.join(into::SWEEP);
            if !path.exists() {
                write_beside(&path, bytes)?;
            }
        }
        Ok(self.plan.write(&self.into)?)
    }

    /// Takes a folder that was not there when it was read.
    fn lock_new(&self) -> Result<Lock, MergeError> {
        let lock = self.into.lock()?;
        match into::names_in(&self.into.path)?.is_some_and(|names| names == ["lock"]) {
            true => Ok(lock),
            false => Err(MergeError::Meanwhile { path: self.into.path.clone() }),
        }
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
