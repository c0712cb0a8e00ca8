//! How a report calls arms, axes of the grid and their values, and how it orders and colours arms. Nothing here changes a run or a number.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Axis, Placed, Point};

/// `labels`: what tables, figures and the page call the arms, in which order they stand, and their colours; what they call the axes
/// of the grid and their values. Runs, records and ids know only names and values, so labels may be changed at any time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    /// By an arm's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arms: BTreeMap<String, ArmLabel>,
    /// Names of arms that stand first, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<String>,
    /// By an axis' dotted key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub axes: BTreeMap<String, AxisLabel>,
}

/// What a report calls an axis of the grid, and its values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AxisLabel {
    /// Any text of one line. Default: the axis' dotted key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What a value is called, by the value. Default: the value as the plan has it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
}

/// What a report calls an arm, and its colour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ArmLabel {
    /// Any text of one line. Default: the arm's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Such as `#0072B2`. Default: the arm's place in a palette for readers of any colour vision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<Color>,
}

/// Red, green and blue, written `#rrggbb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub struct Color(pub [u8; 3]);

/// `labels` as written: each arm with its place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelsSpec {
    pub arms: Vec<(Placed<String>, ArmLabel)>,
    pub order: Vec<Placed<String>>,
    pub axes: Vec<AxisLabelSpec>,
}

/// A label of an axis as written.
#[derive(Clone, Debug, PartialEq)]
pub struct AxisLabelSpec {
    /// The axis' dotted key.
    pub axis: Placed<String>,
    pub label: Option<Placed<String>>,
    /// Each value as it is spelled, and what it is called.
    pub values: Vec<(Placed<String>, String)>,
}

impl Labels {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What the arm is called.
    pub fn of<'l>(&'l self, arm: &'l str) -> &'l str {
        self.arms.get(arm).and_then(|label| label.label.as_deref()).unwrap_or(arm)
    }

    /// The name of the arm that is called so. A name is its own: [`Labels::clash`] keeps labels apart from names of other arms.
    pub fn name_of<'l>(&'l self, shown: &'l str) -> &'l str {
        let found = self.arms.iter().find(|(_, label)| label.label.as_deref() == Some(shown));
        found.map_or(shown, |(arm, _)| arm.as_str())
    }

    /// The arms in the order that is asked for; those that it does not name follow in their own.
    pub fn ordered(&self, arms: &[String]) -> Vec<String> {
        let named = self.order.iter().filter(|arm| arms.contains(arm));
        named.chain(arms.iter().filter(|arm| !self.order.contains(arm))).cloned().collect()
    }

