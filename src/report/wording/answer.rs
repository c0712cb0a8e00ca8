//! What the study answers about an arm, in sentences.

use super::{
    band_values, estimate_cell, interval_words, metric_words, no_speedup, pair_name, seeds, troubles, unknown_words,
};
use crate::report::band::Profile;
use crate::report::comparison::{ArmComparison, Comparison, Contrast, NoSpeedup, PairComparison, PointComparison};
use crate::report::cost::Cost;
use crate::report::number::{percent, significant, times};
use crate::report::speedup::{Estimate, Pairing, Speedup, Verdict};

/// What the study answers about one arm, in a sentence or two.
pub fn answer(comparison: &Comparison, point: &PointComparison, arm: &ArmComparison) -> String {
    let baseline = comparison.baseline.unwrap_or("the baseline");
    let mut text = answer_against(comparison, point, (arm.arm, baseline), arm.arm, &arm.contrast);
    let troubles = troubles(arm);
    if !troubles.is_empty() {
        text.push_str(&format!(" {troubles}"));
    }
    text
}

/// The same about one arm against another; how their runs ended stands with the arms' own answers.
pub fn pair_answer(comparison: &Comparison, point: &PointComparison, pair: &PairComparison) -> String {
    let name = pair_name(pair.arm, pair.against);
    answer_against(comparison, point, (pair.arm, pair.against), &name, &pair.contrast)
}

/// `names` are the compared arm's and the reference's; `label` names both where the sentence does not.
fn answer_against(
    comparison: &Comparison,
    point: &PointComparison,
    names: (&str, &str),
    label: &str,
    contrast: &Contrast,
) -> String {
    let (images, seconds) = (&contrast.speedups[0], &contrast.speedups[1]);
    let mut text = match images {
        Err(none) => format!("{label}: {}.", no_speedup(none)),
        Ok(speedup) => over_band(comparison, point, names, label, speedup, seconds),
    };
    if let (Ok(_), Err(none)) = (images, seconds) {
        text.push_str(&format!(" Training time is {}.", no_speedup(none)));
    }
    if let Some(profile) = &contrast.profiles[0] {
        text.push_str(&ends(comparison, names, profile));
    }
    if let Ok(Speedup { left_out, .. }) = images
        && !left_out.is_empty()
    {
        text.push_str(&format!(" Left out, as only one of the two arms has measured them: {}.", seeds(left_out)));
    }
    text
}

fn over_band(
    comparison: &Comparison,
    point: &PointComparison,
    (name, reference): (&str, &str),
    label: &str,
    speedup: &Speedup,
    seconds: &Result<Speedup, NoSpeedup>,
) -> String {
    let Some(Ok(band)) = &point.band else { unreachable!("a speedup over a band has one") };
    let measured = measured(speedup, seconds);
    let seeds = match speedup.pairing {
        Pairing::Paired { n: 1 } => "1 seed".to_owned(),
        Pairing::Paired { n } => format!("{n} seeds"),
        Pairing::Unpaired { baseline, candidate } => format!("{baseline} and {candidate} unpaired seeds"),
    };
    let reached = speedup.reached.unwrap_or(0);
    let part = match reached {
        reached if reached == band.targets.len() => String::new(),
        reached => format!(", on the {reached} of {} qualities that every run reached", band.targets.len()),
    };
    let where_and_when = format!("over {}{part}, {seeds}", band_values(comparison, band));
    match (speedup.verdict, speedup.estimate) {
        (Verdict::Faster, _) => format!("{name} is faster than {reference}: {measured} ({where_and_when})."),
        (Verdict::Slower, _) => format!("{name} is slower than {reference}: {measured} ({where_and_when})."),
        (Verdict::Equivalent, _) => {
            let within = comparison.study.plan.compare.as_ref().map_or(0.0, |compare| compare.practical - 1.0);
            format!("{name} is as fast as {reference} within {}: {measured} ({where_and_when}).", percent(within))
        }
        (Verdict::Suggestive, Estimate::Measured { speedup: ratio, .. }) => {
            let direction = if ratio > 1.0 { "faster" } else { "slower" };
            let count = compared(comparison, label != name);
            format!(
                "{name} may be {direction} than {reference}, which the correction for {count} comparisons leaves open: {measured} \
                 ({where_and_when}).{}",
                seeds_missing(speedup, comparison.level(count))
            )
        }
        (Verdict::NotDistinguishable, _) => {
            let missing = seeds_missing(speedup, comparison.level(compared(comparison, label != name)));
            format!("{name} is not told apart from {reference}: {measured} ({where_and_when}).{missing}")
        }
        (Verdict::OneSeed, _) => {
            format!(
                "{name} and {reference} share a single seed, so there is no interval: {measured} ({where_and_when})."
            )
        }
        // A bound on these runs' mean; without an interval it says nothing about the methods.
        (_, Estimate::AtLeast(_) | Estimate::AtMost(_)) => format!(
            "{label}: {measured}, a bound without an interval: every run reached only {reached} of the {} qualities over {} ({seeds}).",
            band.targets.len(),
            band_values(comparison, band)
        ),
        (_, Estimate::Unknown(unknown)) => {
            format!("{label}: no speedup over {}: {}.", band_values(comparison, band), unknown_words(unknown))
        }
        (_, Estimate::Measured { .. }) => unreachable!("a measured speedup has its own verdict"),
    }
}

