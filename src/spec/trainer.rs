//! A trainer of the user's own: a program that trains runs, and what it is given.

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// The word for the trainer in PyTorch that comes with Speedlab.
const TORCH: &str = "torch";

/// `trainer`: a program of your own, in any language, that trains the run and reports what it measures: see
/// `results/README.md`. The program finds every other key of the run in its spec. The word `torch` stands for the trainer in
/// PyTorch that comes with Speedlab and trains as Speedlab does. Default: Speedlab trains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = or_torch)]
pub struct Trainer {
    /// The program and its arguments, such as `[python3, train.py]`. No shell reads them. Relative paths start at the folder
    /// where `speedlab` is started. No default.
    pub command: Vec<String>,
    /// Files and folders that decide what the program computes, such as `[train.py, configs]`. Their contents are part of a
    /// run's id. A run is refused when they have changed since it was planned. Hidden files and `__pycache__` are left out.
    /// Default: none.
    pub inputs: Vec<String>,
    /// Variables that are set in the program's environment, beside those that Speedlab was started with. Default: none.
    pub env: BTreeMap<String, String>,
    /// Seconds that the program has to write a checkpoint after SIGTERM. The value cannot change a result, so it is not part of
    /// a run's id. Default 60.
    pub stop_grace: f64,
    /// The SHA-256 of each of `inputs`, found when the sweep is planned.
    #[schemars(skip)]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub digests: BTreeMap<String, String>,
}

/// `params`: settings that your own trainer is given, under names of your choice. Every name has a value in `base`; arms, axes
/// and `--set` may give it other values of the same type.
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

/// Reads a trainer: a map, the word `torch`, or nothing.
pub(super) fn word_or_map<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Trainer>, D::Error> {
    struct WordOrMap;
    impl<'de> Visitor<'de> for WordOrMap {
        type Value = Option<Trainer>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("`torch`, or a map such as `{ command: [python3, train.py] }`")
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_str<E: de::Error>(self, word: &str) -> Result<Self::Value, E> {
            match word {
                TORCH => Ok(Some(Trainer { command: vec![TORCH.to_owned()], ..Trainer::default() })),
                _ => Err(E::custom(format!(
                    "there is no trainer `{word}`: write `torch`, or a map such as `{{ command: [python3, train.py] }}`"
                ))),
            }
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            Trainer::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }
    deserializer.deserialize_any(WordOrMap)
}

/// The word `torch` in place of a map.
fn or_torch(schema: &mut Schema) {
    schema.insert("type".to_owned(), serde_json::json!(["object", "string"]));
    schema.insert("pattern".to_owned(), serde_json::json!(format!("^{TORCH}$")));
}

impl Trainer {
    /// Whether it is the trainer in PyTorch that comes with Speedlab.
    pub fn is_torch(&self) -> bool {
        self.command == [TORCH]
    }

    /// Whether nothing is trained: the run's numbers were read from another program's table.
    pub fn is_import(&self) -> bool {
        self.command.len() >= 2 && self.command[..2] == ["speedlab", "import"]
    }

    /// The command as it would stand on a command line.
    pub fn in_words(&self) -> String {
        self.command.join(" ")
    }
}
