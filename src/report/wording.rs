//! What the numbers say, in plain words.

use std::collections::BTreeSet;

use super::comparison::{ArmComparison, Comparison, Contrast, NoSpeedup, PairComparison, PointComparison};
use super::cost::Cost;
use super::number::{significant, times};
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
        (Verdict::NotDistinguishable, _) => "not distinguishable".to_owned(),
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
        Ok(speedup) => match speedup.estimate {
            Estimate::Measured { speedup, .. } => times(speedup),
            Estimate::AtLeast(bound) => format!("≥ {}", times(bound)),
            Estimate::AtMost(bound) => format!("≤ {}", times(bound)),
            Estimate::Unknown(_) => "–".to_owned(),
        },
    }
}

/// `1.20× to 1.68×`, or a dash.
pub fn interval_cell(result: &Result<Speedup, NoSpeedup>) -> String {
    match result.as_ref().map(|speedup| speedup.estimate) {
        Ok(Estimate::Measured { interval: Some(interval), .. }) => {
            format!("{} to {}", times(interval.low), times(interval.high))
        }
        _ => "–".to_owned(),
    }
}

/// What the evaluations' spacing leaves open.
pub fn resolution_cell(result: &Result<Speedup, NoSpeedup>) -> String {
    match result.as_ref().map(|speedup| speedup.estimate) {
        Ok(Estimate::Measured { resolution, .. }) => format!("{} to {}", times(resolution.low), times(resolution.high)),
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

/// An arm against another, in a table or a figure.
pub fn pair_name(arm: &str, against: &str) -> String {
    format!("{arm} against {against}")
}

/// What the study answers about one arm, in a sentence or two.
pub fn answer(comparison: &Comparison, point: &PointComparison, arm: &ArmComparison) -> String {
    let baseline = comparison.baseline.unwrap_or("the baseline");
    let mut text = answer_against(comparison, point, arm, (arm.arm, baseline), &arm.contrast);
    let troubles = troubles(arm);
    if !troubles.is_empty() {
        text.push_str(&format!(" {troubles}"));
    }
    text
}

/// The same about one arm against another; how their runs ended stands with the arms' own answers.
pub fn pair_answer(comparison: &Comparison, point: &PointComparison, pair: &PairComparison) -> String {
    let arm = point.arms.iter().find(|arm| arm.arm == pair.arm).expect("a pair is made of the point's arms");
    let name = pair_name(pair.arm, pair.against);
    answer_against(comparison, point, arm, (&name, pair.against), &pair.contrast)
}

/// `names` are the comparison's and the reference's.
fn answer_against(
    comparison: &Comparison,
    point: &PointComparison,
    arm: &ArmComparison,
    names: (&str, &str),
    contrast: &Contrast,
) -> String {
    let (images, seconds) = (&contrast.speedups[0], &contrast.speedups[1]);
    let mut text = match images {
        Err(none) => format!("{}: {}.", names.0, no_speedup(none)),
        Ok(speedup) => at_target(comparison, point, arm, names, speedup, seconds),
    };
    if let (Ok(_), Err(none)) = (images, seconds) {
        text.push_str(&format!(" Training time is {}.", no_speedup(none)));
    }
    if let Some(common) = at_common_target(comparison, contrast, names.1) {
        text.push_str(&format!(" {common}"));
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

fn at_target(
    comparison: &Comparison,
    point: &PointComparison,
    arm: &ArmComparison,
    (label, reference): (&str, &str),
    speedup: &Speedup,
    seconds: &Result<Speedup, NoSpeedup>,
) -> String {
    let name = arm.arm;
    let goal = match &point.target {
        Some(Ok(target)) => format!("{} {}", metric_words(comparison), metric_value(target.value)),
        _ => "the target".to_owned(),
    };
    let measured = measured(speedup, seconds);
    let seeds = match speedup.pairing {
        Pairing::Paired { n: 1 } => "1 seed".to_owned(),
        Pairing::Paired { n } => format!("{n} seeds"),
        Pairing::Unpaired { baseline, candidate } => format!("{baseline} and {candidate} unpaired seeds"),
    };
    let reached = || {
        let count = |arm: &ArmComparison| {
            let known = arm.count(|run| !run.curve.is_empty() || run.diverged());
            format!("{} of {known}", arm.reached.unwrap_or(0))
        };
        let of_reference = point.arms.iter().find(|arm| arm.arm == reference).map_or("none".to_owned(), count);
        format!("{} of its runs and {of_reference} of {reference}'s reached it", count(arm))
    };
    match (speedup.verdict, speedup.estimate) {
        (Verdict::Faster, _) => format!("{name} reached {goal} sooner than {reference} at {seeds}: {measured}."),
        (Verdict::Slower, _) => format!("{name} reached {goal} later than {reference} at {seeds}: {measured}."),
        (Verdict::NotDistinguishable, _) => {
            format!("{name} is not distinguishable from {reference} at {seeds}: {measured}.")
        }
        (Verdict::TooCoarse, _) => {
            format!("{name} differs from {reference} by less than the evaluations resolve, at {seeds}: {measured}.")
        }
        (Verdict::OneSeed, _) => {
            format!("{name} and {reference} share a single seed, so there is no interval: {measured}.")
        }
        // A bound on these runs' mean; without an interval it says nothing about the methods.
        (_, Estimate::AtLeast(_) | Estimate::AtMost(_)) => {
            format!("{label}: {measured} to {goal}, a bound without an interval because {}.", reached())
        }
        (_, Estimate::Unknown(Unknown::NoneReached | Unknown::BothCensored | Unknown::NoBound)) => {
            format!("{label}: no speedup to {goal}, because {}.", reached())
        }
        (_, Estimate::Unknown(unknown)) => format!("{label}: {}.", unknown_words(unknown)),
        (Verdict::Bounded | Verdict::Unknown, Estimate::Measured { .. }) => {
            unreachable!("a measured speedup has its own verdict")
        }
    }
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
                Verdict::Faster => "sooner",
                Verdict::Slower => "later",
                Verdict::NotDistinguishable => "not distinguishable",
                Verdict::TooCoarse => "closer than the evaluations resolve",
                Verdict::OneSeed | Verdict::Bounded | Verdict::Unknown => "not decided",
            };
            format!("{first}, but {verdict} with {}", clause(seconds, Cost::TrainSeconds))
        }
    }
}

/// Where the study's target gives no number: the answer at the strictest target that every run reached.
fn at_common_target(comparison: &Comparison, contrast: &Contrast, reference: &str) -> Option<String> {
    if matches!(contrast.speedups[0].as_ref().ok()?.estimate, Estimate::Measured { .. }) {
        return None;
    }
    let (target, speedups) = contrast.common.as_ref()?;
    let images = speedups.first()?.as_ref().ok()?;
    let verdict = match images.verdict {
        Verdict::Faster => "it was sooner".to_owned(),
        Verdict::Slower => "it was later".to_owned(),
        Verdict::NotDistinguishable => format!("it is not distinguishable from {reference}"),
        Verdict::TooCoarse => format!("it differs from {reference} by less than the evaluations resolve"),
        Verdict::OneSeed => "there is a single seed and no interval".to_owned(),
        Verdict::Bounded | Verdict::Unknown => return None,
    };
    let goal = format!("{} {}", metric_words(comparison), metric_value(*target));
    Some(format!(
        "At {goal}, the best that every run of both reached, {verdict}: {}.",
        measured(images, speedups.get(1)?)
    ))
}

/// `1.42× in training images (95 % interval 1.20× to 1.68×)`.
fn clause(speedup: &Speedup, cost: Cost) -> String {
    let words = cost.words();
    match speedup.estimate {
        Estimate::Measured { speedup: ratio, interval, resolution } => {
            let interval = match (speedup.verdict, interval) {
                (Verdict::TooCoarse, _) => {
                    format!(" (the evaluations leave open {} to {})", times(resolution.low), times(resolution.high))
                }
                (_, Some(interval)) => format!(" (95 % interval {} to {})", times(interval.low), times(interval.high)),
                (_, None) => String::new(),
            };
            format!("{} in {words}{interval}", times(ratio))
        }
        Estimate::AtLeast(bound) => format!("at least {} in {words}", times(bound)),
        Estimate::AtMost(bound) => format!("at most {} in {words}", times(bound)),
        Estimate::Unknown(unknown) => format!("{words}: {}", unknown_words(unknown)),
    }
}

fn unknown_words(unknown: Unknown) -> &'static str {
    match unknown {
        Unknown::NoneReached => "no run reached the target",
        Unknown::BothCensored => "not all of either arm reached it",
        Unknown::NoBound => "not all reached it, and no bound follows",
        Unknown::NoTime => "an evaluation before any training was already at the target",
        Unknown::NoSeeds => "no seed to compare yet",
    }
}

fn no_speedup(none: &NoSpeedup) -> String {
    match none {
        NoSpeedup::IsBaseline => "this is the baseline".to_owned(),
        NoSpeedup::NoCompare => "no comparison: the sweep has no `compare` section".to_owned(),
        NoSpeedup::NoTarget(NoTarget { from, .. }) => format!("no target yet: no run of {from} has completed"),
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
