//! Maps with a `kind`: how they are written, and their JSON Schema (draft 2020-12), made from the types and their comments. Editors read it.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

/// A map with this `kind` and the keys of `Settings`.
pub fn kind<Settings: JsonSchema>(generator: &mut SchemaGenerator, tag: &str, doc: &str) -> Value {
    let mut schema = Settings::json_schema(generator).to_value();
    let settings = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut properties = Map::from_iter([("kind".to_owned(), json!({ "const": tag }))]);
    properties.extend(settings);
    schema["type"] = json!("object");
    schema["properties"] = Value::Object(properties);
    schema["required"] = json!(["kind"]);
    schema["additionalProperties"] = json!(false);
    let more =
        schema.get("description").and_then(Value::as_str).filter(|more| *more != "No settings.").unwrap_or_default();
    schema["description"] = json!(text(&format!("{doc}\n\n{more}")));
    schema
}

/// A kind without settings, written as a word.
pub fn word(word: &str, doc: &str) -> Value {
    json!({ "const": word, "description": doc })
}

/// Writes a kind with settings, as it is read, where its siblings are words.
pub fn serialize_kind<S: Serializer>(kind: &'static str, settings: impl Serialize, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Kind<T> {
        kind: &'static str,
        #[serde(flatten)]
        settings: T,
    }
    Kind { kind, settings }.serialize(to)
}

/// One of several maps, told apart by their `kind`.
pub fn one_of_kinds(doc: &str, kinds: Vec<Value>) -> Schema {
    json_schema!({ "description": text(doc), "oneOf": kinds })
}

/// A comment as text: lines of a paragraph joined, paragraphs apart.
pub fn text(doc: &str) -> String {
    let paragraphs = doc.split("\n\n").map(|paragraph| {
        paragraph.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
    });
    paragraphs.filter(|paragraph| !paragraph.is_empty()).collect::<Vec<_>>().join("\n\n")
}
