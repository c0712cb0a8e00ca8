//! Compares the numbers of a report with those that were kept, as a paper's continuous integration does.

use std::collections::BTreeSet;

use serde_json::Value;

use super::tables::SPEEDUPS_VERSION;

/// A kept `speedups.json` that cannot be compared.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum CheckError {
    #[error("it is not JSON: {reason}\nhint: it must be a `speedups.json` that `speedlab report` has written")]
    NoJson { reason: String },
    #[error(
        "it is no table of speedups: it has no `{key}`\nhint: it must be a `speedups.json` that `speedlab report` has written"
    )]
    NoTable { key: &'static str },
    #[error(
        "it was written by a newer speedlab (format {found}, this one reads {known})\nhint: update speedlab; the file was not touched"
    )]
    Newer { found: u64, known: u32 },
    #[error(
        "it was written by an older speedlab (format {found}, this one reads {known}), whose numbers are others\nhint: keep the `speedups.json` of this version"
    )]
    Older { found: u64, known: u32 },
    #[error("it is of the study `{kept}`, and this is `{now}`\nhint: name the study that it was kept of")]
    OtherStudy { kept: String, now: String },
}

/// What the comparison has found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checked {
    /// Numbers that agree.
    pub agree: usize,
    /// In the order of the file.
    pub differences: Vec<Difference>,
}

/// What differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Where, such as `clts against baseline: images_seen.interval.low`.
    pub what: String,
    /// As JSON; `None` where there is none.
    pub kept: Option<String>,
    pub now: Option<String>,
    /// Of the number or of what it belongs to; empty where there is no cell.
    pub cell: String,
}

/// Keys that hold sentences, which say in words what the numbers say, or names that are free to change.
const WORDS: [&str; 6] = ["answer", "words", "question", "plan_revisions", "label", "cell"];
/// What tells an entry of a list from the others, where that is no grid point.
const NAMES: [&str; 11] =
    ["arm", "arms", "both", "against", "axis", "value", "reference", "run_id", "metric", "protocol", "setting"];

/// Reads the text of a kept table of the study `sweep`.
pub fn read_kept(text: &str, sweep: &str) -> Result<Value, CheckError> {
    let kept: Value = serde_json::from_str(text).map_err(|error| CheckError::NoJson { reason: error.to_string() })?;
    let version = kept.get("version").and_then(Value::as_u64).ok_or(CheckError::NoTable { key: "version" })?;
    match version {
        found if found > u64::from(SPEEDUPS_VERSION) => {
            return Err(CheckError::Newer { found, known: SPEEDUPS_VERSION });
        }
        found if found < u64::from(SPEEDUPS_VERSION) => {
            return Err(CheckError::Older { found, known: SPEEDUPS_VERSION });
        }
        _ => {}
    }
    let name = kept.get("sweep").and_then(Value::as_str).ok_or(CheckError::NoTable { key: "sweep" })?;
    if name != sweep {
        return Err(CheckError::OtherStudy { kept: name.to_owned(), now: sweep.to_owned() });
    }
    if !kept.get("points").is_some_and(Value::is_array) {
        return Err(CheckError::NoTable { key: "points" });
    }
    Ok(kept)
}

/// Compares every number, name and verdict. `within`: by how much a number may differ, relative to the larger of the two; 0 asks for the
/// same bits. Sentences are made of these, and are not compared.
pub fn check(kept: &Value, now: &Value, within: f64) -> Checked {
    let mut walk = Walk { within, found: Checked::default() };
    walk.values("", "", kept, now);
    walk.found
}

struct Walk {
    within: f64,
    found: Checked,
}

