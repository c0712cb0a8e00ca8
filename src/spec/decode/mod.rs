//! From a [`Node`] to a typed value, keeping the position of whatever does not fit.
//!
//! A whole number is accepted where a fraction is wanted, and a number without a fraction (`1e3`, `64.0`) where a
//! whole number is wanted. Nothing else is converted: text is not a number, and `yes` is not `true`.

mod fault;
mod node_reader;
mod path;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

use self::node_reader::NodeReader;
use self::path::Path;
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
pub fn decode<T: DeserializeOwned>(node: &Node) -> Result<T, DecodeError> {
    decode_under("", node)
}

/// Reads a `T` out of a part of a tree; messages name the keys in it as seen from the whole, under `path`.
pub fn decode_under<T: DeserializeOwned>(path: &str, node: &Node) -> Result<T, DecodeError> {
    let path = if path.is_empty() { Path::Root } else { Path::Key(&Path::Root, path) };
    T::deserialize(NodeReader { node, path, kind: None }).map_err(|fault| fault.place(node.at, path))
}

/// Reads a `T` out of a JSON record (positions are unknown).
pub fn decode_json<T: DeserializeOwned>(json: &serde_json::Value) -> Result<T, DecodeError> {
    decode(&Node::from_json(json))
}

/// A list in a JSON record, of what serde's own reader cannot read: one after the other becomes a tree. All of them at once would take ten
/// times as much memory as the values.
pub(super) fn each_in_record<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    struct Part<T>(T);
    impl<'de, T: DeserializeOwned> Deserialize<'de> for Part<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let json = serde_json::Value::deserialize(deserializer)?;
            decode_json(&json).map(Self).map_err(D::Error::custom)
        }
    }
    let parts: Vec<Part<T>> = Vec::deserialize(deserializer)?;
    Ok(parts.into_iter().map(|Part(value)| value).collect())
}

#[cfg(test)]
mod round_trips;

#[cfg(test)]
mod tests {
    use std::fmt;

    use serde_json::json;

    use super::*;
    use crate::spec::*;

    #[track_caller]
    fn fails<T: DeserializeOwned + fmt::Debug>(json: serde_json::Value, message: &str, hint: &str) {
        let error = decode_json::<T>(&json).unwrap_err();
        assert_eq!((error.message.as_str(), error.hint.as_deref().unwrap_or("")), (message, hint));
    }

    #[test]
    fn whole_numbers_and_fractions_stand_in_for_each_other_only_without_loss() {
        let train = decode_json::<Train>(&json!({"steps": 1e3, "clip_norm": 2})).unwrap();
        assert_eq!((train.steps, train.clip_norm), (1000, 2.0));
        fails::<Train>(json!({"steps": 1.5}), "`steps` must be a whole number, not 1.5", "");
        fails::<Train>(json!({"steps": 1e300}), "`steps` must be a whole number, not 1e+300", "");
        fails::<Train>(json!({"steps": -1}), "`steps` must be a whole number of at least 0, not -1", "");
        fails::<u8>(json!(256), "this must be a whole number of at most 255, not 256", "");
    }

    #[test]
    fn what_is_not_finite_is_refused() {
        for (value, shown) in [(f64::NAN, ".nan"), (f64::INFINITY, ".inf"), (f64::NEG_INFINITY, "-.inf")] {
            let node = Node { at: Location::default(), value: Value::Float(value) };
            let error = decode_under::<f64>("train.clip_norm", &node).unwrap_err();
            assert_eq!(error.message, format!("`train.clip_norm` must be a finite number, not {shown}"));
        }
    }

    #[test]
    fn a_kind_is_asked_for_by_name() {
        let kinds = "the kinds are `constant`, `demon`, `linear`, `exponential`";
        fails::<RunSpec>(json!({"momentum": {}}), "`momentum` lacks its `kind`", kinds);
        fails::<RunSpec>(
            json!({"momentum": {"kind": "demn"}}),
            "unknown kind `demn` of `momentum`",
            "did you mean `demon`?",
        );
        fails::<RunSpec>(json!({"momentum": {"kind": "quux"}}), "unknown kind `quux` of `momentum`", kinds);
        fails::<RunSpec>(
            json!({"momentum": {"kind": 3}}),
            "`momentum.kind` must be one of `constant`, `demon`, `linear`, `exponential`, not 3",
            "",
        );
        fails::<RunSpec>(
            json!({"momentum": "demon"}),
            "`momentum` must be a map with a `kind`, not the text \"demon\"",
            "write `{ kind: demon }`",
        );
        fails::<RunSpec>(json!({"momentum": [1]}), "`momentum` must be a map with a `kind`, not a list", "");
        fails::<RunSpec>(
            json!({"momentum": {"kind": "demon", "floor": 1}}),
            "unknown key `momentum.floor`",
            "`kind: demon` has no settings",
        );
    }

