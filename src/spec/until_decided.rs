//! Seeds that are added to a study until it is decided.

use serde::{Deserialize, Serialize};

/// The rule by which seeds are added until every comparison is decided. It is frozen in `plan.json` before the first run starts:
/// whoever looks at a study whenever they like, and stops when they like what they see, errs in 23 % of studies at a nominal 5 %.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UntilDecided {
    /// Every seed that may be used, in the order of use.
    pub seeds: Vec<u64>,
    /// The numbers of seeds after which the study is looked at, rising. The last is the length of `seeds`.
    pub looks: Vec<usize>,
    /// The level of a two-sided test at every look, by the number of undecided comparisons, from 1 on. All looks at that many
    /// comparisons together err in at most 5 % of studies.
    pub levels: Vec<f64>,
}

impl UntilDecided {
    /// The level of a two-sided test while `undecided` comparisons are undecided.
    pub fn level(&self, undecided: usize) -> f64 {
        match self.levels.get(undecided.max(1) - 1) {
            Some(level) => *level,
            // More undecided comparisons than were announced share the last level.
            None => self.levels[self.levels.len() - 1] * self.levels.len() as f64 / undecided as f64,
        }
    }

    /// The seeds that are added for a look.
    pub fn new_seeds(&self, look: usize) -> &[u64] {
        let before = if look == 0 { 0 } else { self.looks[look - 1] };
        &self.seeds[before..self.looks[look]]
    }
}
