//! A tree becomes a [`SweepSpec`]: the keys of a sweep, before anything is merged.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::finding::Finding;
use crate::spec::{
    ArmSpec, AxisSpec, AxisValues, CompareSpec, Entry, FinalAt, Location, Metric, Node, PairSpec, Placed, PointSpec,
    RunSpec, SweepSpec, TargetSpec, Value, decode_under, nearest, quoted_list,
};

/// The keys of a sweep. Keys that begin with `x-` hold anchors and are not read.
pub const SWEEP_KEYS: [&str; 11] =
    ["name", "question", "base", "arms", "grid", "zip", "include", "exclude", "seeds", "compare", "exclusive"];

const DEFAULT_SEEDS: u64 = 3;

/// More seeds than this are a slip.
const MOST_SEEDS: u64 = 10_000;

/// More arms than this are a slip; values belong on an axis.
const MOST_ARMS: usize = 1000;

/// The arm that everything is compared with unless the sweep says otherwise.
const DEFAULT_BASELINE: &str = "baseline";

/// Refuses what is no sweep at all.
pub fn require_map(tree: &Node) -> Result<(), Finding> {
    let nowhere = Location::default();
    match &tree.value {
        Value::Map(entries) if !entries.is_empty() => Ok(()),
        Value::Null | Value::Map(_) => Err(Finding::new(nowhere, "the sweep is empty")
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
        exclusive: tree.get("exclusive").and_then(|node| reader.decode("exclusive", node)).unwrap_or_default(),
    };
    if reader.findings.is_empty() { Ok(sweep) } else { Err(reader.findings) }
}

/// Whether a name can be a folder, and be typed on a command line without quotes.
fn is_safe_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    !name.is_empty()
        && name.len() <= 64
        && name.chars().all(plain)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !name.ends_with('.')
}

const SAFE_NAME: &str =
    "use letters, digits, `-`, `_`, `+` and `.`, begin with a letter or digit, and use no more than 64";

#[derive(Default)]
struct Reader {
    findings: Vec<Finding>,
}

impl Reader {
    fn decode<T: DeserializeOwned>(&mut self, path: &str, node: &Node) -> Option<T> {
        decode_under(path, node).map_err(|error| self.findings.push(error.into())).ok()
    }

    fn refuse_unknown(&mut self, entry: &Entry, known: &[&str], path: &str) {
        let key = &entry.key;
        if known.contains(&key.as_str()) {
            return;
        }
        let dot = if path.is_empty() { "" } else { "." };
        let finding = Finding::new(entry.key_at, format!("unknown key `{path}{dot}{key}`"));
        self.findings.push(match nearest(key, known.iter().copied()) {
            _ if path.is_empty() && is_key_of_base(key) => finding.hint(format!("`{key}` belongs under `base`")),
            Some(meant) => finding.hint(format!("did you mean `{meant}`?")),
            None => finding.hint(format!("the keys here are {}", quoted_list(known.iter().copied()))),
        });
    }

