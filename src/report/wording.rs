//! What the numbers say, in plain words.

use std::collections::BTreeSet;

use super::band::{Band, FEWEST, NoBand, NoFit, Profile};
use super::comparison::{ArmComparison, Comparison, Contrast, NoSpeedup, PairComparison, PointComparison};
use super::cost::Cost;
use super::interval::Interval;
use super::number::{percent, significant, times};
use super::speedup::{Estimate, Pairing, Speedup, Unknown, Verdict};
use super::target::{NoTarget, ResolvedTarget, TargetOrigin};
use crate::event::RunOutcome;
use crate::record::{Revision, RunRecord, RunState, StudyRecord};
use crate::spec::{Features, Metric};

/// The metric's name in a sentence.
pub fn metric_words(comparison: &Comparison) -> String {
    let runs = comparison.study.plan.runs.iter();
    let features: BTreeSet<&str> = runs.map(|run| run.spec.evaluate.fid.features.name()).collect();
    let features = if features.len() > 1 { "several features" } else { features.first().copied().unwrap_or_default() };
    match comparison.metric {
        Metric::Fid => of_features("FID", features),
        Metric::ValidationLoss => "validation loss".to_owned(),
        Metric::Kid => of_features("KID", features),
        Metric::FidInfinity => of_features("FID-infinity", features),
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
        (Verdict::Suggestive, _) => "undecided among so many arms".to_owned(),
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

/// An interval this wide says nothing but that it is wide, and is not printed as numbers.
const TOO_WIDE: f64 = 10.0;

fn is_too_wide(interval: Interval) -> bool {
    interval.high > TOO_WIDE * interval.low
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
        Estimate::Measured { interval: Some(interval), .. } if is_too_wide(interval) => "–".to_owned(),
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
    match is_too_wide(interval) {
        true => "wider than a factor of 10".to_owned(),
        false => format!("{} to {}", times(interval.low), times(interval.high)),
    }
}

/// What the evaluations' spacing leaves open; a dash where times are not read off single evaluations.
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

/// The qualities over which arms are compared: `FID 2.61 to 1.43, which baseline passes from 30 % to 75 % of its training`.
pub fn band(comparison: &Comparison, band: &Result<Band, NoBand>) -> String {
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
            "none: {baseline} has fewer than {FEWEST} evaluations to fit a curve through; set `evaluate.every` lower"
        ),
        NoBand::NoFit(NoFit::NotPositive) => {
            format!(
                "none: {baseline} has values of 0 or below, which have no logarithm; only a first crossing can be told"
            )
        }
        NoBand::NoProgress => format!("none: {baseline} does not improve over it"),
    }
}

/// An arm against another, in a table or a figure.
pub fn pair_name(arm: &str, against: &str) -> String {
    format!("{arm} against {against}")
}

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

