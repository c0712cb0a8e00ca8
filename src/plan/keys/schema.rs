//! JSON Schema (draft 2020-12) of a sweep, made from the types that read it.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::ranges::{self, properties, tag, variants};
use super::reference::capitalized;
use crate::plan::presets::PRESETS;
use crate::spec::{ArmLabel, AxisLabel, RunSpec, SweepSpec, schema::text};

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema by which editors complete keys and underline mistakes. A sweep that it refuses is also refused by the plan. Rules
/// between several keys are checked by the plan alone.
pub fn sweep_schema() -> Value {
    let mut run = schema_of::<RunSpec>();
    // Set by `seeds`.
    run["properties"].as_object_mut().expect("a run is a map").shift_remove("seed");
    ranges::add(&mut run);
    // An entry takes over what it does not name.
    let evaluate = &mut run["properties"]["evaluate"]["properties"];
    evaluate["also"]["items"] = patch_of(&evaluate["fid"]);
    let patch = patch_of(&run);
    add_presets(&mut run["properties"]["model"]);
    let mut arm = patch.clone();
    let names = json!({ "oneOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] });
    let mut extends = names.clone();
    extends["description"] = json!("The arms whose changes are applied before this one's: a name, or a list of names.");
    arm["properties"]["extends"] = extends;
    arm["type"] = json!(["object", "null"]);

    let mut sweep = schema_of::<SweepSpec>();
    let map = sweep.as_object_mut().expect("a sweep is a map");
    map.shift_remove("required");
    map.insert("$schema".to_owned(), json!(DRAFT));
    map.insert("title".to_owned(), json!("A Speedlab sweep"));
    map.insert("additionalProperties".to_owned(), json!(false));
    map.insert("patternProperties".to_owned(), json!({ "^x-": { "description": "For anchors; not read." } }));
    let axes = json!({
        "type": "object",
        "propertyNames": { "enum": paths(&run) },
        "additionalProperties": { "$ref": "#/$defs/axis_values" },
    });
    let mut say = |key: &str, what: Value| {
        let property = sweep["properties"][key].as_object_mut().expect("a key of a sweep");
        property.retain(|word, _| word == "description");
        property.extend(what.as_object().cloned().unwrap_or_default());
    };
    say("base", json!({ "$ref": "#/$defs/run" }));
    say("arms", json!({ "type": "object", "additionalProperties": { "$ref": "#/$defs/arm" }, "minProperties": 1 }));
    say("grid", json!({ "$ref": "#/$defs/axes" }));
    say(
        "zip",
        json!({ "oneOf": [{ "$ref": "#/$defs/axes" }, { "type": "array", "items": { "$ref": "#/$defs/axes" } }] }),
    );
    for key in ["include", "exclude"] {
        say(key, json!({ "type": "array", "items": { "$ref": "#/$defs/point" } }));
    }
    let seed = json!({ "type": "integer", "minimum": 0 });
    say(
        "seeds",
        json!({
            "oneOf": [{ "type": "integer", "minimum": 1 }, { "type": "array", "items": seed, "minItems": 1, "uniqueItems": true }],
            "default": 3,
        }),
    );
    say("labels", labels());
    let one_or_more = |one: &Value| json!({ "oneOf": [one, { "type": "array", "items": one }] });
    sweep["properties"]["compare"] = compare(&sweep["properties"]["compare"]);
    sweep["$defs"] = json!({
        "run": run,
        "arm": arm,
        "axes": axes,
        "axis_values": axis_values(),
        "point": {
            "type": "object",
            "minProperties": 1,
            "properties": { "arm": names, "seed": one_or_more(&seed) },
            "description": "An arm, a seed or values of axes. A key that is left out stands for all of its values.",
        },
    });
    tidy(&mut sweep);
    sweep
}

/// The schema of a type, without references, so that it can be walked.
fn schema_of<T: schemars::JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    schema.as_object_mut().expect("a type's schema is a map").shift_remove("title");
    schema
}

/// The schema of a map that is merged into a run, where no `kind` has to be named again.
fn patch_of(run: &Value) -> Value {
    match run {
        Value::Object(map) => {
            let mut patch = Map::new();
            for (key, value) in map {
                match key.as_str() {
                    "required" | "default" => {}
                    "oneOf" if value.as_array().is_some_and(|kinds| kinds.iter().any(|kind| tag(kind).is_some())) => {
                        patch.insert("anyOf".to_owned(), patch_of(value));
                    }
                    _ => drop(patch.insert(key.clone(), patch_of(value))),
                }
            }
            // A preset, and perhaps keys that change it.
            if tag(run).is_some_and(|kind| PRESETS.iter().any(|preset| (preset.model)().kind() == kind)) {
                patch["properties"]["preset"] = preset_names(tag(run));
            }
            Value::Object(patch)
        }
        Value::Array(items) => items.iter().map(patch_of).collect(),
        other => other.clone(),
    }
}

fn preset_names(kind: Option<&str>) -> Value {
    let named = PRESETS.iter().filter(|preset| kind.is_none_or(|kind| (preset.model)().kind() == kind));
    let names: Vec<Value> = named.map(|preset| json!({ "const": preset.name, "description": preset.source })).collect();
    json!({ "oneOf": names, "description": "A published architecture, which stands for all keys of `model`." })
}

/// A preset in place of a `kind`; keys beside it change it.
fn add_presets(model: &mut Value) {
    let kinds = model["oneOf"].as_array_mut().expect("an architecture has a kind");
    let with_preset = kinds.iter().filter_map(|kind| {
        let name = tag(kind)?.to_owned();
        let mut variant = kind.clone();
        variant["properties"]["preset"] = preset_names(Some(&name));
        variant["required"] = json!(["preset"]);
        let has = PRESETS.iter().any(|preset| (preset.model)().kind() == name);
        has.then_some(variant)
    });
    let with_preset: Vec<Value> = with_preset.collect();
    kinds.extend(with_preset);
}

fn axis_values() -> Value {
    let computed = |word: &str, keys: [&str; 3], says: &str| {
        let number = json!({ "type": "number" });
        let count = json!({ "type": "integer", "minimum": 2 });
        let of = |key: &str| (key.to_owned(), if key == "count" { count.clone() } else { number.clone() });
        let properties: Map<String, Value> = keys.iter().map(|key| of(key)).collect();
        json!({
            "type": "object",
            "properties": { word: {
                "type": "object",
                "properties": properties,
                "required": keys,
                "additionalProperties": false,
            } },
            "required": [word],
            "additionalProperties": false,
            "description": says,
        })
    };
    let forms = [
        computed("linspace", ["start", "stop", "count"], "`count` numbers from `start` to `stop`, equally far apart."),
        computed(
            "logspace",
            ["start", "stop", "count"],
            "`count` numbers from `start` to `stop`, with equal factors between.",
        ),
        computed("range", ["start", "stop", "step"], "`start`, `start + step`, .. as far as `stop`."),
    ];
    let list = json!({ "type": "array", "minItems": 1 });
    let name = json!({ "type": "string" });
    let arms = json!({ "oneOf": [name, { "type": "array", "items": name, "minItems": 1 }] });
    let mut of_arms = json!({
        "type": "object",
        "properties": { "arms": arms, "values": list },
        "required": ["arms"],
        "minProperties": 2,
        "maxProperties": 2,
        "additionalProperties": false,
        "description": "An axis of these arms alone. The other arms, and the baseline that they are compared with, are trained once.",
    });
    for form in &forms {
        for (word, value) in properties(form) {
            of_arms["properties"][word] = value.clone();
        }
    }
    let [linspace, logspace, range] = forms;
    json!({
        "description": "The values of an axis. A list: `optimizer.learning_rate: [1.0e-3, 2.0e-3]`. Numbers equally far apart: \
            `{ linspace: { start: 0, stop: 1, count: 5 } }`. With equal factors between: `{ logspace: { start: 1.0e-4, stop: 1.0e-2, count: 3 } }`. \
            In steps: `{ range: { start: 8, stop: 32, step: 8 } }`. Values for some arms alone; the other arms are trained once: \
            `timestep_sampler.center: { arms: [clts], values: [0.1, 0.3] }`.",
        "oneOf": [list, linspace, logspace, range, of_arms],
    })
}

fn labels() -> Value {
    let mut label = schema_of::<ArmLabel>();
    let color = json!({ "type": "string", "pattern": "^#[0-9a-fA-F]{6}$", "description": label["properties"]["color"]["description"] });
    label["properties"]["color"] = color;
    let text = json!({ "type": "string", "minLength": 1, "maxLength": 80 });
    label["properties"]["label"] = json!({ "type": "string", "minLength": 1, "maxLength": 80, "description": label["properties"]["label"]["description"] });
    label["additionalProperties"] = json!(false);
    let mut axis = schema_of::<AxisLabel>();
    for (key, schema) in
        [("label", text.clone()), ("values", json!({ "type": "object", "additionalProperties": text }))]
    {
        let description = axis["properties"][key]["description"].take();
        axis["properties"][key] = schema;
        axis["properties"][key]["description"] = description;
    }
    axis["additionalProperties"] = json!(false);
    let name = json!({ "type": "string" });
    json!({
        "type": "object",
        "properties": {
            "arms": {
                "type": "object",
                "additionalProperties": { "oneOf": [text, label] },
                "description": "What an arm is called, by the arm's name: `clts: CLTS (ours)`, or with a colour `clts: { label: CLTS (ours), color: \"#0072B2\" }`. \
                    Every label differs from every other and from the names of other arms.",
            },
            "axes": {
                "type": "object",
                "additionalProperties": { "oneOf": [text, axis] },
                "description": "What an axis of the grid is called, by its dotted key: `optimizer.learning_rate: Learning rate`, or with its values \
                    `optimizer.learning_rate: { label: Learning rate, values: { 2.0e-4: \"2e-4\" } }`. A number may be spelled in any way, a value that is \
                    a map is named by its `kind`. No two axes, and no two values of one, are called alike.",
            },
            "order": {
                "type": "array",
                "items": name,
                "uniqueItems": true,
                "description": "Names of arms that stand first, in this order. The others follow in the order of `arms`.",
            },
        },
        "additionalProperties": false,
    })
}

fn compare(derived: &Value) -> Value {
    // An Option: a map or nothing.
    let mut map = variants(derived).find(|variant| variant.get("properties").is_some()).unwrap_or(derived).clone();
    let says = |key: &str| map["properties"][key]["description"].clone();
    let target = json!({
        "description": says("target"),
        "oneOf": [
            {
                "type": "object",
                "properties": {
                    "value": {
                        "type": "number",
                        "exclusiveMinimum": 0,
                        "description": "The quality to reach: a number that is known beforehand.",
                    },
                },
                "required": ["value"],
                "additionalProperties": false,
                "description": "A number that is known beforehand.",
            },
            {
                "type": "object",
                "properties": {
                    "from": { "type": "string", "description": "The arm whose last values count. Default: the baseline." },
                    "at": {
                        "enum": ["final_median", "final_worst"],
                        "default": "final_median",
                        "description": "Which of that arm's last values is the target: their median over seeds, or the worst.",
                    },
                },
                "minProperties": 1,
                "additionalProperties": false,
                "description": "Made of the last values that an arm reaches over its seeds.",
            },
        ],
    });
    let pair = json!({ "type": "array", "items": { "type": "string" }, "minItems": 2, "maxItems": 2 });
    let pairs = json!({ "type": "array", "items": pair, "description": says("pairs") });
    let practical =
        json!({ "type": "number", "exclusiveMinimum": 1, "default": 1.05, "description": says("practical") });
    let path = json!({ "type": "string" });
    let tune = json!({ "oneOf": [path, { "type": "array", "items": path }], "description": says("tune") });
    map["properties"]["target"] = target;
    map["properties"]["pairs"] = pairs;
    map["properties"]["practical"] = practical;
    map["properties"]["tune"] = tune;
    for (key, bound) in [("from", "exclusiveMinimum"), ("to", "exclusiveMinimum")] {
        map["properties"]["band"]["properties"][key][bound] = json!(0);
        map["properties"]["band"]["properties"][key]["maximum"] = json!(1);
    }
    let description = derived["description"].clone();
    let keys = map.as_object_mut().expect("`compare` is a map");
    keys.shift_remove("required");
    keys.insert("type".to_owned(), json!("object"));
    keys.insert("additionalProperties".to_owned(), json!(false));
    keys.insert("description".to_owned(), description);
    map
}

/// Every dotted path of a run, sections too.
fn paths(run: &Value) -> Vec<String> {
    fn visit(schema: &Value, path: &str, found: &mut Vec<String>) {
        for (key, value) in properties(schema) {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            visit(value, &path, found);
            if !found.contains(&path) {
                found.push(path);
            }
        }
        variants(schema).for_each(|variant| visit(variant, path, found));
    }
    let mut found = Vec::new();
    visit(run, "", &mut found);
    found.sort();
    found
}

/// Comments as text, and without the words that only Rust needs.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.shift_remove("format");
            if let Some(Value::String(description)) = map.get_mut("description") {
                *description = plain(&text(description));
            }
            map.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// Without the key's own name in front, and without links.
fn plain(text: &str) -> String {
    let without_name = match text.strip_prefix('`').and_then(|rest| rest.split_once("`: ")) {
        Some((name, rest)) if name.chars().all(|c| c.is_ascii_lowercase() || "._{}: ".contains(c)) => rest,
        _ => text,
    };
    let mut plain = String::with_capacity(without_name.len());
    let mut rest = without_name;
    // [`Name`](path) and [`Name`] become `Name`.
    while let Some(start) = rest.find("[`") {
        let Some(end) = rest[start..].find("`]").map(|end| start + end) else { break };
        plain.push_str(&rest[..start]);
        plain.push_str(&rest[start + 1..=end]);
        rest = &rest[end + 2..];
        if let Some(after) = rest.strip_prefix('(').and_then(|path| path.split_once(')')) {
            rest = after.1;
        }
    }
    plain.push_str(rest);
    capitalized(&plain)
}
