//! The words for the report's numbers.

mod answer;
mod grid;
mod likeness;
mod looks;
mod runs;

use super::band::{Band, FEWEST, NoBand, NoFit};
use super::comparison::{Comparison, NoSpeedup};
use super::interval::Interval;
use super::number::{percent, significant, times};
use super::speedup::{Estimate, Pairing, Speedup, Unknown, Verdict};
use super::target::{NoTarget, ResolvedTarget, TargetOrigin};
use crate::spec::{Features, IMPORTED, MEASURED_BY_TRAINER, Metric};

pub use self::answer::{answer, answer_cell, pair_answer};
pub use self::grid::{edge_words, effect_words, interaction_words, setting_words, tuned_words};
pub use self::likeness::likeness_cell;
pub use self::looks::{look_words, rule_words};
pub use self::runs::{revisions, shared_words, spent_words, state, troubles};

/// The metric's name in a sentence.
pub fn metric_words(comparison: &Comparison) -> String {
    let is = |prefix: &str| comparison.points.iter().any(|point| point.protocol.starts_with(prefix));
    let by_others = [(MEASURED_BY_TRAINER, "measured by trainers"), (IMPORTED, "imported")];
    let by_others = by_others.into_iter().find(|(prefix, _)| is(prefix)).map(|(_, words)| words);
    let features = by_others.unwrap_or(comparison.features);
    match comparison.metric {
        Metric::Fid => of_features("FID", features),
        Metric::ValidationLoss if by_others.is_some() => of_features("validation loss", features),
        Metric::ValidationLoss => "validation loss".to_owned(),
        Metric::Kid => of_features("KID", features),
        Metric::FidInfinity => of_features("FID-infinity", features),
        // Each is of the features of one network alone.
        Metric::Sfid if by_others.is_none() => "sFID".to_owned(),
        Metric::Cmmd if by_others.is_none() => "CMMD".to_owned(),
        Metric::Sfid => of_features("sFID", features),
        Metric::Cmmd => of_features("CMMD", features),
    }
}

/// A distance is called by its name alone where it is that of Inception's last features, as everyone understands it.
pub fn of_features(name: &str, features: &str) -> String {
    if features == Features::InceptionV3.name() { name.to_owned() } else { format!("{name} ({features})") }
}

/// A value of the metric, to four significant digits.
pub fn metric_value(value: f64) -> String {
    significant(value, 4)
}

/// The verdict as a table cell.
pub fn verdict(result: &Result<Speedup, NoSpeedup>) -> String {
    let speedup = match result {
        Ok(speedup) => speedup,
        Err(NoSpeedup::IsBaseline) => return "baseline".to_owned(),
        Err(NoSpeedup::DevicesDiffer { .. }) => return "timed on different devices".to_owned(),
        Err(NoSpeedup::ProtocolsDiffer { .. }) => return "different protocols".to_owned(),
        Err(none) => return no_speedup(none),
    };
    match (speedup.verdict, speedup.estimate) {
        (Verdict::Faster, _) => "faster".to_owned(),
        (Verdict::Slower, _) => "slower".to_owned(),
        (Verdict::Equivalent, _) => "equally fast".to_owned(),
        (Verdict::Suggestive, _) => "undecided after the correction".to_owned(),
        (Verdict::NotDistinguishable, _) => "undecided".to_owned(),
        (Verdict::TooCoarse, _) => "below what evaluations resolve".to_owned(),
        (Verdict::OneSeed, _) => "one seed, no interval".to_owned(),
        (_, Estimate::AtLeast(_)) => "lower bound only".to_owned(),
        (_, Estimate::AtMost(_)) => "upper bound only".to_owned(),
        (_, Estimate::Unknown(unknown)) => unknown_words(unknown).to_owned(),
        (Verdict::Bounded | Verdict::Unknown, Estimate::Measured { .. }) => {
            unreachable!("a measured speedup has its own verdict")
        }
    }
}