/// `seed 4`, `seeds 1, 4`.
fn seeds(seeds: &[u64]) -> String {
    let numbers: Vec<String> = seeds.iter().map(u64::to_string).collect();
    format!("seed{} {}", if seeds.len() == 1 { "" } else { "s" }, numbers.join(", "))
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
            format!(
                "{name} may be {direction} than {reference}: {measured}; that is not enough where {} are compared ({where_and_when}).",
                compared_count(comparison, label != name)
            )
        }
        (Verdict::NotDistinguishable, _) => {
            format!("{name} is not told apart from {reference}: {measured} ({where_and_when}).")
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

/// `4 arms`, `2 pairs`, over all grid points.
fn compared_count(comparison: &Comparison, pairs: bool) -> String {
    let (count, what): (usize, &str) = match pairs {
        true => (comparison.points.iter().map(|point| point.pairs.len()).sum(), "pairs"),
        false => {
            let arms = |point: &PointComparison| point.arms.iter().filter(|arm| !arm.is_baseline).count();
            (comparison.points.iter().map(arms).sum(), "arms")
        }
    };
    format!("{count} {what}")
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
            Estimate::Measured { interval: Some(interval), .. } if is_too_wide(*interval) => None,
            Estimate::Measured { interval: Some(interval), .. } => {
                Some(format!("{} ({})", estimate_cell(estimate), interval_words(*interval)))
            }
            Estimate::Measured { interval: None, .. } => Some(estimate_cell(estimate)),
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
        Estimate::Measured { interval: Some(interval), .. } if is_too_wide(interval) => {
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
    }
}

fn no_speedup(none: &NoSpeedup) -> String {
    match none {
        NoSpeedup::IsBaseline => "this is the baseline".to_owned(),
        NoSpeedup::NoCompare => "no comparison: the sweep has no `compare` section".to_owned(),
        NoSpeedup::NoTarget(NoTarget { from, .. }) => format!("no target yet: no run of {from} has completed"),
        NoSpeedup::NoBand(no_band) => format!("band of qualities {}", no_band_words(*no_band, "the baseline")),
        NoSpeedup::NotMeasured { arm } => format!("{arm} has measured nothing yet"),
        NoSpeedup::ProtocolsDiffer { compared, other } => {
            format!("not compared: measured by different protocols (`{compared}` and `{other}`)")
        }
        NoSpeedup::DevicesDiffer { devices } => {
            format!("not compared: the runs were timed on different devices ({})", devices.join("; "))
        }
    }
}

/// Runs that did not end as planned, or not yet; empty where all did.
pub fn troubles(arm: &ArmComparison) -> String {
    type Is = fn(&RunRecord) -> bool;
    let kinds: [(&str, Is); 10] = [
        ("diverged", |run| matches!(ending(run), Some(RunOutcome::Diverged { .. }))),
        ("ran out of memory", |run| matches!(ending(run), Some(RunOutcome::OutOfMemory { .. }))),
        ("crashed", |run| matches!(ending(run), Some(RunOutcome::Crashed { .. }))),
        ("fell silent", |run| matches!(ending(run), Some(RunOutcome::TimedOut { .. }))),
        ("lost their device", |run| matches!(ending(run), Some(RunOutcome::DeviceLost { .. }))),
        ("had a device that disagrees with the CPU", |run| {
            matches!(ending(run), Some(RunOutcome::DeviceDisagrees { .. }))
        }),
        ("had no room on the disk", |run| matches!(ending(run), Some(RunOutcome::DiskFull { .. }))),
        ("interrupted", |run| matches!(ending(run), Some(RunOutcome::Interrupted { .. }))),
        ("unfinished", |run| run.state == RunState::Unfinished && ending(run).is_none()),
        ("not started", |run| run.state == RunState::Waiting),
    ];
    let total = arm.runs.len();
    let counted = kinds.iter().filter_map(|(words, is)| {
        let count = arm.count(|run| is(run.record));
        (count > 0).then(|| format!("{count} of {total} {words}"))
    });
    let counted: Vec<String> = counted.collect();
    if counted.is_empty() { String::new() } else { format!("Runs of {}: {}.", arm.arm, counted.join(", ")) }
}

/// How the run, or its last attempt, ended.
fn ending(run: &RunRecord) -> Option<&RunOutcome> {
    match &run.state {
        RunState::Ended(outcome) => Some(outcome),
        RunState::Unfinished => run.last_outcome.as_ref(),
        RunState::Waiting => None,
    }
}

/// How a run stands, in a table cell.
pub fn state(run: &RunRecord) -> String {
    match (&run.state, ending(run)) {
        (RunState::Waiting, _) => "not started".to_owned(),
        (RunState::Unfinished, None) => "unfinished".to_owned(),
        (_, Some(RunOutcome::ReachedTarget)) => "stopped at the target".to_owned(),
        (_, Some(outcome)) => match outcome.reason() {
            Some(reason) => format!("{}: {reason}", outcome.word()),
            None => outcome.word().to_owned(),
        },
        (RunState::Ended(_), None) => unreachable!("a run that has ended has an outcome"),
    }
}

/// What was changed after the plan was frozen; empty where nothing was.
pub fn revisions(study: &StudyRecord) -> Vec<String> {
    let sentence = |revision: &Revision| {
        let when = match revision.runs_ended_before {
            0 => "before any run had ended".to_owned(),
            1 => "after 1 run had ended".to_owned(),
            count => format!("after {count} runs had ended"),
        };
        format!("{}, {when}: {}", revision.changed_at, revision.changes.join("; "))
    };
    study.revisions.iter().map(sentence).collect()
}
