//! Why a value does not fit.

use std::fmt;

use serde::de;

use super::DecodeError;
use super::path::Path;
use crate::spec::{Location, nearest, quoted_list};

/// An error on its way up, until it meets the reader that knows its place.
#[derive(Debug)]
pub enum Fault {
    Placed(DecodeError),
    UnknownKey(String, &'static [&'static str]),
    MissingKey(&'static str),
    Other(String),
}

impl Fault {
    pub fn new(at: Location, message: String, hint: Option<String>) -> Self {
        Self::Placed(DecodeError { at, message, hint })
    }

    pub fn place(self, at: Location, path: Path) -> DecodeError {
        let (message, hint) = match self {
            Self::Placed(error) => return error,
            Self::UnknownKey(key, known) => {
                let hint = match (key.split_once('.'), nearest(&key, known.iter().copied())) {
                    (Some((outer, inner)), _) if known.contains(&outer) => {
                        format!("write `{outer}: {{ {inner}: .. }}`; a key with dots is an axis of `grid`")
                    }
                    (_, Some(meant)) => format!("did you mean `{meant}`?"),
                    (_, None) if known.is_empty() => "there are no settings here".to_owned(),
                    (_, None) => format!("the keys here are {}", quoted_list(known.iter().copied())),
                };
                (format!("unknown key `{path}`"), Some(hint))
            }
            Self::MissingKey(key) => (format!("{} lacks the key `{key}`", path.subject()), None),
            Self::Other(message) => (format!("{}: {message}", path.subject()), None),
        };
        DecodeError { at, message, hint }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Placed(error) => error.fmt(formatter),
            Self::UnknownKey(key, _) => write!(formatter, "unknown key `{key}`"),
            Self::MissingKey(key) => write!(formatter, "the key `{key}` is missing"),
            Self::Other(message) => formatter.write_str(message),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Other(message.to_string())
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::UnknownKey(field.to_owned(), expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::MissingKey(field)
    }
}
