//! The one spelling of a run, whatever the order and the number format of the YAML it came from.

use serde_json::Value;

use super::{RUN_SPEC_VERSION, RunSpec};

/// JSON with sorted keys and shortest round-trip numbers of everything in `spec` that can change a result.
pub fn canonical_json(spec: &RunSpec) -> String {
    let mut value = serde_json::to_value(spec).expect("a RunSpec is plain data, which JSON can hold");
    let train = value["train"].as_object_mut().expect("`train` is a struct");
    train.shift_remove("checkpoint_seconds");
    value["version"] = RUN_SPEC_VERSION.into();
    value.sort_all_objects();
    Value::to_string(&value)
}