/// The comparisons that share a correction: of arms with the baseline, or of pairs, at all grid points.
fn compared(comparison: &Comparison, pairs: bool) -> usize {
    let of_point = |point: &PointComparison| match pairs {
        true => point.pairs.len(),
        false => point.arms.iter().filter(|arm| !arm.is_baseline).count(),
    };
    comparison.points.iter().map(of_point).sum()
}

/// The seeds that are missing for a decision, by the spread that was seen.
fn seeds_missing(speedup: &Speedup, level: f64) -> String {
    let (Some(power), Pairing::Paired { n }) = (speedup.power(level), speedup.pairing) else {
        return String::new();
    };
    let needed = match power.seeds_needed {
        Some(needed) => format!("About {} seeds", needed.max(n + 1)),
        None => "More than 200 seeds".to_owned(),
    };
    format!(" {needed} would decide a difference of this size; {n} show one of {} or more.", times(power.detectable))
}

/// Both axes: the second follows with its own verdict where it is another one.
fn measured(images: &Speedup, seconds: &Result<Speedup, NoSpeedup>) -> String {
    let first = clause(images, Cost::ImagesSeen);
    match seconds {
        Err(_) => first,
        Ok(seconds) if matches!(seconds.estimate, Estimate::Unknown(_)) => first,
        Ok(seconds) if seconds.verdict == images.verdict => {
            format!("{first} and {}", clause(seconds, Cost::TrainSeconds))
        }
        Ok(seconds) => {
            let verdict = match seconds.verdict {
                Verdict::Faster => "faster",
                Verdict::Slower => "slower",
                Verdict::Equivalent => "equally fast",
                Verdict::NotDistinguishable => "not told apart",
                Verdict::TooCoarse => "closer than the evaluations resolve",
                Verdict::Suggestive | Verdict::OneSeed | Verdict::Bounded | Verdict::Unknown => "not decided",
            };
            format!("{first}, but {verdict} with {}", clause(seconds, Cost::TrainSeconds))
        }
    }
}

/// What the one number sums up, where it hides something, and the speedup to the reference's last quality.
fn ends(comparison: &Comparison, (_, reference): (&str, &str), profile: &Profile) -> String {
    let name = metric_words(comparison);
    let mut text = String::new();
    let at = |estimate: &Estimate| match estimate {
        Estimate::Measured { speedup, .. } => Some(*speedup),
        _ => None,
    };
    if profile.changes()
        && let (Some(easy), Some(hard)) = (at(&profile.easy.1), at(&profile.end.1))
    {
        let grows = if (hard.ln()).abs() > (easy.ln()).abs() { "grows" } else { "shrinks" };
        text.push_str(&format!(
            " The difference {grows} over the band: {} at {name} {}, {} at {name} {}.",
            times(easy),
            significant(profile.easy.0, 3),
            times(hard),
            significant(profile.end.0, 3)
        ));
    }
    if let Some((value, estimate)) = &profile.hard {
        let told = match estimate {
            Estimate::Measured { .. } => Some(format!("about {}", estimate_cell(estimate))),
            Estimate::AtLeast(bound) => Some(format!("at least {}", times(*bound))),
            Estimate::AtMost(bound) => Some(format!("at most {}, as not every run reached it", times(*bound))),
            Estimate::Unknown(_) => None,
        };
        if let Some(told) = told {
            text.push_str(&format!(
                " To the last {name} of {reference} ({}): {told} in training images.",
                significant(*value, 3)
            ));
        }
    }
    text
}

/// `1.42× in training images (95 % interval 1.20× to 1.68×)`.
fn clause(speedup: &Speedup, cost: Cost) -> String {
    let words = cost.words();
    match speedup.estimate {
        Estimate::Measured { interval: Some(interval), .. } if interval.is_too_wide() => {
            format!("the interval in {words} is wider than a factor of 10")
        }
        Estimate::Measured { speedup: ratio, interval, .. } => {
            let interval =
                interval.map_or(String::new(), |interval| format!(" (95 % interval {})", interval_words(interval)));
            format!("{} in {words}{interval}", times(ratio))
        }
        Estimate::AtLeast(bound) => format!("at least {} in {words}", times(bound)),
        Estimate::AtMost(bound) => format!("at most {} in {words}", times(bound)),
        Estimate::Unknown(unknown) => format!("{words}: {}", unknown_words(unknown)),
    }
}
