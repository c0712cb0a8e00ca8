//! The only door to YAML: a text becomes a tree with the place of every key and value.
//!
//! Anchors, aliases and merge keys (`<<`) are resolved within a budget. Plain words follow YAML 1.2: `yes` and `012`
//! are text.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Error, NonFiniteFloatPolicy, Options, Spanned};

use super::finding::Finding;
use crate::spec::{Entry, Location, Node, Source, Value, nearest};

/// A sweep is written by hand; a longer file is something else.
const LARGEST_FILE: u64 = 4 << 20;

/// Values that aliases may make of a file; an alias bomb wants billions.
const MOST_VALUES: usize = 250_000;

/// Reads the whole file, unless it is too large or not text.
pub fn read_text(path: &Path) -> Result<String, Finding> {
    let nowhere = Location::default();
    let place = |line, column| Location { line, column, ..nowhere };
    let too_large = |size: String| {
        Finding::new(place(1, 1), format!("the file is too large for a sweep: {size}, and 4 MiB is the limit")).hint(
            "is this the right file? values at equal distances can be written as `linspace`, `logspace` or `range`",
        )
    };
    let cannot_read = |error: std::io::Error| {
        let finding = Finding::new(nowhere, format!("cannot read the sweep: {}", describe(&error)));
        match similar_file(path) {
            Some(similar) if error.kind() == std::io::ErrorKind::NotFound => {
                finding.hint(format!("did you mean `{similar}`?"))
            }
            _ => finding,
        }
    };
    let file = File::open(path).map_err(cannot_read)?;
    let metadata = file.metadata().map_err(cannot_read)?;
    if metadata.is_dir() {
        return Err(Finding::new(nowhere, "cannot read the sweep: it is a folder, not a file"));
    }
    if metadata.len() > LARGEST_FILE {
        return Err(too_large(format!("{:.1} MiB", metadata.len() as f64 / (1 << 20) as f64)));
    }
    let mut bytes = Vec::new();
    // A pipe or a device has no length beforehand.
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(cannot_read)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(too_large("more than 4 MiB".to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]).into_owned();
        let byte = error.as_bytes()[error.utf8_error().valid_up_to()];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        Finding::new(place(line, column), format!("not a text file: byte 0x{byte:02x} is not UTF-8"))
            .hint("save it as UTF-8, or check that it is the right file")
    })
}

