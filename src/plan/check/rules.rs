//! What the sections share: bounds, and the message for a broken bound.

use Bound::{Above, AtLeast, AtMost, Below};

use super::Violation;

/// Sizes above these are slips; they also keep products of sizes inside 64 bits.
pub const LARGEST_SIZE: u64 = 1 << 20;
/// burn adds up more than 4 million values in an order that depends on threads; a batch of 8x8 images stays below.
pub const LARGEST_BATCH: u64 = 1 << 15;
pub const MOST_STEPS: u64 = 1 << 40;

/// A bound of a fraction.
#[derive(Clone, Copy)]
pub enum Bound {
    AtLeast(f64),
    Above(f64),
    AtMost(f64),
    Below(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            AtLeast(bound) => value >= bound,
            Above(bound) => value > bound,
            AtMost(bound) => value <= bound,
            Below(bound) => value < bound,
        }
    }

    fn words(self) -> String {
        match self {
            AtLeast(bound) => format!("at least {bound}"),
            Above(bound) => format!("above {bound}"),
            AtMost(bound) => format!("at most {bound}"),
            Below(bound) => format!("below {bound}"),
        }
    }
}

/// The number as a reader would write it: 0.0001, but 1e-9.
pub fn show(value: f64) -> String {
    let is_long = value != 0.0 && !(1e-5..1e15).contains(&value.abs());
    if is_long { format!("{value:e}") } else { format!("{value}") }
}

/// The range of a number, in the words of JSON Schema.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Range {
    pub minimum: Option<f64>,
    pub exclusive_minimum: Option<f64>,
    pub maximum: Option<f64>,
    pub exclusive_maximum: Option<f64>,
}

impl Range {
    fn of(bounds: &[Bound]) -> Self {
        let mut range = Self::default();
        for bound in bounds {
            match *bound {
                AtLeast(bound) => range.minimum = Some(bound),
                Above(bound) => range.exclusive_minimum = Some(bound),
                AtMost(bound) => range.maximum = Some(bound),
                Below(bound) => range.exclusive_maximum = Some(bound),
            }
        }
        range
    }
}

/// The rules that a run breaks, as they are found.
#[derive(Default)]
pub struct Rules {
    pub broken: Vec<Violation>,
    /// The ranges that were asked about, where somebody wants to know.
    pub ranges: Option<Vec<(&'static str, Range)>>,
}

impl Rules {
    pub fn breaks(&mut self, paths: &[&'static str], message: String, hint: Option<&str>) {
        self.broken.push(Violation { paths: paths.to_vec(), message, hint: hint.map(str::to_owned) });
    }

    pub fn size(&mut self, path: &'static str, value: u64, least: u64, most: u64) {
        self.note_range(path, &[AtLeast(least as f64), AtMost(most as f64)]);
        if value < least {
            self.breaks(&[path], format!("`{path}` must be at least {least}, not {value}"), None);
        } else if value > most {
            self.breaks(&[path], format!("`{path}` must be at most {most}, not {value}"), None);
        }
    }

    fn note_range(&mut self, path: &'static str, bounds: &[Bound]) {
        if let Some(ranges) = &mut self.ranges {
            ranges.push((path, Range::of(bounds)));
        }
    }

    pub fn fraction(&mut self, path: &'static str, value: f64, bounds: &[Bound]) {
        self.note_range(path, bounds);
        // Stated so that NaN breaks it.
        if !(value.is_finite() && bounds.iter().all(|bound| bound.holds(value))) {
            let words: Vec<String> = bounds.iter().map(|bound| bound.words()).collect();
            self.breaks(&[path], format!("`{path}` must be {}, not {}", words.join(" and "), show(value)), None);
        }
    }
}