impl Walk {
    fn values(&mut self, what: &str, cell: &str, kept: &Value, now: &Value) {
        let own = now.get("cell").and_then(Value::as_str);
        let cell = own.unwrap_or(cell);
        match (kept, now) {
            (Value::Object(first), Value::Object(second)) => {
                let keys = first.keys().chain(second.keys().filter(|key| !first.contains_key(*key)));
                for key in keys.filter(|key| !WORDS.contains(&key.as_str())) {
                    let what = joined(what, key);
                    self.pair(&what, cell, first.get(key), second.get(key));
                }
            }
            (Value::Array(first), Value::Array(second)) => self.lists(what, cell, first, second),
            (Value::Number(first), Value::Number(second)) => match self.agree(first, second) {
                true => self.found.agree += 1,
                false => self.differ(what, cell, Some(kept), Some(now)),
            },
            _ if kept == now => {}
            _ => self.differ(what, cell, Some(kept), Some(now)),
        }
    }

    fn pair(&mut self, what: &str, cell: &str, kept: Option<&Value>, now: Option<&Value>) {
        match (kept, now) {
            (Some(kept), Some(now)) => self.values(what, cell, kept, now),
            // Nothing is written in two ways.
            (Some(Value::Null) | None, Some(Value::Null) | None) => {}
            (kept, now) => self.differ(what, cell, kept, now),
        }
    }

    /// Entries with names are compared by them, others by their places.
    fn lists(&mut self, what: &str, cell: &str, kept: &[Value], now: &[Value]) {
        let (first, second) = (names(kept), names(now));
        let (Some(first), Some(second)) = (first, second) else {
            for index in 0..kept.len().max(now.len()) {
                self.pair(&format!("{what}[{index}]"), cell, kept.get(index), now.get(index));
            }
            return;
        };
        let of = |names: &[String], name: &str| names.iter().position(|other| other == name);
        for name in first.iter().chain(second.iter().filter(|name| of(&first, name).is_none())) {
            let (one, other) = (of(&first, name).map(|index| &kept[index]), of(&second, name).map(|index| &now[index]));
            let place = if name.is_empty() { what.to_owned() } else { format!("{what}[{name}]") };
            self.pair(&place, cell, one, other);
        }
    }

    fn agree(&self, kept: &serde_json::Number, now: &serde_json::Number) -> bool {
        if kept == now {
            return true;
        }
        let (Some(kept), Some(now)) = (kept.as_f64(), now.as_f64()) else { return false };
        kept == now || (kept - now).abs() <= self.within * kept.abs().max(now.abs())
    }

    fn differ(&mut self, what: &str, cell: &str, kept: Option<&Value>, now: Option<&Value>) {
        let own = [now, kept].into_iter().flatten().find_map(|value| value.get("cell").and_then(Value::as_str));
        self.found.differences.push(Difference {
            what: what.to_owned(),
            kept: kept.map(short),
            now: now.map(short),
            cell: own.unwrap_or(cell).to_owned(),
        });
    }
}

/// What each entry is of, if all are maps that tell themselves from each other by it.
fn names(list: &[Value]) -> Option<Vec<String>> {
    let name = |entry: &Value| {
        let entry = entry.as_object()?;
        if let Some(point) = entry.get("point") {
            return name_of(point);
        }
        let parts = NAMES.iter().filter_map(|key| name_of(entry.get(*key)?)).filter(|part| !part.is_empty());
        Some(parts.collect::<Vec<_>>().join(" "))
    };
    let names: Vec<String> = list.iter().map(name).collect::<Option<_>>()?;
    let distinct: BTreeSet<&String> = names.iter().collect();
    (distinct.len() == names.len()).then_some(names)
}

/// A text, a list of texts, or a grid point.
fn name_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            // In whatever order arms are shown.
            texts.map(|mut texts| {
                texts.sort_unstable();
                texts.join(" ")
            })
        }
        Value::Object(point) => {
            let parts = point.iter().map(|(path, value)| format!("{path} = {value}"));
            Some(parts.collect::<Vec<_>>().join(", "))
        }
        _ => None,
    }
}

fn joined(what: &str, key: &str) -> String {
    if what.is_empty() { key.to_owned() } else { format!("{what}.{key}") }
}