    /// An arm whose label is that of an earlier arm or another arm's name, and what it is called.
    pub fn clash<'l>(&'l self, arms: &'l [String]) -> Option<(&'l str, &'l str)> {
        let names: BTreeSet<&str> = arms.iter().map(String::as_str).collect();
        let mut taken = BTreeSet::new();
        let clashes = |arm: &&'l String| {
            let shown = self.of(arm);
            !taken.insert(shown) || (shown != arm.as_str() && names.contains(shown))
        };
        arms.iter().find(clashes).map(|arm| (arm.as_str(), self.of(arm)))
    }

    /// The labels that fit these arms and axes, and what is left out, in words: labels of what is not there, and each by which two arms,
    /// axes or values would be called alike. The labels of a sweep that was edited need not fit the plan that was frozen.
    pub fn fitting(&self, arms: &[String], axes: &[Axis]) -> (Self, Vec<String>) {
        let mut left_out = Vec::new();
        let mut fitting = self.clone();
        fitting.arms.retain(|arm, label| {
            let is_there = arms.contains(arm);
            if !is_there {
                left_out.push(label.label.as_ref().map_or_else(
                    || format!("what is said of `{arm}`, which is no arm of it"),
                    |label| format!("`{label}` of `{arm}`, which is no arm of it"),
                ));
            }
            is_there
        });
        fitting.axes.retain(|path, label| {
            let Some(axis) = axes.iter().find(|axis| axis.path == *path) else {
                left_out.push(format!("those of `{path}`, which is no axis of its grid"));
                return false;
            };
            let names: BTreeSet<String> = axis.values.iter().map(|value| axis.label(value)).collect();
            label.values.retain(|value, label| {
                let is_there = names.contains(value);
                if !is_there {
                    left_out.push(format!("`{label}` of {path} = {value}, which its grid does not have"));
                }
                is_there
            });
            true
        });
        while let Some(arm) = fitting.clashing_arm(arms) {
            let label = fitting.arms.get_mut(&arm).and_then(|label| label.label.take()).unwrap_or_default();
            left_out.push(format!("`{label}` of `{arm}`, as another arm is called"));
        }
        while let Some(AxisClash { axis, value, shown }) = fitting.axis_clash(axes) {
            let of_axis = |label: &AxisLabel| label.label.as_deref() == Some(shown.as_str());
            match value {
                Some(value) => {
                    fitting.axes.entry(axis.clone()).or_default().values.clear();
                    left_out.push(format!("those of the values of `{axis}`: `{shown}` for {value} is another value's"));
                }
                // An axis without a label has its own key, which another has taken.
                None => match fitting.axes.iter_mut().find(|(path, label)| **path == axis && of_axis(label)) {
                    Some((_, label)) => {
                        label.label = None;
                        left_out.push(format!("`{shown}` of `{axis}`, as another axis is called"));
                    }
                    None => {
                        let mut others = fitting.axes.iter_mut().filter(|(_, label)| of_axis(label));
                        let Some((path, label)) = others.next() else { break };
                        label.label = None;
                        left_out.push(format!("`{shown}` of `{path}`, as another axis is called"));
                    }
                },
            }
        }
        (fitting, left_out)
    }

    /// An arm whose label another arm is called by.
    fn clashing_arm(&self, arms: &[String]) -> Option<String> {
        let (arm, shown) = self.clash(arms)?;
        let has_it = |arm: &str| self.arms.get(arm).is_some_and(|label| label.label.as_deref() == Some(shown));
        // An arm without a label has its own name, which another has taken.
        if has_it(arm) { Some(arm.to_owned()) } else { arms.iter().find(|arm| has_it(arm)).cloned() }
    }

    /// What the axis with this dotted key is called.
    pub fn axis<'l>(&'l self, path: &'l str) -> &'l str {
        self.axes.get(path).and_then(|axis| axis.label.as_deref()).unwrap_or(path)
    }

    /// What a value of the axis is called.
    pub fn value(&self, axis: &Axis, value: &serde_json::Value) -> String {
        let name = axis.label(value);
        self.axes.get(&axis.path).and_then(|axis| axis.values.get(&name)).cloned().unwrap_or(name)
    }

    /// A grid point: `axis = value, ..`; empty without a grid. Without labels it is what programs read.
    pub fn point(&self, axes: &[Axis], point: &Point) -> String {
        let part = |(path, value): (&String, &serde_json::Value)| {
            let axis = axes.iter().find(|axis| axis.path == *path);
            let value = axis.map_or_else(|| value.to_string(), |axis| self.value(axis, value));
            format!("{} = {value}", self.axis(path))
        };
        point.iter().map(part).collect::<Vec<_>>().join(", ")
    }

    /// A trial: the arm, then ` axis=value` for each of its axes.
    pub fn trial(&self, arm: &str, axes: &[Axis], point: &Point) -> String {
        let mut trial = self.of(arm).to_owned();
        for axis in axes {
            if let Some(value) = point.get(&axis.path) {
                trial.push_str(&format!(" {}={}", self.axis(&axis.path), self.value(axis, value)));
            }
        }
        trial
    }

    /// A label that an axis or a value shares with another axis, or with another value of its axis: the axis, the value if it is one,
    /// and what both would be called.
    pub fn axis_clash(&self, axes: &[Axis]) -> Option<AxisClash> {
        for axis in axes {
            let shown = self.axis(&axis.path);
            if axes
                .iter()
                .any(|other| other.path != axis.path && (other.path == shown || self.axis(&other.path) == shown))
            {
                return Some(AxisClash { axis: axis.path.clone(), value: None, shown: shown.to_owned() });
            }
            let names: Vec<String> = axis.values.iter().map(|value| axis.label(value)).collect();
            for (index, name) in names.iter().enumerate() {
                let shown = self.value(axis, &axis.values[index]);
                let is_taken = |other: usize| {
                    other != index && (names[other] == shown || self.value(axis, &axis.values[other]) == shown)
                };
                // Values of one spelling have one without labels, too.
                if shown != *name && (0..names.len()).any(is_taken) {
                    return Some(AxisClash { axis: axis.path.clone(), value: Some(name.clone()), shown });
                }
            }
        }
        None
    }
}

