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
mod plans;
mod protocols;
mod runs;

use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

pub use error::MergeError;

use self::runs::Gathered;
use crate::checksum::sha256;
use crate::record::{PlanFile, RecordError, SweepFolder, write_beside};
use crate::spec::RunId;

/// What is to be done, with every conflict ruled out.
pub struct Merge {
    into: SweepFolder,
    sources: Vec<Source>,
    plan: PlanFile,
    runs: Vec<Gathered>,
}

/// A folder of results, and the plan that is frozen in it.
struct Source {
    folder: SweepFolder,
    /// What is left of an interrupted merge has none.
    plan: Option<PlanFile>,
}

impl Merge {
    /// Reads everything and writes nothing. What `into` holds already takes part.
    pub fn of(folders: &[PathBuf], into: &Path) -> Result<Self, MergeError> {
        let into = SweepFolder { path: into.to_owned() };
        let mut sources = Vec::new();
        if let Some(known) = known(&into)? {
            sources.push(known);
        }
        for path in folders {
            let folder = SweepFolder { path: path.clone() };
            let plan = PlanFile::read(&folder)?.ok_or_else(|| MergeError::NoSweep { path: path.clone() })?;
            if is_same(path, &into.path) {
                continue;
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
        Ok(Self { into, sources, plan, runs })
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
        let _lock = self.into.lock()?;
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
            let bytes = fs::read(&path).map_err(|source| MergeError::Io { action: "read", path, source })?;
            let kept = self.into.path.join("plans").join(format!("{}.json", &sha256(&bytes)[..12]));
            if !kept.exists() {
                write_beside(&kept, &bytes)?;
            }
        }
        Ok(self.plan.write(&self.into)?)
    }
}

/// What may be in a folder that has no plan yet.
const OURS: [&str; 7] = ["runs", "attempts", "plans", "lock", "curves.parquet", "report", "live.json"];

/// What the folder that is written holds already; `None` if there is none.
fn known(into: &SweepFolder) -> Result<Option<Source>, MergeError> {
    let Ok(entries) = fs::read_dir(&into.path) else { return Ok(None) };
    let plan = PlanFile::read(into)?;
    let is_ours = |name: &str| OURS.contains(&name) || name.starts_with('.');
    if plan.is_none() && entries.flatten().any(|entry| !is_ours(&entry.file_name().to_string_lossy())) {
        return Err(MergeError::Occupied { path: into.path.clone() });
    }
    Ok(Some(Source { folder: into.clone(), plan }))
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
