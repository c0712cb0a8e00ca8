//! YAML or JSON as a tree that remembers where each part was written.

use serde_json::Number;

/// Where something was written; lines and columns count from 1. Line 0: nowhere (a default, a JSON record).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    pub source: Source,
    pub line: usize,
    /// In characters, not bytes.
    pub column: usize,
}

/// The text that a [`Location`] points into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    #[default]
    File,
    /// The n-th `--set` of the command line, counting from 0.
    Override(usize),
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub at: Location,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One `key: value` of a map, in the order written.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: String,
    pub key_at: Location,
    pub value: Node,
}

impl Location {
    /// Whether it was written anywhere.
    pub fn is_known(self) -> bool {
        self.line > 0
    }
}

impl Node {
    /// The entries of a map; none for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The entry of a map under `key`.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value of a map under `key`.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry at a dotted path, as in `evaluate.fid.samples`.
    pub fn entry_at(&self, path: &str) -> Option<&Entry> {
        match path.split_once('.') {
            None => self.entry(path),
            Some((key, rest)) => self.get(key)?.entry_at(rest),
        }
    }

    /// The kind of value, in the words of an error message.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null => "empty".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Integer(value) => value.to_string(),
            Value::Float(value) if value.is_nan() => ".nan".to_owned(),
            Value::Float(value) if value.is_infinite() => if *value > 0.0 { ".inf" } else { "-.inf" }.to_owned(),
            Value::Float(value) => serde_json::json!(value).to_string(),
            Value::Text(text) if text.chars().count() > 40 => {
                format!("the text {:?}...", text.chars().take(40).collect::<String>())
            }
            Value::Text(text) => format!("the text {text:?}"),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }

    /// The same value as JSON. A number that is not finite, which JSON cannot hold, becomes null.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Integer(value) => (*value).into(),
            Value::Float(value) => Number::from_f64(*value).map_or(serde_json::Value::Null, serde_json::Value::Number),
            Value::Text(text) => text.clone().into(),
            Value::List(items) => items.iter().map(Node::to_json).collect::<Vec<_>>().into(),
            Value::Map(entries) => serde_json::Value::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect(),
            ),
        }
    }

    /// A JSON value as a tree without places.
    pub fn from_json(json: &serde_json::Value) -> Self {
        let at = Location::default();
        let value = match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(*value),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(integer) => Value::Integer(integer),
                None => Value::Float(number.as_f64().expect("without arbitrary precision, a JSON number fits f64")),
            },
            serde_json::Value::String(text) => Value::Text(text.clone()),
            serde_json::Value::Array(items) => Value::List(items.iter().map(Self::from_json).collect()),
            serde_json::Value::Object(entries) => Value::Map(
                entries
                    .iter()
                    .map(|(key, value)| Entry { key: key.clone(), key_at: at, value: Self::from_json(value) })
                    .collect(),
            ),
        };
        Self { at, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_survives_the_way_into_a_tree_and_back() {
        let json = serde_json::json!({"a": [1, 2.5, -3, null, true], "b": {"c": "text", "d": {}}, "e": 1e-300});
        assert_eq!(Node::from_json(&json).to_json(), json);
    }

    #[test]
    fn a_path_finds_its_entry() {
        let tree = Node::from_json(&serde_json::json!({"evaluate": {"fid": {"samples": 10}}}));
        assert_eq!(tree.entry_at("evaluate.fid.samples").unwrap().value.value, Value::Integer(10));
        assert!(tree.entry_at("evaluate.fid.samples.deeper").is_none());
        assert!(tree.entry_at("evaluate.ode").is_none());
    }
}
