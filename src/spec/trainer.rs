//! A program of one's own that trains runs, and what it is given.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `trainer`: a program of your own trains the run, in whatever language, and says what it measures: see
/// `results/README.md`. It finds every other key of the run in its spec. Default: Speedlab trains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Trainer {
    /// The program and its words, such as `[python3, train.py]`. No shell reads them. Paths are seen from the folder where
    /// `speedlab` is started. Default: none, and it must be given.
    pub command: Vec<String>,
    /// Files and folders that decide what the program computes, such as `[train.py, configs]`. Their contents are part of a run's id,
    /// and a run is refused when they have changed since it was planned. Hidden files and `__pycache__` are passed over. Default: none.
    pub inputs: Vec<String>,
    /// Set in the program's environment. Default: nothing beside what Speedlab itself was started with.
    pub env: BTreeMap<String, String>,
    /// Seconds that the program has to write a checkpoint after SIGTERM. Cannot change a result, so it is not part of a run's id.
    /// Default 60.
    pub stop_grace: f64,
    /// The SHA-256 of each of `inputs`, found when the sweep is planned.
    #[schemars(skip)]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub digests: BTreeMap<String, String>,
}

/// `params`: what a trainer of your own is given, by names of your own. Every one has its value in `base`; arms, axes and `--set` give
/// others of the same type.
pub type Params = BTreeMap<String, serde_json::Value>;

impl Default for Trainer {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            inputs: Vec::new(),
            env: BTreeMap::new(),
            stop_grace: 60.0,
            digests: BTreeMap::new(),
        }
    }
}

impl Trainer {
    /// Whether nothing is trained: the run's numbers were read from another program's table.
    pub fn is_import(&self) -> bool {
        self.command.len() >= 2 && self.command[..2] == ["speedlab", "import"]
    }

    /// As on a command line.
    pub fn in_words(&self) -> String {
        self.command.join(" ")
    }
}
