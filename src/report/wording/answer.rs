//! The study's answer about an arm, in sentences.

use super::{
    band_values, estimate_cell, interval_cell, interval_words, no_speedup, pair_name, seeds, seeds_words, speedup_cell,
    troubles, unknown_words, verdict,
};
use crate::report::band::Profile;
use crate::report::comparison::{ArmComparison, Comparison, Contrast, NoSpeedup, PairComparison, PointComparison};
use crate::report::cost::Cost;
use crate::report::grid::Grid;
use crate::report::number::{percent, significant, times};
use crate::report::speedup::{Estimate, Pairing, Speedup, Verdict};

/// The study's answer about one arm, in a sentence or two.
pub fn answer(comparison: &Comparison, point: &PointComparison, arm: &ArmComparison) -> String {
    let baseline = comparison.baseline.unwrap_or("the baseline");
    let mut text = answer_against(comparison, point, (arm.arm, baseline), arm.arm, &arm.contrast);
    let troubles = troubles(arm);
    if !troubles.is_empty() {
        text.push_str(&format!(" {troubles}"));
    }
    text
}

/// An arm's speedup in training images in a table of several studies: `1.07× (1.04× to 1.10×), faster`. Over the grid where there is
/// one; against the baseline where `against` is `None`.
pub fn answer_cell(comparison: &Comparison, arm: &str, against: Option<&str>) -> String {
    if let (true, None) = (comparison.has_grid(), against) {
        let effects = Grid::of(comparison).effects;
        let effect = effects.iter().find(|effect| effect.arm == arm);
        return effect.map_or_else(|| "nothing measured yet".to_owned(), |effect| cell(&Ok(effect.speedup.clone())));
    }
    let contrasts = comparison.points.iter().filter_map(|point| match against {
        None => point.arms.iter().find(|other| other.arm == arm).map(|arm| &arm.contrast),
        Some(against) => {
            let pair = point.pairs.iter().find(|pair| pair.arm == arm && pair.against == against);
            pair.map(|pair| &pair.contrast)
        }
    });
    let cells: Vec<String> = contrasts.filter_map(|contrast| contrast.speedups.first()).map(cell).collect();
    if cells.is_empty() { "nothing measured yet".to_owned() } else { cells.join("; ") }
}

fn cell(speedup: &Result<Speedup, NoSpeedup>) -> String {
    let parts = [speedup_cell(speedup), interval_cell(speedup)];
    match parts.each_ref().map(String::as_str) {
        ["–", _] => verdict(speedup),
        [number, "–"] => format!("{number}, {}", verdict(speedup)),
        [number, interval] => format!("{number} ({interval}), {}", verdict(speedup)),
    }
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
        text.push_str(&ends(names, profile));
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
    let seeds = seeds_words(speedup.pairing);
    let reached = speedup.reached.unwrap_or(0);
    let seeds = match reached {
        reached if reached == band.targets.len() => seeds,
        reached => format!("{seeds}, on the {reached} of {} qualities that every run reached", band.targets.len()),
    };
    let missing = |count| seeds_missing(speedup, comparison.level(count));
    // Seeds enough show a difference that matters to nobody.
    let hardly = match speedup.estimate {
        Estimate::Measured { interval: Some(interval), .. } if interval.is_within(comparison.practical()) => {
            format!(", by less than {}", percent(comparison.practical() - 1.0))
        }
        _ => String::new(),
    };
    match (speedup.verdict, speedup.estimate) {
        (Verdict::Faster, _) => format!("{name} is faster than {reference}{hardly}: {measured} ({seeds})."),
        (Verdict::Slower, _) => format!("{name} is slower than {reference}{hardly}: {measured} ({seeds})."),
        (Verdict::Equivalent, _) => {
            let within = percent(comparison.practical() - 1.0);
            format!("{name} is as fast as {reference} within {within}: {measured} ({seeds}).")
        }
        (Verdict::Suggestive, Estimate::Measured { speedup: ratio, .. }) => {
            let direction = if ratio > 1.0 { "faster" } else { "slower" };
            let count = compared(comparison, label != name);
            let open = match (count, comparison.looks.is_some()) {
                (_, true) => "undecided at this look".to_owned(),
                (count, false) => format!("undecided among {count} comparisons"),
            };
            format!("{name} may be {direction} than {reference}, {open}: {measured} ({seeds}).{}", missing(count))
        }
        (Verdict::NotDistinguishable, _) => {
            let missing = missing(compared(comparison, label != name));
            format!("{name} is not told apart from {reference}: {measured} ({seeds}).{missing}")
        }
        (Verdict::OneSeed, _) => format!("{name} against {reference}, a single seed without an interval: {measured}."),
        // A bound on these runs' mean; without an interval it says nothing about the methods.
        (_, Estimate::AtLeast(_) | Estimate::AtMost(_)) => {
            let (all, values) = (band.targets.len(), band_values(comparison, band));
            format!(
                "{label}: {measured}, a bound alone: only at {reached} of {all} qualities is it seen when every run came there, over {values}."
            )
        }
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
    format!(" {needed} would decide it; {n} show {} or more.", times(power.detectable))
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
                Verdict::TooCoarse => "less than the evaluations resolve",
                Verdict::NotDistinguishable
                | Verdict::Suggestive
                | Verdict::OneSeed
                | Verdict::Bounded
                | Verdict::Unknown => "undecided",
            };
            match seconds.estimate {
                Estimate::Measured { interval: Some(interval), .. } if interval.is_too_wide() => {
                    format!("{first}; training time is {verdict}, its interval wider than a factor of 10")
                }
                _ => format!("{first}; {} is {verdict}", clause(seconds, Cost::TrainSeconds)),
            }
        }
    }
}