    #[test]
    fn a_word_that_may_have_settings_is_a_word_or_a_kind() {
        let read = |json: serde_json::Value| decode_json::<Parameterization>(&json).unwrap();
        let edm = |sigma_data| Parameterization::Edm(EdmParameterization { sigma_data });
        assert_eq!(read(json!("edm")), edm(0.5));
        assert_eq!(read(json!({"kind": "edm"})), edm(0.5));
        assert_eq!(read(json!({"kind": "edm", "sigma_data": 1})), edm(1.0));
        let fdm = Parameterization::Fdm(FdmParameterization { sigma_data: 0.5, multiplier: 1.0 });
        assert_eq!(read(json!({"kind": "fdm", "multiplier": 1})), fdm);
        let written = json!({"kind": "fdm", "sigma_data": 0.5, "multiplier": 1.0});
        assert_eq!(serde_json::to_value(fdm).unwrap(), written);
        assert_eq!(read(json!({"kind": "v"})), Parameterization::V);
        // One spelling in records and ids.
        assert_eq!(serde_json::to_value(edm(0.5)).unwrap(), json!({"kind": "edm", "sigma_data": 0.5}));
        assert_eq!(serde_json::to_value(Parameterization::X0).unwrap(), json!("x0"));
        fails::<RunSpec>(
            json!({"parameterization": {"kind": "v", "sigma_data": 1}}),
            "unknown key `parameterization.sigma_data`",
            "`kind: v` has no settings",
        );
        fails::<RunSpec>(
            json!({"parameterization": {"kind": "edm", "sigma": 1}}),
            "unknown key `parameterization.sigma`",
            "did you mean `sigma_data`?",
        );
        let kinds = "the kinds are `epsilon`, `v`, `x0`, `edm`, `fdm`";
        fails::<RunSpec>(json!({"parameterization": {}}), "`parameterization` lacks its `kind`", kinds);
        fails::<RunSpec>(
            json!({"parameterization": 3}),
            "`parameterization` must be one of `epsilon`, `v`, `x0`, `edm`, `fdm`, not 3",
            "",
        );
    }

    #[test]
    fn words_keys_and_types_are_named_in_plain_words() {
        fails::<RunSpec>(
            json!({"evaluate": {"fid": {"reference": "tests"}}}),
            "`evaluate.fid.reference` must be one of `train`, `test`, `folder`, `file`, not the text \"tests\"",
            "did you mean `test`?",
        );
        fails::<RunSpec>(
            json!({"parameterization": "x1"}),
            "`parameterization` must be one of `epsilon`, `v`, `x0`, `edm`, `fdm`, not the text \"x1\"",
            "did you mean `x0`?",
        );
        fails::<RunSpec>(json!({"train": {"step": 1}}), "unknown key `train.step`", "did you mean `steps`?");
        fails::<RunSpec>(
            json!({"train.steps": 1}),
            "unknown key `train.steps`",
            "write `train: { steps: .. }`; a key with dots is an axis of `grid`",
        );
        fails::<RunSpec>(
            json!({"evaluate": {"validation": {"colour": 1}}}),
            "unknown key `evaluate.validation.colour`",
            "the keys here are `bins`, `images`",
        );
        fails::<RunSpec>(
            json!({"train": {"steps": "many"}}),
            "`train.steps` must be a whole number, not the text \"many\"",
            "",
        );
        fails::<RunSpec>(
            json!({"train": null}),
            "`train` is empty, but must be a map of settings",
            "give it a value, or remove the key for its default",
        );
        fails::<RunSpec>(
            json!({"model": {"kind": "unet", "channel_multipliers": [1, 2.5]}}),
            "`model.channel_multipliers[1]` must be a whole number, not 2.5",
            "",
        );
        fails::<RunSpec>(
            json!({"data": {"kind": "digits", "horizontal_flips": "yes"}}),
            "`data.horizontal_flips` must be true or false, not the text \"yes\"",
            "",
        );
        fails::<Axis>(json!({"path": 3}), "`path` must be text, not 3", "put it in quotes");
        fails::<PlannedRun>(json!({"run_id": "0123456789ab"}), "this lacks the key `arm`", "");
    }
}
