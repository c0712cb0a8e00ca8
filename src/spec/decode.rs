//! From a [`Node`] to a typed value, keeping the position of whatever does not fit.

use serde::de::DeserializeOwned;

use super::{Location, Node};

/// Why a tree is not the wanted type.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct DecodeError {
    pub at: Location,
    pub message: String,
    /// What to do about it, when we know.
    pub hint: Option<String>,
}

/// Reads a `T` out of a tree.
pub fn decode<T: DeserializeOwned>(_node: &Node) -> Result<T, DecodeError> {
    todo!()
}

/// Reads a `T` out of a JSON record (positions are unknown).
pub fn decode_json<T: DeserializeOwned>(_json: &serde_json::Value) -> Result<T, DecodeError> {
    todo!()
}
