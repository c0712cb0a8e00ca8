//! What a cluster is asked for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `cluster`: what `speedlab submit` asks of a cluster. Nothing of it changes a result, and none of it is part of a run's id. What it
/// has no key for is given verbatim: `flags`, or after `--` on the command line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// Slurm's partition. Default: the cluster's own.
    pub partition: String,
    /// The account that is charged. Default: the user's own.
    pub account: String,
    /// Minutes that a task may take; 0 leaves it to the partition. A run that needs longer goes on in another task. Default 0.
    pub minutes: u32,
    /// Processors of a task; 0 leaves it to the cluster. Default 0.
    pub cpus: u32,
    /// GPUs of a task. Default 0.
    pub gpus: u32,
    /// Memory of a task as the cluster writes it: `8G` for Slurm, `8Gi` for Kubernetes. Default: the cluster's own.
    pub memory: String,
    /// Kinds of nodes, as Slurm's `--constraint`. Default: any.
    pub constraint: String,
    /// Environment modules to load before a task, as in `module load NAME`. Default: none.
    pub modules: Vec<String>,
    /// Tasks of each array at once; 0 sets no limit. Default 0.
    pub at_once: u32,
    /// Short runs share a task of about so many minutes, by the estimate of `speedlab plan`; 0 gives every run a task of its own.
    /// Default 30.
    pub task_minutes: u32,
    /// A task whose time runs out goes back into the queue, unless it has gone there so often, for whatever reason. Default 20.
    pub requeues: u32,
    /// Seconds before the end of its time that a task is told to write a checkpoint, at most a quarter of `minutes`. Default 120.
    pub notice_seconds: u32,
    /// Given verbatim to `sbatch`, after all else. Default: none.
    pub flags: Vec<String>,
    /// The image of Kubernetes' containers: any that has a shell's libraries; the program itself is on the volume. Default
    /// `debian:stable-slim`.
    pub image: String,
    /// The claim of the volume that holds results and data in Kubernetes, and where it is mounted, which must be the same path as here:
    /// `CLAIM:/PATH`. Default: none.
    pub volume: String,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            partition: String::new(),
            account: String::new(),
            minutes: 0,
            cpus: 0,
            gpus: 0,
            memory: String::new(),
            constraint: String::new(),
            modules: vec![],
            at_once: 0,
            task_minutes: 30,
            requeues: 20,
            notice_seconds: 120,
            flags: vec![],
            image: "debian:stable-slim".to_owned(),
            volume: String::new(),
        }
    }
}

impl Cluster {
    /// The claim of `volume`, and where it is mounted; `None` if it is not written so.
    pub fn claim(&self) -> Option<(&str, &str)> {
        self.volume.split_once(':').filter(|(claim, mount)| !claim.is_empty() && mount.starts_with('/'))
    }

    /// Seconds of notice: a short task has less, so that it does something before it is told.
    pub fn notice(&self) -> u32 {
        match self.minutes {
            0 => self.notice_seconds,
            minutes => self.notice_seconds.min(minutes.saturating_mul(15)),
        }
    }
}
