//! What a cluster is asked for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `cluster`: what `speedlab submit` asks of a cluster. No key of it changes a result, and none is part of a run's id. A flag
/// that has no key here is given verbatim: in `flags`, or after `--` on the command line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// Slurm's partition. Default: the cluster's own.
    pub partition: String,
    /// The account that is charged. Default: the user's own.
    pub account: String,
    /// The time limit of a task in minutes; 0 leaves it to the partition. A run that needs longer goes on in another task.
    /// Default 0.
    pub minutes: u32,
    /// Processors of a task; 0 leaves their number to the cluster. Default 0.
    pub cpus: u32,
    /// GPUs of a task. Default 0.
    pub gpus: u32,
    /// Memory of a task as the cluster writes it: `8G` for Slurm, `8Gi` for Kubernetes. Default: the cluster's own.
    pub memory: String,
    /// Kinds of nodes, as Slurm's `--constraint`. Default: any.
    pub constraint: String,
    /// Environment modules to load before a task, as in `module load NAME`. Default: none.
    pub modules: Vec<String>,
    /// How many tasks of a job array may run at once; 0 sets no limit. Default 0.
    pub at_once: u32,
    /// Short runs share a task of about this many minutes, by the estimate of `speedlab plan`; 0 gives every run a task of its
    /// own. Default 30.
    pub task_minutes: u32,
    /// How often a task may go back into the queue when its time runs out. Earlier returns count, whatever their reason was. In
    /// Kubernetes: how often a failed index is started again. Default 20.
    pub requeues: u32,
    /// A task is told to write a checkpoint this many seconds before its time is over, but at most a quarter of `minutes`
    /// before. Default 120.
    pub notice_seconds: u32,
    /// Further flags, which are given to `sbatch` verbatim after all others. Default: none.
    pub flags: Vec<String>,
    /// The image of Kubernetes' containers. Any image with a shell's libraries will do: the program itself is on the volume.
    /// Default `debian:stable-slim`.
    pub image: String,
    /// The volume that holds results and data in Kubernetes, as `CLAIM:/PATH`: the name of its claim, and the path where it is
    /// mounted. The path must be the same as on this machine. Default: none.
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
    /// The claim of `volume`, and the path where it is mounted; `None` if `volume` has another form.
    pub fn claim(&self) -> Option<(&str, &str)> {
        self.volume.split_once(':').filter(|(claim, mount)| !claim.is_empty() && mount.starts_with('/'))
    }

    /// Seconds of notice. A short task has less, so that it trains for a while before it is told.
    pub fn notice(&self) -> u32 {
        match self.minutes {
            0 => self.notice_seconds,
            minutes => self.notice_seconds.min(minutes.saturating_mul(15)),
        }
    }
}