/// `1.42×`, `≥ 2.10×`, `–`.
pub fn speedup_cell(result: &Result<Speedup, NoSpeedup>) -> String {
    match result {
        Err(NoSpeedup::IsBaseline) => "1".to_owned(),
        Err(_) => "–".to_owned(),
        Ok(speedup) => estimate_cell(&speedup.estimate),
    }
}

fn estimate_cell(estimate: &Estimate) -> String {
    match *estimate {
        Estimate::Measured { interval: Some(interval), .. } if interval.is_too_wide() => "–".to_owned(),
        Estimate::Measured { speedup, .. } => times(speedup),
        Estimate::AtLeast(bound) => format!("≥ {}", times(bound)),
        Estimate::AtMost(bound) => format!("≤ {}", times(bound)),
        Estimate::Unknown(_) => "–".to_owned(),
    }
}

/// `1.20× to 1.68×`, or a dash.
pub fn interval_cell(result: &Result<Speedup, NoSpeedup>) -> String {
    match result.as_ref().map(|speedup| speedup.estimate) {
        Ok(Estimate::Measured { interval: Some(interval), .. }) => interval_words(interval),
        _ => "–".to_owned(),
    }
}

fn interval_words(interval: Interval) -> String {
    match interval.is_too_wide() {
        true => "wider than a factor of 10".to_owned(),
        false => format!("{} to {}", times(interval.low), times(interval.high)),
    }
}

/// The range that the evaluations' spacing leaves open; a dash where times are not read off single evaluations.
pub fn resolution_cell(result: &Result<Speedup, NoSpeedup>) -> String {
    match result.as_ref().map(|speedup| speedup.estimate) {
        Ok(Estimate::Measured { resolution: Some(resolution), .. }) => {
            format!("{} to {}", times(resolution.low), times(resolution.high))
        }
        _ => "–".to_owned(),
    }
}

/// `3 paired`, `2 paired, without seed 4`, `3 + 4`.
pub fn seeds_cell(result: &Result<Speedup, NoSpeedup>) -> String {
    let Ok(speedup) = result else { return "–".to_owned() };
    let counted = match speedup.pairing {
        Pairing::Paired { n } => format!("{n} paired"),
        Pairing::Unpaired { baseline, candidate } => format!("{baseline} + {candidate}"),
    };
    if speedup.left_out.is_empty() { counted } else { format!("{counted}, without {}", seeds(&speedup.left_out)) }
}

/// `1 seed`, `3 seeds`, `3 and 4 unpaired seeds`.
fn seeds_words(pairing: Pairing) -> String {
    match pairing {
        Pairing::Paired { n: 1 } => "1 seed".to_owned(),
        Pairing::Paired { n } => format!("{n} seeds"),
        Pairing::Unpaired { baseline, candidate } => format!("{baseline} and {candidate} unpaired seeds"),
    }
}

/// `seed 4`, `seeds 1, 4`.
fn seeds(seeds: &[u64]) -> String {
    let numbers: Vec<String> = seeds.iter().map(u64::to_string).collect();
    format!("seed{} {}", if seeds.len() == 1 { "" } else { "s" }, numbers.join(", "))
}

/// The target and where it comes from.
pub fn target(comparison: &Comparison, target: &Result<ResolvedTarget, NoTarget>) -> String {
    let name = metric_words(comparison);
    match target {
        Ok(ResolvedTarget { value, origin: TargetOrigin::Stated }) => {
            format!("{name} {}, as the sweep states", metric_value(*value))
        }
        Ok(ResolvedTarget { value, origin: TargetOrigin::Final { from, at, completed, planned } }) => {
            let provisional = if completed < planned { "; it can still move" } else { "" };
            format!(
                "{name} {}, {} of the last values of {from} ({completed} of {planned} runs completed{provisional})",
                metric_value(*value),
                at.words()
            )
        }
        Err(NoTarget { from, at, planned }) => {
            format!(
                "not known: it is {} of the last values of {from}, and none of its {planned} runs has completed",
                at.words()
            )
        }
    }
}

