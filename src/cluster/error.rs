//! Why a cluster did not accept a submission.

use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error(
        "there is no `{program}` here: {source}\nhint: hand runs in on a login node of the cluster, or load the module that brings `{program}`; `--engine command` prints a line for any other engine"
    )]
    NoProgram { program: &'static str, source: io::Error },
    #[error(
        "`{program}` did not answer within {seconds} s, {tries} times\nhint: the controller may be busy or down; `speedlab submit` again hands in only what is missing"
    )]
    NoAnswer { program: &'static str, seconds: u64, tries: u32 },
    #[error("`{program}` refused: {reason}{hint}")]
    Refused { program: &'static str, reason: String, hint: &'static str },
    #[error("`sbatch` has no room for it: {reason}{hint}")]
    Full { reason: String, hint: &'static str },
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "`cluster.volume` is `{given}`, and must be `CLAIM:/PATH`\nhint: the claim of a volume that nodes share, and where it is mounted: the same path as here"
    )]
    Volume { given: String },
    #[error("{} is not on the volume, which is mounted at {mount}\nhint: keep results and data below it: `--results {mount}/results --data-dir {mount}/data`", path.display())]
    NotOnVolume { path: PathBuf, mount: String },
}
