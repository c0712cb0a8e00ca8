//! The canonical text of a run: the same for every order and number format of the YAML that it came from.

use std::fmt::Write;

use serde_json::Value;

use super::{RUN_SPEC_VERSION, RunSpec};

/// JSON with sorted keys and shortest round-trip numbers of everything in `spec` that can change a result.
pub fn canonical_json(spec: &RunSpec) -> String {
    let mut value = serde_json::to_value(spec).expect("a RunSpec is plain data, which JSON can hold");
    let train = value["train"].as_object_mut().expect("`train` is a struct");
    train.swap_remove("checkpoint_seconds");
    if !spec.train.ema.is_exponential() {
        train.swap_remove("ema_decay");
    }
    if let Some(trainer) = value.get_mut("trainer").and_then(Value::as_object_mut) {
        trainer.swap_remove("stop_grace");
    }
    // What a file holds decides, wherever it lies.
    let also = spec.evaluate.also.len();
    let of_also = (0..also).map(|entry| format!("/evaluate/also/{entry}"));
    for pointer in std::iter::once("/evaluate/fid".to_owned()).chain(of_also) {
        let fid = value.pointer_mut(&pointer).and_then(Value::as_object_mut).expect("a protocol is a struct");
        if fid.contains_key("reference_sha256") {
            fid.swap_remove("reference_file");
        }
        if fid.contains_key("weights_sha256") {
            fid.swap_remove("weights");
        }
    }
    if let Some(alignment) = value.pointer_mut("/auxiliary_losses/alignment").and_then(Value::as_object_mut)
        && alignment.contains_key("weights_sha256")
    {
        alignment.swap_remove("weights");
    }
    // Runs that were recorded before these keys existed keep their ids.
    if spec.noise.is_independent() {
        value.as_object_mut().expect("a RunSpec is a struct").swap_remove("noise");
    }
    value["version"] = RUN_SPEC_VERSION.into();
    let mut text = String::with_capacity(1024);
    write_sorted(&value, &mut text);
    text
}

/// Sorts while writing: a grid has a hundred thousand runs, and sorting the maps themselves takes twice as long.
fn write_sorted(value: &Value, text: &mut String) {
    match value {
        Value::Object(entries) => {
            let mut entries: Vec<(&String, &Value)> = entries.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            text.push('{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                let comma = if index > 0 { "," } else { "" };
                // Names of fields need no escapes; names that a user gives may.
                match key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                    true => write!(text, "{comma}\"{key}\":"),
                    false => write!(text, "{comma}{}:", Value::from(key.as_str())),
                }
                .expect("a String takes any text");
                write_sorted(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                write_sorted(item, text);
            }
            text.push(']');
        }
        // Minus zero is zero.
        Value::Number(number) if number.as_f64() == Some(0.0) && number.is_f64() => text.push_str("0.0"),
        plain => write!(text, "{plain}").expect("a String takes any text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_json_with_sorted_keys() {
        let text = canonical_json(&RunSpec::default());
        let mut value: Value = serde_json::from_str(&text).unwrap();
        value.sort_all_objects();
        assert_eq!(value.to_string(), text);
        assert_eq!(value["version"], RUN_SPEC_VERSION);
        assert_eq!(value["train"].get("checkpoint_seconds"), None);
    }

    #[test]
    fn a_file_counts_by_its_content() {
        let weights = |file: &str, sha256: &str| {
            let mut spec = RunSpec::default();
            spec.evaluate.fid.weights = file.to_owned();
            spec.evaluate.fid.weights_sha256 = sha256.to_owned();
            canonical_json(&spec)
        };
        assert_eq!(weights("a.pth", "12"), weights("b/a.pth", "12"));
        assert_ne!(weights("a.pth", "12"), weights("a.pth", "13"));
        assert!(!canonical_json(&RunSpec::default()).contains("weights_sha256"));
        let aligned = |file: &str, sha256: &str| {
            let mut spec = RunSpec::default();
            let alignment = &mut spec.auxiliary_losses.alignment;
            alignment.weight = 0.5;
            (alignment.weights, alignment.weights_sha256) = (file.to_owned(), sha256.to_owned());
            canonical_json(&spec)
        };
        assert_eq!(aligned("a.pth", "12"), aligned("b/a.pth", "12"));
        assert_ne!(aligned("a.pth", "12"), aligned("a.pth", "13"));
        assert!(!aligned("", "").contains("weights"));
        let of = |file: &str, sha256: &str| {
            let mut spec = RunSpec::default();
            spec.evaluate.fid.reference = crate::spec::Reference::File;
            spec.evaluate.fid.reference_file = file.to_owned();
            spec.evaluate.fid.reference_sha256 = sha256.to_owned();
            spec.evaluate.also = vec![spec.evaluate.fid.clone()];
            canonical_json(&spec)
        };
        assert_eq!(of("a.npz", "12"), of("b/a.npz", "12"));
        assert_ne!(of("a.npz", "12"), of("a.npz", "13"));
        assert!(of("a.npz", "12").contains(r#""reference":"file","reference_sha256":"12""#), "{}", of("a.npz", "12"));
    }

    #[test]
    fn what_came_later_is_spelled_only_where_it_is_used() {
        assert!(!canonical_json(&RunSpec::default()).contains("noise\":"));
        let noise = crate::spec::NoiseAssignment::Immiscible(crate::spec::ImmiscibleNoise {});
        let immiscible = canonical_json(&RunSpec { noise, ..RunSpec::default() });
        assert!(immiscible.contains(r#""noise":{"kind":"immiscible"}"#), "{immiscible}");
        assert!(!canonical_json(&RunSpec::default()).contains("precision"));
        assert!(!canonical_json(&RunSpec::default()).contains("\"ema\""));
        assert!(!canonical_json(&RunSpec::default()).contains("token"));
        let power = |ema_decay: f64| {
            let ema = crate::spec::Ema::Power(crate::spec::PowerEma { sigma_rel: 0.05 });
            let train = crate::spec::Train { ema, ema_decay, ..Default::default() };
            canonical_json(&RunSpec { train, ..RunSpec::default() })
        };
        assert!(power(0.9).contains(r#""ema":{"kind":"power","sigma_rel":0.05},"log_every""#), "{}", power(0.9));
        assert_eq!(power(0.9), power(0.99));
        let own = |grace: f64| {
            let trainer = Some(crate::spec::Trainer { stop_grace: grace, ..Default::default() });
            let params = [("a \"name\"".to_owned(), Value::from(3))].into();
            canonical_json(&RunSpec { trainer, params, ..RunSpec::default() })
        };
        assert!(own(60.0).contains(r#""params":{"a \"name\"":3}"#), "{}", own(60.0));
        assert_eq!(own(60.0), own(5.0));
        let mut mixed = RunSpec::default();
        mixed.train.precision = crate::spec::Precision::Bf16;
        let mixed = canonical_json(&mixed);
        assert!(mixed.contains(r#""precision":"bf16""#), "{mixed}");
        let mut measured = RunSpec::default();
        measured.evaluate.fid.precision = crate::spec::FidPrecision::Bf16;
        let measured = canonical_json(&measured);
        assert!(measured.contains(r#"},"precision":"bf16","reference":"train""#), "{measured}");
    }
}
