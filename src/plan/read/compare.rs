//! `compare`: which arms, by which metric, over which qualities.

use super::DEFAULT_BASELINE;
use super::reader::Reader;
use crate::plan::finding::Finding;
use crate::spec::{
    BandShares, CompareSpec, Entry, FinalAt, Metric, Node, PRACTICAL, PairSpec, Placed, TargetSpec, Value,
};

impl Reader {
    pub(super) fn compare(&mut self, entry: &Entry) -> Option<CompareSpec> {
        let node = &entry.value;
        for entry in self.map("compare", node) {
            self.refuse_unknown(
                entry,
                &["baseline", "metric", "band", "target", "practical", "tune", "pairs"],
                "compare",
            );
        }
        let baseline = match node.get("baseline") {
            Some(baseline) => Placed { at: baseline.at, value: self.decode("compare.baseline", baseline)? },
            None => Placed { at: entry.key_at, value: DEFAULT_BASELINE.to_owned() },
        };
        let metric = match node.get("metric") {
            Some(metric) => Placed { at: metric.at, value: self.decode("compare.metric", metric)? },
            None => Placed { at: entry.key_at, value: Metric::default() },
        };
        let band = match node.get("band") {
            Some(band) => self.band(band)?,
            None => BandShares::default(),
        };
        let target = match node.entry("target") {
            Some(target) => Some(self.target(target, &baseline)?),
            None => None,
        };
        let practical = match node.get("practical") {
            Some(practical) => self.practical(practical)?,
            None => PRACTICAL,
        };
        let tune = self.tune(node.get("tune"));
        let pairs = self.pairs(node.get("pairs"));
        Some(CompareSpec { at: entry.key_at, baseline, metric, band, target, practical, tune, pairs })
    }

    fn band(&mut self, node: &Node) -> Option<BandShares> {
        let band: BandShares = self.decode("compare.band", node)?;
        if band.from > 0.0 && band.from < band.to && band.to <= 1.0 {
            return Some(band);
        }
        let message = format!("`compare.band` goes from {} to {} of the baseline's training", band.from, band.to);
        self.findings.push(Finding::new(node.at, message).hint("write shares, such as `{ from: 0.3, to: 0.75 }`"));
        None
    }

    fn practical(&mut self, node: &Node) -> Option<f64> {
        let practical: f64 = self.decode("compare.practical", node)?;
        if practical > 1.0 && practical.is_finite() {
            return Some(practical);
        }
        let message = format!("`compare.practical` must be above 1, not {}", node.describe());
        self.findings
            .push(Finding::new(node.at, message).hint("1.05 takes arms within 5 % of each other for equally fast"));
        None
    }

    fn tune(&mut self, node: Option<&Node>) -> Vec<Placed<String>> {
        let Some(node) = node else { return Vec::new() };
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            // One axis needs no list.
            _ => std::slice::from_ref(node),
        };
        let path = |item: &Node| Some(Placed { at: item.at, value: self.decode("compare.tune", item)? });
        items.iter().filter_map(path).collect()
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