/// A value in a line: of a map or a list what it is.
fn short(value: &Value) -> String {
    match value {
        Value::Object(_) => "an entry".to_owned(),
        Value::Array(items) => format!("{} entries", items.len()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table(speedup: f64) -> Value {
        json!({ "version": SPEEDUPS_VERSION, "sweep": "s", "points": [{ "point": {}, "arms": [
            { "arm": "a", "answer": "words", "speedups": { "images_seen": { "speedup": 1, "verdict": "baseline" } } },
            { "arm": "b", "speedups": { "images_seen": { "cell": "k3f9qa", "speedup": speedup, "interval": null, "verdict": "faster" } } },
        ] }] })
    }

    #[test]
    fn the_order_of_arms_and_sentences_are_no_difference() {
        let kept = table(1.5);
        let mut now = table(1.5);
        now["points"][0]["arms"].as_array_mut().unwrap().reverse();
        now["points"][0]["arms"][1]["answer"] = "others".into();
        let found = check(&kept, &now, 0.0);
        assert_eq!((found.agree, found.differences), (3, vec![]), "the version and two speedups");
    }

    #[test]
    fn a_number_differs_by_its_last_bit_unless_more_is_allowed() {
        let (kept, now) = (table(1.5), table(1.5 + 1e-15));
        let found = check(&kept, &now, 0.0);
        let difference = Difference {
            what: "points.arms[b].speedups.images_seen.speedup".into(),
            kept: Some("1.5".into()),
            now: Some("1.500000000000001".into()),
            cell: "k3f9qa".into(),
        };
        assert_eq!(found, Checked { agree: 2, differences: vec![difference] });
        assert_eq!(check(&kept, &now, 1e-12).differences, []);
        assert_eq!(check(&kept, &table(1.6), 0.05).differences.len(), 1);
        assert_eq!(check(&kept, &table(1.6), 0.07).differences.len(), 0);
    }

    #[test]
    fn what_is_gone_or_new_or_of_another_kind_differs() {
        let kept = table(1.5);
        let mut now = table(1.5);
        now["points"][0]["arms"][0]["arm"] = "c".into();
        now["points"][0]["arms"][1]["speedups"]["images_seen"]["verdict"] = "undecided".into();
        let found = check(&kept, &now, 0.0).differences;
        let seen: Vec<_> =
            found.iter().map(|difference| (difference.what.as_str(), difference.cell.as_str())).collect();
        assert_eq!(
            seen,
            [("points.arms[a]", ""), ("points.arms[b].speedups.images_seen.verdict", "k3f9qa"), ("points.arms[c]", "")]
        );
        assert_eq!((found[0].now.as_deref(), found[2].kept.as_deref()), (None, None));
    }

    #[test]
    fn a_file_that_is_no_table_of_the_study_is_refused() {
        let read = |value: Value| read_kept(&value.to_string(), "s").map(|_| ());
        assert_eq!(read(table(1.0)), Ok(()));
        assert!(matches!(read_kept("{\"version\": 2,", "s"), Err(CheckError::NoJson { .. })));
        assert_eq!(read(json!([1])), Err(CheckError::NoTable { key: "version" }));
        assert_eq!(read(json!({ "version": 2 })), Err(CheckError::NoTable { key: "sweep" }));
        assert_eq!(
            read(json!({ "version": 2, "sweep": "s", "points": 3 })),
            Err(CheckError::NoTable { key: "points" })
        );
        assert_eq!(read(json!({ "version": 99 })), Err(CheckError::Newer { found: 99, known: SPEEDUPS_VERSION }));
        assert_eq!(read(json!({ "version": 1 })), Err(CheckError::Older { found: 1, known: SPEEDUPS_VERSION }));
        let other = json!({ "version": 2, "sweep": "t", "points": [] });
        assert_eq!(read(other), Err(CheckError::OtherStudy { kept: "t".into(), now: "s".into() }));
    }
}
