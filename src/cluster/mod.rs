//! Places runs on a cluster: tasks of runs, jobs of tasks, and the files and commands for each engine.
//!
//! Every engine is given one command with one number, `speedlab exec RESULTS SWEEP --submission N --task I`. The records say
//! which runs are done; an engine is asked only which tasks still wait or run, so that no run is handed in twice. Nothing here
//! knows what a run does.

mod error;
mod kubernetes;
mod slurm;
mod tasks;

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

pub use error::ClusterError;
pub use kubernetes::{Kubernetes, manifest, on_volume};
pub use slurm::Slurm;
pub use tasks::{chunks, parts};

use crate::process::output_within;
use crate::record::{JobKind, Submission, SweepFolder};

/// How long a cluster's program may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A task of a submission that waits or runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveTask {
    /// The job's id.
    pub job: String,
    /// Its name: see [`job_name`].
    pub name: String,
    /// Counts from 0 in its job; `None` of a job that has no tasks.
    pub index: Option<usize>,
    /// As the cluster calls it: `PENDING`, `RUNNING`.
    pub state: String,
    /// Why it waits, as the cluster says.
    pub reason: String,
}

impl LiveTask {
    /// `job 17_3`.
    pub fn words(&self) -> String {
        let index = self.index.map_or_else(String::new, |index| format!("_{index}"));
        format!("job {}{index}", self.job)
    }
}

/// The name of a submission's job number `index`: the same from every login node, and no other sweep's.
pub fn job_name(folder: &SweepFolder, submission: u32, index: usize) -> String {
    // Results are reached by one path on the whole cluster, so its sum tells sweeps apart that have one name.
    let sum = crate::checksum::sha256(folder.path.as_os_str().as_encoded_bytes());
    format!("speedlab-{}-{submission}-{index}", &sum[..8])
}

/// What a cluster's program says.
fn ask(program: &'static str, command: &mut Command) -> Result<Output, ClusterError> {
    match output_within(command, PATIENCE) {
        Ok(Some(output)) => Ok(output),
        Ok(None) => Err(ClusterError::NoAnswer { program, seconds: PATIENCE.as_secs(), tries: 1 }),
        Err(source) => Err(ClusterError::NoProgram { program, source }),
    }
}

/// The command of a job: that of one task where it has tasks, with the engine's own word for the index.
pub fn command(folder: &SweepFolder, submission: &Submission, kind: JobKind, index: &str) -> Vec<String> {
    let text = |path: &Path| path.display().to_string();
    let results = folder.path.parent().expect("a sweep's folder is in that of results");
    let sweep = folder.path.file_name().expect("a sweep's folder has its name").to_string_lossy().into_owned();
    let program = text(&folder.frozen_program(&submission.build));
    let mut words =
        vec![program, "exec".into(), text(results), sweep, "--submission".into(), submission.number.to_string()];
    match kind {
        JobKind::Prepare => words.push("--prepare".into()),
        JobKind::Tasks => words.extend(["--task".into(), index.to_owned()]),
        JobKind::Finish => words.push("--finish".into()),
    }
    words
}
