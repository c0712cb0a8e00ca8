//! A run's settings, key by key.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::spec::RunSpec;

/// Every setting by its dotted key.
pub fn flattened(spec: &RunSpec) -> BTreeMap<String, Value> {
    fn descend(path: &str, value: Value, found: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                    descend(&path, value, found);
                }
            }
            other => {
                found.insert(path.to_owned(), other);
            }
        }
    }
    let mut found = BTreeMap::new();
    descend("", serde_json::to_value(spec).expect("a RunSpec is plain data, which JSON can hold"), &mut found);
    found
}

/// Those that mean something: of what a trainer of one's own is given, only its name, its parameters and the length mean the same to
/// everybody. The seed is left out, which differs by design.
pub fn known(spec: &RunSpec) -> BTreeMap<String, Value> {
    let is_foreign = spec.trainer.as_ref().is_some_and(|trainer| !trainer.is_torch());
    let is_known =
        |key: &str| !is_foreign || ["trainer", "params", "train.steps"].iter().any(|known| key.starts_with(known));
    flattened(spec).into_iter().filter(|(key, _)| key != "seed" && is_known(key)).collect()
}