/// The speedups at both ends of the band, where the one number hides a difference, and the speedup to the last
/// quality that both arms reach.
fn ends((_, reference): (&str, &str), profile: &Profile) -> String {
    let at = |(value, estimate): &(f64, Estimate)| match estimate {
        Estimate::Measured { speedup, .. } => Some(format!("{} at {}", times(*speedup), significant(*value, 3))),
        _ => None,
    };
    let changes = (profile.changes()).then(|| at(&profile.easy).zip(at(&profile.end))).flatten();
    let mut parts: Vec<String> = changes.map(|(easy, hard)| format!("from {easy} to {hard}")).into_iter().collect();
    if let Some((value, estimate)) = &profile.hard {
        let how_much = match estimate {
            Estimate::Measured { interval: Some(interval), .. } if interval.is_too_wide() => None,
            Estimate::Measured { speedup, interval: Some(interval), .. } => {
                Some(format!("{} ({})", times(*speedup), interval_words(*interval)))
            }
            Estimate::Measured { interval: None, .. } => Some(format!("about {}", estimate_cell(estimate))),
            Estimate::AtLeast(bound) => Some(format!("at least {}", times(*bound))),
            Estimate::AtMost(bound) => Some(format!("at most {}", times(*bound))),
            Estimate::Unknown(_) => None,
        };
        let to = format!("to the last value that it and {reference} both reach, {}", significant(*value, 3));
        parts.extend(how_much.map(|how_much| format!("{how_much} {to}")));
    }
    let mut text = parts.join("; ");
    match text.get(..1).map(str::to_uppercase) {
        None => text,
        Some(first) => {
            text.replace_range(..1, &first);
            format!(" {text}.")
        }
    }
}

/// `1.42× (1.20× to 1.68×) in training images`.
fn clause(speedup: &Speedup, cost: Cost) -> String {
    let words = cost.words();
    match speedup.estimate {
        Estimate::Measured { interval: Some(interval), .. } if interval.is_too_wide() => {
            format!("the interval in {words} is wider than a factor of 10")
        }
        Estimate::Measured { speedup: ratio, interval, .. } => {
            let interval = interval.map_or(String::new(), |interval| format!(" ({})", interval_words(interval)));
            format!("{}{interval} in {words}", times(ratio))
        }
        Estimate::AtLeast(bound) => format!("at least {} in {words}", times(bound)),
        Estimate::AtMost(bound) => format!("at most {} in {words}", times(bound)),
        Estimate::Unknown(unknown) => format!("{words}: {}", unknown_words(unknown)),
    }
}
