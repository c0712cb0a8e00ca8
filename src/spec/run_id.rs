//! The identity of a run.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{RunSpec, canonical_json};

/// The first 12 hexadecimal digits of the SHA-256 of a run's canonical spec: the same run asked for twice runs once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    pub fn of(spec: &RunSpec) -> Self {
        let digest = Sha256::digest(canonical_json(spec).as_bytes());
        Self(digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect())
    }

    /// Reads an id back from a folder's name or a command line; `None` if it cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = text.len() == 12 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        well_formed.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
