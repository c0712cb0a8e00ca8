//! The keys below a path, as text for a terminal and as a page.

use serde_json::Value;

use super::ranges::{properties, tag, variants};
use super::schema::sweep_schema;
use crate::spec::nearest;

/// A path that names no key.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("there is no key `{path}`\nhint: {hint}")]
pub struct KeyError {
    path: String,
    hint: String,
}

/// One key, or one `kind` of a section.
struct Line {
    /// Dotted, as `--set` and axes name it.
    path: String,
    /// The kind, for a line that stands for a whole `kind`.
    kind: Option<String>,
    /// Type and range in words; empty for a section.
    values: String,
    default: Option<String>,
    meaning: String,
}

/// Columns of the text.
const WIDTH: usize = 110;

/// Every key at or below `path`, or of a whole sweep: its type, range, default, meaning and source.
pub fn reference(path: Option<&str>) -> Result<String, KeyError> {
    let lines = lines(&sweep_schema());
    let chosen: Vec<&Line> = match path {
        None => lines.iter().collect(),
        Some(path) => {
            let path = path.strip_prefix("base.").unwrap_or(path);
            let below = format!("{path}.");
            lines.iter().filter(|line| line.path == path || line.path.starts_with(&below)).collect()
        }
    };
    if chosen.is_empty() {
        let path = path.unwrap_or_default();
        let last_key = |line: &&Line| line.path.rsplit('.').next() == Some(path);
        let meant = lines.iter().find(last_key).map(|line| line.path.as_str());
        let hint = match meant.or_else(|| nearest(path, lines.iter().map(|line| line.path.as_str()))) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "`speedlab keys` prints all of them".to_owned(),
        };
        return Err(KeyError { path: path.to_owned(), hint });
    }
    let text = chosen.into_iter().map(Line::as_text).collect::<Vec<_>>();
    Ok(text.join("\n"))
}

/// All keys as a page of Markdown.
pub fn reference_page() -> String {
    let mut page = include_str!("page.md").to_owned();
    let (mut section, mut is_bullet) = (String::new(), false);
    for line in lines(&sweep_schema()) {
        let top = line.path.split('.').next().unwrap_or_default();
        if top != section {
            section = top.to_owned();
            page.push_str(&format!("\n## `{section}`\n"));
        }
        let text = line.as_markdown();
        // Bullets follow each other; all else is set apart.
        if !(text.starts_with("- ") && is_bullet) {
            page.push('\n');
        }
        is_bullet = text.starts_with("- ");
        page.push_str(&text);
    }
    page
}

impl Line {
    fn head(&self) -> String {
        let mut head = self.path.clone();
        if let Some(kind) = &self.kind {
            head.push_str(&format!(": {{ kind: {kind} }}"));
        }
        head
    }

    /// `a number above 0; default 0.001`.
    fn facts(&self) -> String {
        let default = self.default.as_ref().map(|default| format!("default {default}"));
        let facts = [Some(self.values.clone()).filter(|values| !values.is_empty()), default];
        facts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }

    fn as_text(&self) -> String {
        let mut text = self.head();
        let facts = self.facts();
        if !facts.is_empty() {
            text.push_str(&format!("  {facts}"));
        }
        for line in wrapped(&self.meaning, WIDTH - 4) {
            text.push_str(&format!("\n    {line}"));
        }
        text.push('\n');
        text
    }

    fn as_markdown(&self) -> String {
        let facts = self.facts();
        let facts = if facts.is_empty() { String::new() } else { format!("{facts}. ") };
        let is_section = self.kind.is_some() || !self.path.contains('.');
        let meaning = self.meaning.replace("\n\n", " ");
        match is_section {
            true if self.kind.is_none() => format!("{}\n", capitalized(&format!("{facts}{meaning}"))),
            true => format!("**`{}`** {meaning}\n", self.head()),
            false => format!("- `{}`: {facts}{meaning}\n", self.head()),
        }
    }
}