/// Two axes, or two values of one, that would be called alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisClash {
    /// The dotted key of the axis.
    pub axis: String,
    /// The value, where it is one.
    pub value: Option<String>,
    /// What both would be called.
    pub shown: String,
}

impl Color {
    /// Of `#rrggbb`.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hexadecimal = |digits: &&str| digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let digits = text.strip_prefix('#').filter(is_hexadecimal)?;
        let part = |from: usize| u8::from_str_radix(&digits[from..from + 2], 16).ok();
        Some(Self([part(0)?, part(2)?, part(4)?]))
    }
}

impl Serialize for Color {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self([red, green, blue]) = self;
        serializer.serialize_str(&format!("#{red:02x}{green:02x}{blue:02x}"))
    }
}

impl<'de> Deserialize<'de> for Color {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let form = || serde::de::Error::custom(format!("write a colour as \"#0072B2\", not `{text}`"));
        Self::parse(&text).ok_or_else(form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(arms: &[(&str, &str)]) -> Labels {
        let of = |(arm, label): &(&str, &str)| {
            ((*arm).to_owned(), ArmLabel { label: Some((*label).to_owned()), color: None })
        };
        Labels { arms: arms.iter().map(of).collect(), order: vec!["b".into(), "gone".into()], axes: BTreeMap::new() }
    }

    #[test]
    fn labels_and_names_lead_to_each_other_and_may_not_be_taken_twice() {
        let arms: Vec<String> = ["a", "b", "c"].map(str::to_owned).into();
        let good = labels(&[("a", "A (ours)"), ("gone", "x")]);
        assert_eq!((good.of("a"), good.of("b")), ("A (ours)", "b"));
        assert_eq!((good.name_of("A (ours)"), good.name_of("a"), good.name_of("b")), ("a", "a", "b"));
        assert_eq!(good.ordered(&arms), ["b", "a", "c"]);
        assert_eq!(good.clash(&arms), None);
        assert_eq!(labels(&[("a", "X"), ("c", "X")]).clash(&arms), Some(("c", "X")));
        // A swap of names would let each stand for the other.
        assert_eq!(labels(&[("a", "b"), ("b", "a")]).clash(&arms), Some(("a", "b")));
        assert_eq!(labels(&[("a", "a")]).clash(&arms), None);
    }

    #[test]
    fn axes_and_their_values_are_called_by_their_labels_and_may_not_be_taken_twice() {
        let axis = |path: &str, values: serde_json::Value| Axis {
            path: path.to_owned(),
            values: serde_json::from_value(values).unwrap(),
        };
        let axes = [
            axis("optimizer.learning_rate", serde_json::json!([0.0002, 0.001])),
            axis("train.ema", serde_json::json!([true])),
        ];
        let rate = |label: Option<&str>, values: &[(&str, &str)]| {
            let values = values.iter().map(|(value, label)| ((*value).to_owned(), (*label).to_owned())).collect();
            let label = AxisLabel { label: label.map(str::to_owned), values };
            Labels { axes: [("optimizer.learning_rate".to_owned(), label)].into(), ..Labels::default() }
        };
        let point: Point = serde_json::from_str(r#"{"optimizer.learning_rate":0.0002,"train.ema":true}"#).unwrap();
        let good = rate(Some("Learning rate"), &[("0.0002", "2e-4")]);
        assert_eq!(good.axis_clash(&axes), None);
        assert_eq!(good.point(&axes, &point), "Learning rate = 2e-4, train.ema = true");
        assert_eq!(good.trial("clts", &axes, &point), "clts Learning rate=2e-4 train.ema=true");
        assert_eq!(good.value(&axes[0], &serde_json::json!(0.001)), "0.001");
        assert_eq!(Labels::default().point(&axes, &point), "optimizer.learning_rate = 0.0002, train.ema = true");
        let clash =
            |labels: Labels| labels.axis_clash(&axes).map(|clash| (clash.value.unwrap_or_default(), clash.shown));
        assert_eq!(clash(rate(Some("train.ema"), &[])), Some((String::new(), "train.ema".into())));
        assert_eq!(clash(rate(None, &[("0.0002", "x"), ("0.001", "x")])), Some(("0.0002".into(), "x".into())));
        // A swap of values would let each stand for the other.
        assert_eq!(
            clash(rate(None, &[("0.0002", "0.001"), ("0.001", "0.0002")])),
            Some(("0.0002".into(), "0.001".into()))
        );
    }

    #[test]
    fn a_colour_is_six_digits() {
        assert_eq!(Color::parse("#0072B2"), Some(Color([0, 0x72, 0xb2])));
        for wrong in ["0072B2", "#072", "#0072b", "#0072bg", "#+1+1+1", "red", "#éé1"] {
            assert_eq!(Color::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn labels_that_do_not_fit_are_left_out_and_named_and_cost_no_others() {
        let axis = |path: &str, values: serde_json::Value| Axis {
            path: path.to_owned(),
            values: serde_json::from_value(values).unwrap(),
        };
        let axes = [axis("rate", serde_json::json!([0.001, 0.002])), axis("ema", serde_json::json!([0.9, 0.99]))];
        let arms: Vec<String> = ["a", "b"].map(str::to_owned).into();
        let of = |label: Option<&str>, values: &[(&str, &str)]| AxisLabel {
            label: label.map(str::to_owned),
            values: values.iter().map(|(value, label)| ((*value).to_owned(), (*label).to_owned())).collect(),
        };
        let with = |arms: &[(&str, &str)], axes: &[(&str, AxisLabel)]| Labels {
            axes: axes.iter().map(|(path, label)| ((*path).to_owned(), label.clone())).collect(),
            ..labels(arms)
        };
        let good = with(&[("a", "A")], &[("ema", of(Some("EMA"), &[("0.9", "short")]))]);
        assert_eq!(good.fitting(&arms, &axes), (good.clone(), vec![]));

        let edited = with(
            &[("a", "A"), ("new", "N")],
            &[
                ("ema", of(Some("EMA"), &[("0.9", "short"), ("0.5", "shortest")])),
                ("rate", of(Some("Rate"), &[("0.002", "0.001")])),
                ("gone", of(Some("G"), &[])),
            ],
        );
        let (fitting, left_out) = edited.fitting(&arms, &axes);
        let expected = [("ema", of(Some("EMA"), &[("0.9", "short")])), ("rate", of(Some("Rate"), &[]))];
        assert_eq!(fitting, with(&[("a", "A")], &expected));
        assert_eq!(left_out.len(), 4, "{left_out:?}");
        assert!(left_out[0].starts_with("`N` of `new`") && left_out[3].contains("`0.001` for 0.002"), "{left_out:?}");

        // Each may be called by the other's name, and one of them then keeps its own.
        assert_eq!(with(&[("a", "b"), ("b", "a")], &[]).fitting(&arms, &axes).0.clash(&arms), None);
        assert_eq!(with(&[("b", "a")], &[]).fitting(&arms, &axes).1, ["`a` of `b`, as another arm is called"]);
        let taken = with(&[], &[("ema", of(Some("rate"), &[]))]);
        assert_eq!(taken.fitting(&arms, &axes).1, ["`rate` of `ema`, as another axis is called"]);
    }
}