/// The level of the intervals that are shown: `95 %`, or more where a study is looked at more than once.
pub fn confidence(comparison: &Comparison) -> String {
    percent(1.0 - comparison.level(1))
}

/// Over which qualities a grid point's arms are compared: what the sentences about them leave out.
pub fn yardstick(comparison: &Comparison, band: &Result<Band, NoBand>) -> String {
    let words = band_words(comparison, band);
    match band {
        Ok(_) => format!("Speedups over {words}, with {} intervals.", confidence(comparison)),
        Err(_) => format!("The band of qualities is {words}."),
    }
}

/// The qualities over which arms are compared: `FID 2.61 to 1.43, which baseline passes from 30 % to 75 % of its training`.
pub fn band_words(comparison: &Comparison, band: &Result<Band, NoBand>) -> String {
    let baseline = comparison.baseline.unwrap_or("the baseline");
    match band {
        Ok(band) => format!(
            "{}, which {baseline} passes from {} to {} of its training",
            band_values(comparison, band),
            percent(band.shares.from),
            percent(band.shares.to)
        ),
        Err(no_band) => no_band_words(*no_band, baseline),
    }
}

/// `FID 2.61 to 1.43`.
fn band_values(comparison: &Comparison, band: &Band) -> String {
    let (easy, hard) = band.values();
    format!("{} {} to {}", metric_words(comparison), significant(easy, 3), significant(hard, 3))
}

fn no_band_words(no_band: NoBand, baseline: &str) -> String {
    match no_band {
        NoBand::NotThereYet => format!("not known yet: no run of {baseline} is far enough"),
        NoBand::NoFit(NoFit::TooFew) => format!(
            "empty: {baseline} has fewer than {FEWEST} evaluations to fit a curve through; set `evaluate.every` lower"
        ),
        NoBand::NoFit(NoFit::NotPositive) => {
            format!(
                "empty: {baseline} has values of 0 or below, which have no logarithm; only a first crossing can be told"
            )
        }
        NoBand::NoProgress => format!("empty: {baseline} does not improve over it"),
    }
}

/// An arm against another, in a table or a figure.
pub fn pair_name(arm: &str, against: &str) -> String {
    format!("{arm} against {against}")
}

fn unknown_words(unknown: Unknown) -> &'static str {
    match unknown {
        Unknown::NoneReached => "no run reached it",
        Unknown::BothCensored => "not all of either arm reached it",
        Unknown::NoBound => "not all reached it, and no bound follows",
        Unknown::NoTime => "an evaluation before any training was already at the target",
        Unknown::NoSeeds => "no seed to compare yet",
        Unknown::TooFewEvaluations => "a run has too few evaluations to fit a curve through",
        Unknown::NotThereYet => "runs are not far enough yet",
        Unknown::NotPositive => "values of 0 or below have no logarithm",
        Unknown::LevelsOff => "a run levels off before its end: when it came to its last value cannot be told",
        Unknown::NoClock => "the source of the numbers has no clock",
    }
}

fn no_speedup(none: &NoSpeedup) -> String {
    match none {
        NoSpeedup::IsBaseline => "this is the baseline".to_owned(),
        NoSpeedup::NoCompare => "no comparison: the sweep has no `compare` section".to_owned(),
        NoSpeedup::NoTarget(NoTarget { from, .. }) => format!("no target yet: no run of {from} has completed"),
        NoSpeedup::NoBand(no_band) => format!("the band of qualities is {}", no_band_words(*no_band, "the baseline")),
        NoSpeedup::NotMeasured { arm } => format!("{arm} has measured nothing yet"),
        NoSpeedup::ProtocolsDiffer { compared, other } => {
            format!("not compared: measured by different protocols (`{compared}` and `{other}`)")
        }
        NoSpeedup::DevicesDiffer { devices } => {
            format!("not compared: the runs were timed on different devices ({})", devices.join("; "))
        }
    }
}
