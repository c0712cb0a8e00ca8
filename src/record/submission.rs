//! The record of what was handed to a cluster.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::files::{read_json, write_json};
use super::{RecordError, SweepFolder};
use crate::spec::{Cluster, RunId};

/// The version of `submission.json`. A newer one is refused.
const SUBMISSION_VERSION: u32 = 1;

/// `results/<sweep>/submissions/<n>/submission.json`: runs that were handed to a cluster together, and by which jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Submission {
    /// The format's version when it was written.
    pub version: u32,
    /// Counts from 1.
    pub number: u32,
    /// RFC 3339, UTC.
    pub submitted_at: String,
    /// The machine that it was handed in from.
    pub host: String,
    /// The program, its version, and the first digits of its file's SHA-256.
    pub program: String,
    pub build: String,
    pub engine: Engine,
    /// The sweep's file and what was set beside it, as on the command line after `speedlab status`.
    pub sweep_arguments: String,
    /// `--data-dir`, absolute.
    pub data_folder: PathBuf,
    /// `--device` and `--jobs`, for each task.
    pub device: String,
    pub runs_at_once: Option<usize>,
    /// The options that the cluster was given.
    pub cluster: Cluster,
    /// Given verbatim to the cluster's own command, after all else.
    pub flags: Vec<String>,
    /// Whether the last job hands in again what is missing.
    pub persist: bool,
    /// The folder that relative paths of the sweep are seen from.
    pub started_in: PathBuf,
    /// Runs that had ended when it was handed in, and the steps that those of its tasks had done.
    pub ended_before: usize,
    pub steps_before: u64,
    /// The runs of each task.
    pub tasks: Vec<Vec<RunId>>,
    /// In the order in which they are handed in; without those that were not taken in.
    pub jobs: Vec<ClusterJob>,
    /// Names that were given to jobs: none is given twice.
    pub jobs_named: usize,
}

/// The engine that a sweep's runs are handed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    Slurm,
    Kubernetes,
    /// Any that starts one command for each index: the command is printed.
    Command,
}

/// A job of the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterJob {
    pub kind: JobKind,
    /// The tasks `first` to `first + count - 1`, as indices from 0; none of other kinds of jobs.
    #[serde(default)]
    pub first: usize,
    #[serde(default)]
    pub count: usize,
    /// Unique among all jobs of a cluster: by it a job is found whose submission was not answered.
    pub name: String,
    /// The cluster's name for the job; `None` until the cluster has accepted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// The work of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Decodes images and computes reference features, once.
    Prepare,
    Tasks,
    /// Writes the report, and hands in what is to follow.
    Finish,
}

impl Submission {
    /// Without runs and jobs. It has its place among the sweep's submissions from now on: making a folder is what two login nodes cannot
    /// both do.
    pub fn begin(folder: &SweepFolder, engine: Engine) -> Result<Self, RecordError> {
        let all = folder.path.join("submissions");
        fs::create_dir_all(&all).map_err(RecordError::io("make the folder", &all))?;
        let mut number = Self::numbers(folder)?.last().map_or(1, |last| last + 1);
        loop {
            let path = folder.submission(number);
            match fs::create_dir(&path) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(RecordError::io("make the folder", &path)(error)),
            }
        }
        Ok(Self {
            version: SUBMISSION_VERSION,
            number,
            submitted_at: String::new(),
            host: String::new(),
            program: String::new(),
            build: String::new(),
            engine,
            sweep_arguments: String::new(),
            data_folder: PathBuf::new(),
            device: String::new(),
            runs_at_once: None,
            cluster: Cluster::default(),
            flags: vec![],
            persist: false,
            started_in: PathBuf::new(),
            ended_before: 0,
            steps_before: 0,
            tasks: vec![],
            jobs: vec![],
            jobs_named: 0,
        })
    }

    pub fn read(folder: &SweepFolder, number: u32) -> Result<Self, RecordError> {
        read_json(&folder.submission(number).join(FILE), SUBMISSION_VERSION, SUBMISSION_VERSION)
    }

    /// The submissions of a sweep, oldest first; without those that ended before they were written.
    pub fn all(folder: &SweepFolder) -> Result<Vec<Self>, RecordError> {
        let numbers = Self::numbers(folder)?.into_iter();
        numbers
            .filter(|&number| folder.submission(number).join(FILE).exists())
            .map(|number| Self::read(folder, number))
            .collect()
    }

    pub fn write(&self, folder: &SweepFolder) -> Result<(), RecordError> {
        write_json(&folder.submission(self.number).join(FILE), self)
    }

    /// Ascending.
    fn numbers(folder: &SweepFolder) -> Result<Vec<u32>, RecordError> {
        let path = folder.path.join("submissions");
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(RecordError::io("read", &path)(error)),
        };
        let mut numbers: Vec<u32> =
            entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The task that has a run.
    pub fn task_of(&self, run_id: &RunId) -> Option<usize> {
        self.tasks.iter().position(|task| task.contains(run_id))
    }
}

const FILE: &str = "submission.json";

impl SweepFolder {
    /// `submissions/<n>`.
    pub fn submission(&self, number: u32) -> PathBuf {
        self.path.join("submissions").join(number.to_string())
    }

    /// The program as it was when runs were handed to a cluster, by the first digits of its SHA-256.
    pub fn frozen_program(&self, build: &str) -> PathBuf {
        self.path.join("submissions").join("programs").join(build).join("speedlab")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::RunSpec;

    #[test]
    fn submissions_are_counted_and_read_back() {
        let results = tempfile::tempdir().unwrap();
        let folder = SweepFolder::new(results.path(), "sweep");
        assert_eq!(Submission::all(&folder).unwrap(), []);
        let run = RunId::of(&RunSpec::default());
        let job = ClusterJob { kind: JobKind::Tasks, first: 0, count: 1, name: "a".into(), id: Some("7".into()) };
        let jobs = vec![job];
        let first =
            Submission { tasks: vec![vec![run.clone()]], jobs, ..Submission::begin(&folder, Engine::Slurm).unwrap() };
        first.write(&folder).unwrap();
        // It ended before it was written; its number is not given again.
        assert_eq!(Submission::begin(&folder, Engine::Slurm).unwrap().number, 2);
        assert_eq!(Submission::begin(&folder, Engine::Command).unwrap().number, 3);
        assert_eq!(Submission::all(&folder).unwrap(), std::slice::from_ref(&first));
        assert_eq!(first.task_of(&run), Some(0));
        let path = folder.submission(1).join(FILE);
        let changed = fs::read_to_string(&path).unwrap().replace("slurm", "slurn");
        fs::write(&path, changed).unwrap();
        assert!(matches!(Submission::all(&folder), Err(RecordError::Damaged { .. })));
    }
}
