//! A text that many measured numbers share.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

/// What was measured, or how: a run says the same few a hundred times. Copies share one text.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "String")]
pub struct Name(Arc<str>);

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Name {
    /// Copies are told to be equal without a look at their text.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Name {}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

impl PartialEq<String> for Name {
    fn eq(&self, other: &String) -> bool {
        *self.0 == **other
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_its_text() {
        let name = Name::from("fid \"é\"");
        let text = "fid \"é\"".to_owned();
        let (same, other) = (Name::from(text.clone()), Name::from("kid"));
        assert!(name == name.clone() && name == same && name == text && name != other && name != *"kid");
        let json = serde_json::to_string(&name).unwrap();
        assert_eq!(json, serde_json::to_string(name.as_str()).unwrap());
        assert_eq!(serde_json::from_str::<Name>(&json).unwrap(), name);
    }
}
