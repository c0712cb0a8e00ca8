//! The answers of a whole grid, in sentences.

use super::{estimate_cell, interval_words, no_band_words, seeds, seeds_words};
use crate::report::comparison::Comparison;
use crate::report::grid::{ArmEffect, Chosen, Interaction, Of, Tuned, TunedArm};
use crate::report::number::percent;
use crate::report::speedup::{Estimate, Speedup, Verdict};
use crate::spec::{Labels, Point};

/// An arm over all grid points: the answer, then where it is least and most.
pub fn effect_words(comparison: &Comparison, effect: &ArmEffect) -> String {
    let ArmEffect { arm, speedup, measured, tried, least, most } = effect;
    let baseline = comparison.baseline.unwrap_or("the baseline");
    let verdict = verdict_words(comparison, speedup.verdict, baseline);
    let over = match measured == tried {
        true if *tried == 2 => "over both grid points".to_owned(),
        true => format!("over all {tried} grid points"),
        false => format!("over the {measured} of {tried} grid points where it has a number"),
    };
    let at = |index: usize| {
        let point = &comparison.points[index];
        let speedup = point.arm(arm).and_then(|arm| arm.contrast.images());
        let number = speedup.map_or_else(String::new, |speedup| estimate_cell(&speedup.estimate));
        format!("{number} at {}", point.label)
    };
    let range = match (at(*least), at(*most)) {
        (least, most) if least.split(' ').next() == most.split(' ').next() => String::new(),
        (least, most) => format!(" From {least} to {most}."),
    };
    format!(
        "{arm} {verdict}: {} in training images, {over} ({}).{range}",
        measured_words(speedup),
        seeds_words(speedup.pairing)
    )
}

/// An arm at its own best setting.
pub fn tuned_words(comparison: &Comparison, tuned: &Tuned, arm: &TunedArm) -> String {
    let Tuned { label, settings, baseline, .. } = tuned;
    let TunedArm { chosen, speedup } = arm;
    let at = if label.is_empty() { String::new() } else { format!(" at {label}") };
    let labels = &comparison.study.plan.labels;
    let [own, other] = [chosen, baseline].map(|chosen| chosen_words(comparison, labels, chosen));
    let places = match own == other {
        true => format!("both at {own}"),
        false => format!("{} at {own} against {} at {other}", chosen.arm, baseline.arm),
    };
    let mut left_out: Vec<u64> = [&chosen.left_out, &baseline.left_out].into_iter().flatten().copied().collect();
    left_out.sort_unstable();
    left_out.dedup();
    let places = match left_out.is_empty() {
        true => places,
        false => format!("{places}; without {}, which not every setting has", seeds(&left_out)),
    };
    let each = format!("each at its own best of {settings} values of {}{at}", tune(comparison));
    match speedup {
        Err(no_band) => {
            let words = no_band_words(*no_band, baseline.arm);
            format!("{}: no speedup, {each}, as the band of qualities is {words}.", chosen.arm)
        }
        Ok(speedup) => format!(
            "{} {}, {each}: {} in training images ({}; {places}).",
            chosen.arm,
            verdict_words(comparison, speedup.verdict, baseline.arm),
            measured_words(speedup),
            seeds_words(speedup.pairing)
        ),
    }
}

/// The warning that a best may lie beyond what was tried.
pub fn edge_words(comparison: &Comparison, tuned: &Tuned) -> Option<String> {
    let all = std::iter::once(&tuned.baseline).chain(tuned.arms.iter().map(|arm| &arm.chosen));
    let at_edge: Vec<&str> = all.filter(|chosen| chosen.is_at_edge).map(|chosen| chosen.arm).collect();
    let at = if tuned.label.is_empty() { String::new() } else { format!("At {}: ", tuned.label) };
    (!at_edge.is_empty()).then(|| {
        format!(
            "{at}the best {} of {} is the first or the last that was tried, and a better one may lie beyond.",
            tune(comparison),
            at_edge.join(", ")
        )
    })
}