/// Reads one YAML document; `source` says which text its places are in.
pub fn parse(text: &str, source: Source) -> Result<Node, Finding> {
    let mut options = Options::default();
    options.duplicate_keys = DuplicateKeyPolicy::PassThrough;
    options.non_finite_float_policy = NonFiniteFloatPolicy::PassThrough;
    options.strict_booleans = true;
    options.leading_zero_numbers_as_strings = true;
    options.with_snippet = false;
    if let Some(budget) = &mut options.budget {
        budget.max_nodes = MOST_VALUES;
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let written = serde_saphyr::from_str_with_options::<Written>(text, options)
        .map_err(|error| explain(error.without_snippet(), text, source))?;
    written.into_node(source)
}

/// A value as the YAML crate hands it over.
struct Written(Spanned<Content>);

enum Content {
    Scalar(Value),
    List(Vec<Written>),
    Map(Vec<(Spanned<String>, Written)>),
}

impl Written {
    fn into_node(self, source: Source) -> Result<Node, Finding> {
        // What comes from an alias is shown where it is defined: that is what has to be changed.
        let place = |location: serde_saphyr::Location| Location {
            source,
            line: location.line() as usize,
            column: location.column() as usize,
        };
        let at = place(self.0.defined);
        let value = match self.0.value {
            Content::Scalar(value) => value,
            Content::List(items) => {
                Value::List(items.into_iter().map(|item| item.into_node(source)).collect::<Result<_, _>>()?)
            }
            Content::Map(pairs) => {
                let mut entries: Vec<Entry> = Vec::with_capacity(pairs.len());
                let mut first_places = std::collections::BTreeMap::new();
                for (key, value) in pairs {
                    let key_at = place(key.defined);
                    if let Some(first) = first_places.insert(key.value.clone(), key_at) {
                        let mut finding =
                            Finding::new(key_at, format!("duplicate key `{}`", key.value)).hint("keep one of the two");
                        finding.related = Some(Box::new((first, "first written here".to_owned())));
                        return Err(finding);
                    }
                    entries.push(Entry { key: key.value, key_at, value: value.into_node(source)? });
                }
                Value::Map(entries)
            }
        };
        Ok(Node { at, value })
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Integer(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        // Beyond i64 no setting has a use for the last digits.
        Ok(Content::Scalar(i64::try_from(value).map_or(Value::Float(value as f64), Value::Integer)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Float(value)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Text(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Content::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Content::Map(pairs))
    }
}

/// The YAML crate's error in the words of someone who writes a sweep.
fn explain(error: &Error, text: &str, source: Source) -> Finding {
    let place = |line: usize, column: usize| Location { source, line, column };
    let (line, column) = error.location().map_or((1, 1), |at| (at.line() as usize, at.column() as usize));
    let raw = error.to_string();
    if raw.contains("Depth {") || raw.contains("recursion limit") {
        return Finding::new(place(line, column), "maps and lists are nested too deeply")
            .hint("no key of a sweep needs more than a few levels");
    }
    if raw.contains("budget breached") || matches!(error, Error::AliasReplayLimitExceeded { .. }) {
        return Finding::new(place(line, column), format!("the file stands for more than {MOST_VALUES} values"))
            .hint("aliases (`*name`) that repeat other aliases multiply; write out what is needed");
    }
    match error {
        Error::MultipleDocuments { .. } => {
            return Finding::new(place(line, column), "a second YAML document begins here, but a file holds one sweep")
                .hint("remove the `---`, or make it a file of its own");
        }
        Error::UnknownAnchor { .. } => {
            return Finding::new(place(line, column), "this alias has no anchor")
                .hint("an anchor (`&name`) must be written before its alias (`*name`)");
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            return Finding::new(place(line, column), "this alias is inside its own anchor");
        }
        _ => {}
    }
    // The scanner often notices one line late what an indentation did.
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    for number in [line, line + 1] {
        let Some(written) = lines.get(number - 1) else { continue };
        if let Some(tab) = written[..indent(written)].find('\t') {
            return Finding::new(place(number, tab + 1), "a tab indents this line").hint("indent with spaces");
        }
    }
    let reason = raw.split(" at line ").next().unwrap_or(&raw);
    let here = lines.get(line - 1).copied().unwrap_or_default();
    let blank = |line: &&&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let above = lines[..(line - 1).min(lines.len())].iter().rev().find(blank).copied().unwrap_or_default();
    let first = place(line, indent(here) + 1);
    if reason.contains("did not find expected key") {
        return Finding::new(first, "this line's indentation matches no line above")
            .hint("keys of one map begin in the same column");
    }
    if reason.contains("mapping values are not allowed") {
        if above.contains(':') && !above.contains(": ") && !above.ends_with(':') && indent(above) >= indent(here) {
            let above_line = lines.iter().position(|line| std::ptr::eq(*line, above)).map_or(line, |index| index + 1);
            return Finding::new(place(above_line, indent(above) + 1), "a key without a space after its colon")
                .hint("write `key: value`");
        }
        if indent(here) > indent(above) && !above.trim_end().ends_with(':') {
            return Finding::new(first, "this line is indented deeper than the one above, which has a value already")
                .hint("keys of one map begin in the same column");
        }
        return Finding::new(place(line, column), "a second `: ` in one line")
            .hint("text that holds `: ` needs quotes; a map inside a line needs braces");
    }
    let finding = Finding::new(place(line, column), format!("this is not YAML: {reason}"));
    match reason {
        _ if here.contains(": #") => {
            finding.hint("what follows ` #` is a comment: put quotes around it, as in `color: \"#0072B2\"`")
        }
        _ if reason.contains("unclosed") => finding.hint("close it with the matching bracket or quote"),
        _ if reason.contains("illegal placement of ':'") => finding.hint("is a bracket or quote left open above?"),
        _ if reason.contains("unexpected character") => {
            finding.hint("text that begins with this character needs quotes")
        }
        _ if reason.contains("expected ':'") => finding.hint("every line of a map is `key: value`"),
        _ if reason.contains("expected string scalar") => finding.hint("keys are plain words"),
        _ => finding,
    }
}

fn describe(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// A YAML file in the same folder with nearly the same name.
fn similar_file(path: &Path) -> Option<String> {
    let folder = path.parent()?;
    let listing = std::fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }).ok()?;
    let mut names: Vec<String> = listing
        .filter_map(|file| file.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".yaml") || name.ends_with(".yml"))
        .collect();
    names.sort();
    let name = path.file_name()?.to_str()?;
    let meant = nearest(name, names.iter().map(String::as_str))?;
    Some(folder.join(meant).display().to_string())
}
