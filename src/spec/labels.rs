//! How a report calls, orders and colours arms. Nothing here changes a run or a number.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Placed;

/// `labels`: what tables, figures and the page call the arms, in which order they stand, and their colours. Runs, records and
/// ids know only the arms' names, so labels may be changed at any time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    /// By an arm's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arms: BTreeMap<String, ArmLabel>,
    /// Names of arms that stand first, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<String>,
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
}

/// Whether a text can stand in a cell, on a figure and in a line of a terminal: one line, neither empty nor too long.
pub fn is_label(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= 80 && !text.chars().any(ends_or_turns_a_line)
}

/// Control characters, Unicode's separators of lines and paragraphs, and those that turn the direction of what follows.
pub fn ends_or_turns_a_line(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
        Labels { arms: arms.iter().map(of).collect(), order: vec!["b".into(), "gone".into()] }
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
    fn a_colour_is_six_digits() {
        assert_eq!(Color::parse("#0072B2"), Some(Color([0, 0x72, 0xb2])));
        for wrong in ["0072B2", "#072", "#0072b", "#0072bg", "#+1+1+1", "red", "#éé1"] {
            assert_eq!(Color::parse(wrong), None, "{wrong}");
        }
        assert!(is_label("CLTS (ours)") && !is_label(" ") && !is_label("a\nb") && !is_label(&"x".repeat(81)));
    }
}
