//! A tree becomes a [`SweepSpec`]: the keys of a sweep, before anything is merged.

mod arms;
mod axes;
mod compare;
mod labels;
mod name;
mod points;
mod reader;
mod seeds;

use self::reader::Reader;
use super::finding::Finding;
use crate::spec::{Location, Node, SweepSpec, Value};

/// The keys of a sweep. Keys that begin with `x-` hold anchors and are not read.
pub const SWEEP_KEYS: [&str; 13] = [
    "name",
    "question",
    "base",
    "arms",
    "grid",
    "zip",
    "include",
    "exclude",
    "seeds",
    "compare",
    "labels",
    "exclusive",
    "cluster",
];

/// The arm that everything is compared with unless the sweep says otherwise.
const DEFAULT_BASELINE: &str = "baseline";

/// Refuses what is no sweep at all.
pub fn require_map(tree: &Node) -> Result<(), Finding> {
    let beginning = Location { line: 1, column: 1, ..Location::default() };
    match &tree.value {
        Value::Map(entries) if !entries.is_empty() => Ok(()),
        Value::Null | Value::Map(_) => Err(Finding::new(beginning, "the sweep is empty")
            .hint("a sweep begins with `base:`; sweeps/quickstart.yaml is an example")),
        _ => Err(Finding::new(
            tree.at,
            format!("a sweep is a map of keys such as `base` and `arms`, not {}", tree.describe()),
        )
        .hint("is this the right file? sweeps/quickstart.yaml is an example")),
    }
}

/// Reads every key; what is wrong with one does not hide what is wrong with the next.
pub fn read(tree: &Node, default_name: &str) -> Result<SweepSpec, Vec<Finding>> {
    let mut reader = Reader::default();
    for entry in tree.entries().iter().filter(|entry| !entry.key.starts_with("x-")) {
        reader.refuse_unknown(entry, &SWEEP_KEYS, "");
    }
    let sweep = SweepSpec {
        name: reader.name(tree.entry("name"), default_name),
        question: tree.get("question").and_then(|node| reader.decode("question", node)).unwrap_or_default(),
        base: reader.base(tree.entry("base")),
        arms: reader.arms(tree.entry("arms")),
        grid: tree.entry("grid").map(|entry| reader.axes("grid", &entry.value)).unwrap_or_default(),
        zip: reader.zip(tree.get("zip")),
        include: reader.points("include", tree.get("include")),
        exclude: reader.points("exclude", tree.get("exclude")),
        seeds: reader.seeds(tree.get("seeds")),
        compare: tree.entry("compare").and_then(|entry| reader.compare(entry)),
        labels: tree.get("labels").map(|node| reader.labels(node)).unwrap_or_default(),
        exclusive: tree.get("exclusive").and_then(|node| reader.decode("exclusive", node)).unwrap_or_default(),
        cluster: tree.get("cluster").and_then(|node| reader.decode("cluster", node)).unwrap_or_default(),
    };
    if reader.findings.is_empty() { Ok(sweep) } else { Err(reader.findings) }
}
