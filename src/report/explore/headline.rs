//! One number of the answer, and what is behind it.

use serde::Serialize;

use super::moments::rounded;
use crate::report::comparison::{Comparison, NoSpeedup};
use crate::report::cost::Cost;
use crate::report::number::significant;
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
}

/// What a number is of.
pub struct Of<'n> {
    pub arm: &'n str,
    pub against: &'n str,
    pub cost: Cost,
    /// The mean over grid points, not that of one.
    pub over_grid: bool,
    /// Qualities of the band.
    pub targets: usize,
}

impl Headline {
    pub fn of(comparison: &Comparison, of: &Of, result: &Result<Speedup, NoSpeedup>) -> Self {
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
            formula: found
                .map_or_else(|| format!("No number: {}.", verdict(result)), |speedup| formula(of, speedup, &level)),
            reached: found.and_then(|speedup| speedup.reached),
            by_seed: by_seed.iter().map(|(seed, ratio)| (*seed, rounded(*ratio))).collect(),
            mean: mean.and_then(|mean| rounded(mean.mean)),
            standard_error: error.and_then(|(error, _)| rounded(error)),
            degrees_of_freedom: error.and_then(|(_, freedom)| rounded(freedom)),
            adjusted_p: found.and_then(|speedup| speedup.adjusted_p).and_then(rounded),
            seeds_left_out: found.map_or_else(Vec::new, |speedup| speedup.left_out.clone()),
        }
    }
}

/// How the number is made, in words.
fn formula(of: &Of, speedup: &Speedup, level: &str) -> String {
    let Of { arm, against, cost, over_grid, targets } = of;
    let spent = match cost {
        Cost::ImagesSeen => "training images",
        Cost::TrainSeconds => "training seconds",
    };
    let Some(mean) = speedup.mean else {
        return format!(
            "No number, at most a bound: at fewer than half of the {targets} qualities of the band is it known of every run when it was \
             that good."
        );
    };
    let one = match (over_grid, speedup.pairing) {
        (true, _) => format!(
            "ln speedup of a seed: the mean over grid points of its ln({spent} of {against} / {spent} of {arm}) there."
        ),
        (false, Pairing::Paired { .. }) => format!(
            "ln speedup of a seed: the mean over {} qualities of ln({spent} of {against} / {spent} of {arm}), each where the run's fitted \
             curve comes down to the quality.",
            speedup.reached.unwrap_or(*targets)
        ),
        (false, Pairing::Unpaired { .. }) => format!(
            "The arms share no seeds. Of each run: the mean over {} qualities of ln({spent}) where its fitted curve comes down to the \
             quality; the ln speedup is the mean of {against} minus that of {arm} (Welch).",
            speedup.reached.unwrap_or(*targets)
        ),
    };
    let interval = match mean.error {
        Some((error, freedom)) => format!(
            " Interval: exp({} ± t × {}), Student's t of {level} with {} degrees of freedom.",
            log_words(mean.mean),
            log_words(error),
            significant(freedom, 3).trim_end_matches('0').trim_end_matches('.')
        ),
        None => " A single value has no interval.".to_owned(),
    };
    format!("{one} Speedup: exp of their mean, exp({}).{interval}", log_words(mean.mean))
}

fn log_words(log: f64) -> String {
    significant(log, 3).replace('-', "−")
}