fn tune(comparison: &Comparison) -> String {
    let plan = &comparison.study.plan;
    let tune = plan.compare.as_ref().map_or(&[][..], |compare| &compare.tune);
    tune.iter().map(|path| plan.labels.axis(path)).collect::<Vec<_>>().join(", ")
}

/// `0.002`, or `0.002 (3 seeds) and 0.004 (1)`.
fn chosen_words(comparison: &Comparison, labels: &Labels, chosen: &Chosen) -> String {
    let words = |setting: &Point| setting_words(comparison, labels, setting);
    match chosen.settings.as_slice() {
        [(setting, _)] => words(setting),
        settings => {
            let words: Vec<String> =
                settings.iter().map(|(setting, count)| format!("{} ({count}x)", words(setting))).collect();
            words.join(" or ")
        }
    }
}

/// The values of a setting; without labels, what programs read.
pub fn setting_words(comparison: &Comparison, labels: &Labels, setting: &Point) -> String {
    let axes = comparison.study.plan.axes.iter();
    let values = axes.filter_map(|axis| Some(labels.value(axis, setting.get(&axis.path)?)));
    values.collect::<Vec<_>>().join(", ")
}

fn verdict_words(comparison: &Comparison, verdict: Verdict, baseline: &str) -> String {
    match verdict {
        Verdict::Faster => format!("is faster than {baseline}"),
        Verdict::Slower => format!("is slower than {baseline}"),
        Verdict::Equivalent => format!("is as fast as {baseline} within {}", percent(comparison.practical() - 1.0)),
        _ => format!("is not told apart from {baseline}"),
    }
}

/// Whether two changes multiply.
pub fn interaction_words(comparison: &Comparison, interaction: &Interaction) -> String {
    let practical = comparison.practical();
    let ratio = &interaction.ratio;
    let numbers = format!("{} ({})", measured_words(ratio), seeds_words(ratio.pairing));
    let is_decided = matches!(ratio.verdict, Verdict::Faster | Verdict::Slower);
    let alike = format!("within {}", percent(practical - 1.0));
    let is_near_one = is_within(ratio, practical);
    let is_more = matches!(ratio.estimate, Estimate::Measured { speedup, .. } if speedup > 1.0);
    match &interaction.of {
        Of::Axis { arm, axis, value, reference } => {
            let labels = &comparison.study.plan.labels;
            let [value, reference] = [value, reference].map(|value| labels.value(axis, value));
            let axis = labels.axis(&axis.path);
            let verdict = match (is_decided, is_more) {
                _ if is_near_one => format!("gains as much at {axis} = {value} as at {reference}, {alike}"),
                (true, true) => format!("gains more at {axis} = {value} than at {reference}"),
                (true, false) => format!("gains less at {axis} = {value} than at {reference}"),
                (false, _) => format!("is not shown to gain more or less at {axis} = {value} than at {reference}"),
            };
            format!("{arm} {verdict}: its speedup is {numbers} times that.")
        }
        Of::Arms { first, second, both } => {
            let verdict = match (is_decided, is_more) {
                _ if is_near_one => format!("{first} and {second} multiply {alike}"),
                (true, true) => format!("{first} and {second} gain more together than each alone would make"),
                (true, false) => format!("{first} and {second} gain less together than each alone would make"),
                (false, _) => format!("{first} and {second} are not shown to help or hinder each other"),
            };
            format!("{verdict}: the speedup of {both} is {numbers} times the product of theirs.")
        }
    }
}

/// Whether all of the interval is nearer to 1 than what matters in practice.
fn is_within(speedup: &Speedup, practical: f64) -> bool {
    matches!(speedup.estimate, Estimate::Measured { interval: Some(interval), .. } if interval.is_within(practical))
}

fn measured_words(speedup: &Speedup) -> String {
    match speedup.estimate {
        Estimate::Measured { interval: Some(interval), .. } => {
            format!("{} ({})", estimate_cell(&speedup.estimate), interval_words(interval))
        }
        _ => estimate_cell(&speedup.estimate),
    }
}
