//! One number of the answer, and what is behind it.

use serde::Serialize;

use super::moments::rounded;
use crate::report::cell::{Of, speedup_words};
use crate::report::comparison::{Comparison, NoSpeedup};
use crate::report::speedup::{Pairing, Speedup};
use crate::report::wording::{confidence, interval_cell, seeds_cell, speedup_cell, verdict};

/// A speedup over the band: as it is shown, and the values that it is made of.
#[derive(Debug, Serialize)]
pub struct Headline {
    /// Names of arms.
    pub arm: String,
    pub against: String,
    /// A key of a run's moments.
    pub axis: &'static str,
    pub speedup: String,
    pub interval: String,
    /// Of the interval, in words: `95 %`.
    pub level: String,
    pub verdict: String,
    pub seeds: String,
    pub paired: bool,
    /// How the number is made of the runs.
    pub formula: String,
    /// Qualities of the band that every run reached; null where that is not asked.
    pub reached: Option<usize>,
    /// (seed, ln of its speedup).
    pub by_seed: Vec<(u64, Option<f64>)>,
    /// Of `by_seed`, and the standard error of the mean with its degrees of freedom.
    pub mean: Option<f64>,
    pub standard_error: Option<f64>,
    pub degrees_of_freedom: Option<f64>,
    /// Of "no difference", after the correction for how many comparisons there are.
    pub adjusted_p: Option<f64>,
    /// Seeds that only one of the two arms has measured.
    pub seeds_left_out: Vec<u64>,
    /// The id of the number's cell, which `speedlab cell` takes.
    pub cell: String,
    /// The arm's other numbers on this axis.
    pub others: Vec<Other>,
}

/// A number beside the headline.
#[derive(Debug, Serialize)]
pub struct Other {
    /// Such as `to the last quality`.
    pub what: String,
    pub shown: String,
    pub interval: String,
    pub cell: String,
}

impl Headline {
    /// `cell`: the number's id.
    pub fn of(comparison: &Comparison, of: &Of, result: &Result<Speedup, NoSpeedup>, cell: &str) -> Self {
        let found = result.as_ref().ok();
        let mean = found.and_then(|speedup| speedup.mean);
        let error = mean.and_then(|mean| mean.error);
        let by_seed = found.map_or(&[][..], |speedup| &speedup.by_seed);
        let level = confidence(comparison);
        Self {
            arm: of.arm.to_owned(),
            against: of.against.to_owned(),
            axis: of.cost.name(),
            speedup: speedup_cell(result),
            interval: interval_cell(result),
            level: level.clone(),
            verdict: verdict(result),
            seeds: seeds_cell(result),
            paired: found.is_some_and(|speedup| matches!(speedup.pairing, Pairing::Paired { .. })),
            formula: found.map_or_else(
                || format!("No number: {}.", verdict(result)),
                |speedup| speedup_words(of, speedup, &level),
            ),
            reached: found.and_then(|speedup| speedup.reached),
            by_seed: by_seed.iter().map(|(seed, ratio)| (*seed, rounded(*ratio))).collect(),
            mean: mean.and_then(|mean| rounded(mean.mean)),
            standard_error: error.and_then(|(error, _)| rounded(error)),
            degrees_of_freedom: error.and_then(|(_, freedom)| rounded(freedom)),
            adjusted_p: found.and_then(|speedup| speedup.adjusted_p).and_then(rounded),
            seeds_left_out: found.map_or_else(Vec::new, |speedup| speedup.left_out.clone()),
            cell: cell.to_owned(),
            others: vec![],
        }
    }
}