/// Every key of a sweep, those of `base` without that word in front.
fn lines(schema: &Value) -> Vec<Line> {
    let mut lines = Vec::new();
    for (key, value) in properties(schema) {
        lines.push(line(key.clone(), value));
        match key.as_str() {
            "base" => {}
            "arms" => lines.push(line("arms.extends".to_owned(), &schema["$defs"]["arm"]["properties"]["extends"])),
            "grid" => lines.push(line("grid.values".to_owned(), &schema["$defs"]["axis_values"])),
            _ => visit(value, key, &mut lines),
        }
    }
    for (key, value) in properties(&schema["$defs"]["run"]) {
        lines.push(line(key.clone(), value));
        visit(value, key, &mut lines);
    }
    lines
}

fn visit(schema: &Value, path: &str, lines: &mut Vec<Line>) {
    for (key, value) in properties(schema).filter(|(key, _)| *key != "kind") {
        let path = format!("{path}.{key}");
        lines.push(line(path.clone(), value));
        visit(value, &path, lines);
    }
    for variant in variants(schema) {
        // A map with a preset has the keys of its kind.
        let has_preset = variant.pointer("/properties/preset").is_some();
        if let Some(kind) = tag(variant).filter(|_| !has_preset) {
            lines.push(Line { kind: Some(kind.to_owned()), ..line(path.to_owned(), variant) });
            visit(variant, path, lines);
        } else if tag(variant).is_none() && variant.get("properties").is_some() {
            visit(variant, path, lines);
        }
    }
}

fn line(path: String, schema: &Value) -> Line {
    let mut meaning = schema["description"].as_str().unwrap_or_default().to_owned();
    // Words that stand for a value each, with what they mean.
    for word in variants(schema).filter(|word| word.get("const").is_some()) {
        let says = word["description"].as_str().unwrap_or_default().replace("\n\n", " ");
        meaning.push_str(&format!("\n\n`{}`: {says}", shown(&word["const"])));
    }
    // Text without a default is one that has to be given.
    let default = schema.get("default").filter(|default| !is_section(schema) && **default != "").map(shown);
    // It stands beside the type already.
    if let Some(default) = &default {
        for said in ["Default ", "Default: "]
            .into_iter()
            .flat_map(|word| [format!("{word}{default}."), format!("{word}`{default}`.")])
        {
            meaning = meaning.replace(&said, "").trim().to_owned();
        }
    }
    Line { path, kind: None, values: values(schema), default, meaning }
}

fn is_section(schema: &Value) -> bool {
    schema.get("properties").is_some() || variants(schema).any(|variant| tag(variant).is_some())
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string().trim_end_matches(".0").to_owned(),
        other => other.to_string(),
    }
}

/// Type and range in words.
fn values(schema: &Value) -> String {
    if is_section(schema) {
        return String::new();
    }
    let words: Vec<String> =
        variants(schema).filter_map(|word| word.get("const")).map(|word| format!("`{}`", shown(word))).collect();
    if !words.is_empty() {
        return words.join(", ");
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return words.iter().map(|word| format!("`{}`", shown(word))).collect::<Vec<_>>().join(", ");
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect(),
        _ => vec![],
    };
    let name = match kinds[..] {
        ["integer"] => "a whole number",
        ["number"] => "a number",
        ["boolean"] => "true or false",
        ["string"] => "text",
        ["object"] => "a map",
        ["array"] => {
            let items = values(&schema["items"]);
            return if items.is_empty() { "a list".to_owned() } else { format!("a list, each {items}") };
        }
        _ => return String::new(),
    };
    let bound = |word: &str, says: &str| schema.get(word).map(|bound| format!("{says} {}", shown(bound)));
    let bounds = [
        bound("exclusiveMinimum", "above"),
        bound("minimum", "at least"),
        bound("exclusiveMaximum", "below"),
        bound("maximum", "at most"),
    ];
    let bounds: Vec<String> = bounds.into_iter().flatten().collect();
    if bounds.is_empty() { name.to_owned() } else { format!("{name} {}", bounds.join(" and ")) }
}

/// Symbols such as `k`, `b0` and `ln(SNR)` stay as they are.
pub(super) fn capitalized(text: &str) -> String {
    let first = text.split([' ', ',', '.', ':']).next().unwrap_or_default();
    let is_word = first == "a" || (first.len() > 1 && first.chars().all(|letter| letter.is_ascii_lowercase()));
    let mut letters = text.chars();
    match letters.next().filter(|_| is_word) {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => text.to_owned(),
    }
}

/// Lines of at most so many characters; an empty line between paragraphs is left out.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}
