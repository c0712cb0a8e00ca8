//! The identity of a run.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{RunSpec, canonical_json};

/// The first 12 hexadecimal digits of the SHA-256 of a run's canonical spec: the same run asked for twice runs once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
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

impl TryFrom<String> for RunId {
    type Error = String;

    /// Of a file's: it becomes the name of a folder, so nothing else may pass.
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is no id of a run, which has 12 hexadecimal digits"))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_is_read_from_a_file() {
        let id = RunId::of(&RunSpec::default());
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<RunId>(&json).unwrap(), id);
        for text in ["../../pwned", "", "0123456789AB", "0123456789abc", "/etc/passwd\n"] {
            let error = serde_json::from_value::<RunId>(text.into()).unwrap_err().to_string();
            assert!(error.contains("is no id of a run") && !error.contains('\n'), "{error}");
        }
    }
}