    /// The entries of a map; a finding and none for anything else. Nothing written counts as an empty map.
    fn map<'n>(&mut self, path: &str, node: &'n Node) -> &'n [Entry] {
        if !matches!(node.value, Value::Map(_) | Value::Null) {
            self.findings.push(Finding::new(node.at, format!("`{path}` must be a map, not {}", node.describe())));
        }
        node.entries()
    }

    fn name(&mut self, entry: Option<&Entry>, default: &str) -> Placed<String> {
        let Some(entry) = entry else {
            if !is_safe_name(default) {
                let message = format!("the file's name cannot name the sweep's results: `{default}`");
                self.findings.push(Finding::new(Location::default(), message).hint("give the sweep a `name`"));
            }
            return Placed { at: Location::default(), value: default.to_owned() };
        };
        let at = entry.value.at;
        let value: String = self.decode("name", &entry.value).unwrap_or_else(|| "unreadable".to_owned());
        if !is_safe_name(&value) {
            let message = format!("`name` names the folder of the results, which cannot be `{value}`");
            self.findings.push(Finding::new(at, message).hint(SAFE_NAME));
        }
        Placed { at, value }
    }

    fn base(&mut self, entry: Option<&Entry>) -> Node {
        let empty = Node { at: Location::default(), value: Value::Map(Vec::new()) };
        let Some(entry) = entry else { return empty };
        let entries = self.map("base", &entry.value);
        self.refuse_seed(entries);
        Node { at: entry.key_at, value: Value::Map(entries.to_vec()) }
    }

    /// A run's seed is a field of its spec, but not one that a patch may set.
    fn refuse_seed(&mut self, entries: &[Entry]) {
        for entry in entries.iter().filter(|entry| entry.key == "seed") {
            let finding = Finding::new(entry.key_at, "`seed` cannot be set here");
            self.findings.push(finding.hint("every arm runs with the same seeds; write `seeds: [..]` beside `base`"));
        }
    }

    fn arms(&mut self, entry: Option<&Entry>) -> Vec<ArmSpec> {
        let Some(entry) = entry else {
            let name = Placed { at: Location::default(), value: DEFAULT_BASELINE.to_owned() };
            let patch = Node { at: Location::default(), value: Value::Map(Vec::new()) };
            return vec![ArmSpec { name, extends: Vec::new(), patch }];
        };
        let entries = self.map("arms", &entry.value);
        if entries.is_empty() && matches!(entry.value.value, Value::Map(_) | Value::Null) {
            self.findings.push(
                Finding::new(entry.key_at, "`arms` is empty").hint("write at least `baseline: {}`, or remove `arms`"),
            );
        }
        if entries.len() > MOST_ARMS {
            let message = format!("the sweep has {} arms, and {MOST_ARMS} is the limit", entries.len());
            self.findings.push(Finding::new(entry.key_at, message).hint("values that vary belong in `grid`"));
            return Vec::new();
        }
        entries.iter().map(|entry| self.arm(entry)).collect()
    }

    fn arm(&mut self, entry: &Entry) -> ArmSpec {
        let name = Placed { at: entry.key_at, value: entry.key.clone() };
        if !is_safe_name(&name.value) {
            self.findings
                .push(Finding::new(name.at, format!("an arm cannot be called `{}`", name.value)).hint(SAFE_NAME));
        }
        let path = format!("arms.{}", name.value);
        let entries = self.map(&path, &entry.value);
        let extends = entries.iter().find(|entry| entry.key == "extends");
        let extends = extends.map(|entry| self.texts(&format!("{path}.extends"), &entry.value)).unwrap_or_default();
        let patches: Vec<Entry> = entries.iter().filter(|entry| entry.key != "extends").cloned().collect();
        self.refuse_seed(&patches);
        ArmSpec { name, extends, patch: Node { at: entry.key_at, value: Value::Map(patches) } }
    }

    /// One value or a list of them.
    fn one_or_more<T: DeserializeOwned>(&mut self, path: &str, node: &Node) -> Vec<Placed<T>> {
        let nodes = match &node.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        nodes.iter().filter_map(|node| Some(Placed { at: node.at, value: self.decode(path, node)? })).collect()
    }

    fn texts(&mut self, path: &str, node: &Node) -> Vec<Placed<String>> {
        self.one_or_more(path, node)
    }

    fn axes(&mut self, section: &str, node: &Node) -> Vec<AxisSpec> {
        let entries = self.map(section, node);
        if entries.is_empty() && matches!(node.value, Value::Map(_) | Value::Null) {
            let finding = Finding::new(node.at, format!("`{section}` is empty"));
            self.findings.push(
                finding.hint(format!("give it an axis, as in `model.channels: [16, 32]`, or remove `{section}`")),
            );
        }
        entries
            .iter()
            .filter_map(|entry| {
                let values = self.axis_values(&format!("{section}.{}", entry.key), entry)?;
                Some(AxisSpec { path: Placed { at: entry.key_at, value: entry.key.clone() }, values })
            })
            .collect()
    }

    fn axis_values(&mut self, path: &str, entry: &Entry) -> Option<AxisValues> {
        /// `linspace` and `logspace`.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Spaced {
            start: f64,
            stop: f64,
            count: usize,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Stepped {
            start: f64,
            stop: f64,
            step: f64,
        }
        const FORMS: [&str; 3] = ["linspace", "logspace", "range"];
        let at = entry.value.at;
        match &entry.value.value {
            Value::List(values) => Some(AxisValues::List(at, values.clone())),
            Value::Map(entries) if entries.len() == 1 && FORMS.contains(&entries[0].key.as_str()) => {
                let form = entries[0].key.as_str();
                let at = entries[0].key_at;
                let path = format!("{path}.{form}");
                if let Value::List(_) = &entries[0].value.value {
                    let last = if form == "range" { "step" } else { "count" };
                    let message = format!("`{path}` must be a map, not a list");
                    let hint = format!("write `{{ {form}: {{ start: .., stop: .., {last}: .. }} }}`");
                    self.findings.push(Finding::new(entries[0].value.at, message).hint(hint));
                    return None;
                }
                if form == "range" {
                    let Stepped { start, stop, step } = self.decode(&path, &entries[0].value)?;
                    return Some(AxisValues::Range { at, start, stop, step });
                }
                let Spaced { start, stop, count } = self.decode(&path, &entries[0].value)?;
                Some(match form {
                    "linspace" => AxisValues::Linspace { at, start, stop, count },
                    _ => AxisValues::Logspace { at, start, stop, count },
                })
            }
            Value::Map(entries) if !entries.is_empty() => {
                let is_stranger = |entry: &&Entry| !FORMS.contains(&entry.key.as_str());
                let stranger = entries.iter().find(is_stranger).unwrap_or(&entries[entries.len() - 1]);
                let finding = Finding::new(
                    stranger.key_at,
                    format!("`{path}` must be a list or one of {}, not `{}`", quoted_list(FORMS), stranger.key),
                );
                self.findings.push(match nearest(&stranger.key, FORMS) {
                    Some(meant) => finding.hint(format!("did you mean `{meant}`?")),
                    None => finding
                        .hint(format!("the key is one dotted path, as in `{}.{}: [..]`", entry.key, stranger.key)),
                });
                None
            }
            _ => {
                let what = entry.value.describe();
                let finding = Finding::new(at, format!("`{path}` must be a list of values, not {what}"));
                self.findings.push(finding.hint("write `[16, 32]`, or `linspace`, `logspace` or `range`"));
                None
            }
        }
    }

    fn zip(&mut self, node: Option<&Node>) -> Vec<Vec<AxisSpec>> {
        match node {
            None => Vec::new(),
            Some(Node { value: Value::List(groups), .. }) => {
                groups.iter().map(|group| self.axes("zip", group)).collect()
            }
            Some(group) => vec![self.axes("zip", group)],
        }
    }

    fn points(&mut self, section: &str, node: Option<&Node>) -> Vec<PointSpec> {
        let Some(node) = node else { return Vec::new() };
        let Value::List(items) = &node.value else {
            let message = format!("`{section}` must be a list of maps, not {}", node.describe());
            self.findings.push(Finding::new(node.at, message).hint(format!("write `{section}: [{{ arm: .. }}]`")));
            return Vec::new();
        };
        items.iter().map(|item| self.point(section, item)).collect()
    }

    fn point(&mut self, section: &str, node: &Node) -> PointSpec {
        let mut point = PointSpec { at: node.at, arms: Vec::new(), seeds: Vec::new(), values: Vec::new() };
        for entry in self.map(section, node) {
            match entry.key.as_str() {
                "arm" => point.arms = self.one_or_more(&format!("{section}.arm"), &entry.value),
                "seed" => point.seeds = self.one_or_more(&format!("{section}.seed"), &entry.value),
                _ => point.values.push((Placed { at: entry.key_at, value: entry.key.clone() }, entry.value.clone())),
            }
        }
        point
    }

    fn seeds(&mut self, node: Option<&Node>) -> Vec<u64> {
        let Some(node) = node else { return (0..DEFAULT_SEEDS).collect() };
        if let Value::List(items) = &node.value {
            if !(1..=MOST_SEEDS as usize).contains(&items.len()) {
                let message = format!("`seeds` must list from 1 to {MOST_SEEDS} seeds, not {}", items.len());
                self.findings.push(Finding::new(node.at, message).hint("write a count, or a list such as `[0, 1, 2]`"));
                return Vec::new();
            }
            let mut seeds: Vec<u64> = Vec::new();
            for item in items {
                let Some(seed) = self.decode("seeds", item) else { continue };
                if seeds.contains(&seed) {
                    self.findings.push(Finding::new(item.at, format!("seed {seed} is listed twice")));
                }
                seeds.push(seed);
            }
            return seeds;
        }
        let count: u64 = self.decode("seeds", node).unwrap_or(1);
        if !(1..=MOST_SEEDS).contains(&count) {
            let message = format!("`seeds` must be a count from 1 to {MOST_SEEDS} or a list, not {count}");
            self.findings
                .push(Finding::new(node.at, message).hint(format!("a single seed {count} is `seeds: [{count}]`")));
            return Vec::new();
        }
        (0..count).collect()
    }

    fn compare(&mut self, entry: &Entry) -> Option<CompareSpec> {
        let node = &entry.value;
        for entry in self.map("compare", node) {
            self.refuse_unknown(entry, &["baseline", "metric", "target", "pairs"], "compare");
        }
        let baseline = match node.get("baseline") {
            Some(baseline) => Placed { at: baseline.at, value: self.decode("compare.baseline", baseline)? },
            None => Placed { at: entry.key_at, value: DEFAULT_BASELINE.to_owned() },
        };
        let metric = match node.get("metric") {
            Some(metric) => Placed { at: metric.at, value: self.decode("compare.metric", metric)? },
            None => Placed { at: entry.key_at, value: Metric::default() },
        };
        let target = match node.entry("target") {
            Some(target) => self.target(target, &baseline)?,
            None => TargetSpec::Final { from: baseline.clone(), at: FinalAt::default() },
        };
        let pairs = self.pairs(node.get("pairs"));
        Some(CompareSpec { at: entry.key_at, baseline, metric, target, pairs })
    }

    fn pairs(&mut self, node: Option<&Node>) -> Vec<PairSpec> {
        const FORM: &str = "write `pairs: [[arm, the arm it is compared with]]`";
        let Some(node) = node else { return Vec::new() };
        let Value::List(items) = &node.value else {
            let message = format!("`compare.pairs` must be a list of pairs, not {}", node.describe());
            self.findings.push(Finding::new(node.at, message).hint(FORM));
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for item in items {
            match &item.value {
                Value::List(names) if names.len() == 2 => {
                    let [arm, against] = [0, 1].map(|index| self.decode("compare.pairs", &names[index]));
                    let placed = |index: usize, value| Placed { at: names[index].at, value };
                    if let (Some(arm), Some(against)) = (arm, against) {
                        pairs.push(PairSpec { arm: placed(0, arm), against: placed(1, against) });
                    }
                }
                _ => {
                    let message = match &item.value {
                        Value::List(names) => format!("a pair has two arms, not {}", names.len()),
                        _ => format!("a pair is a list of two arms, not {}", item.describe()),
                    };
                    self.findings.push(Finding::new(item.at, message).hint(FORM));
                }
            }
        }
        pairs
    }

    fn target(&mut self, entry: &Entry, baseline: &Placed<String>) -> Option<TargetSpec> {
        const FORMS: &str = "write `{ value: 12.5 }` or `{ from: baseline, at: final_median }`";
        let node = &entry.value;
        if !matches!(node.value, Value::Map(_)) {
            let message = format!("`compare.target` must be a map, not {}", node.describe());
            self.findings.push(Finding::new(node.at, message).hint(FORMS));
            return None;
        }
        for entry in node.entries() {
            self.refuse_unknown(entry, &["value", "from", "at"], "compare.target");
        }
        let computed = node.entry("from").or(node.entry("at"));
        match (node.get("value"), computed) {
            (Some(_), Some(other)) => {
                let message = format!("`compare.target` has a `value`, so it cannot have `{}` too", other.key);
                self.findings.push(Finding::new(other.key_at, message).hint(FORMS));
                None
            }
            (Some(value), None) => {
                let number: f64 = self.decode("compare.target.value", value)?;
                if number <= 0.0 {
                    let message = format!("`compare.target.value` must be above 0, not {}", value.describe());
                    self.findings.push(Finding::new(value.at, message));
                }
                Some(TargetSpec::Value(Placed { at: value.at, value: number }))
            }
            (None, Some(_)) => {
                let at = match node.get("at") {
                    Some(at) => self.decode("compare.target.at", at)?,
                    None => FinalAt::default(),
                };
                let from = match node.get("from") {
                    Some(from) => Placed { at: from.at, value: self.decode("compare.target.from", from)? },
                    None => baseline.clone(),
                };
                Some(TargetSpec::Final { from, at })
            }
            (None, None) => {
                self.findings.push(Finding::new(entry.key_at, "`compare.target` is empty").hint(FORMS));
                None
            }
        }
    }
}

/// Whether a key is one of those that every run has.
fn is_key_of_base(key: &str) -> bool {
    serde_json::to_value(RunSpec::default()).is_ok_and(|spec| key != "seed" && spec.get(key).is_some())
}
