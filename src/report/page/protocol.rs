//! What was trained and how it was measured, from the specs alone.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::Value;

use crate::report::comparison::Comparison;
use crate::report::number::grouped;
use crate::report::settings::known;
use crate::spec::{EvaluatedWeights, Plan, RunSpec, Trainer};

/// How fast the runs were: where equal work takes unequal time, times say less.
fn speed_range(comparison: &Comparison) -> Option<String> {
    let runs = comparison.points.iter().flat_map(|point| &point.arms).flat_map(|arm| &arm.runs);
    let mut speeds: Vec<f64> = runs.filter_map(|run| run.seconds_per_thousand_images()).collect();
    speeds.sort_unstable_by(f64::total_cmp);
    let (first, last) = (speeds.first()?, speeds.last()?);
    let middle = speeds[speeds.len() / 2];
    Some(format!(
        "1,000 images took {middle:.2} s in the middle run, {first:.2} s to {last:.2} s over all runs; how much runs of one arm differ \
         widens every interval in time."
    ))
}

pub fn protocol(comparison: &Comparison) -> Markup {
    let plan = &comparison.study.plan;
    let Some(first) = plan.runs.first() else { return html! { p { "The plan has no runs." } } };
    let is_own = is_own(plan);
    let protocols = comparison.protocols();
    let train = &first.spec.train;
    let seeds: Vec<String> = plan.seeds.iter().map(u64::to_string).collect();
    let (shared, differing) = settings(comparison);
    let weights = match first.spec.evaluate.weights {
        EvaluatedWeights::Averaged => "averaged",
        EvaluatedWeights::Raw => "raw",
        EvaluatedWeights::Both => "averaged and with raw",
        EvaluatedWeights::Own => "each run's own averaged",
    };
    html! {
        dl {
            dt { "Seeds" } dd { (seeds.join(", ")) }
            dt { "Length" } dd { (grouped(train.steps)) " steps of " (train.batch_words()) ", " (grouped(train.images_after(train.steps))) " images in all"
                @if differing.iter().any(|(key, _)| key.starts_with("train.")) { " (where an arm or grid point does not say otherwise)" } }
            @if is_own { dt { "Measured" } dd { "every " (grouped(first.spec.evaluate.every)) " steps, with " (weights) " weights, off the training clock" } }
            @for (index, protocol) in protocols.iter().enumerate() {
                dt { (comparison.metric.name()) " protocol" @if protocols.len() > 1 { " " (index + 1) } } dd { code { (protocol) } }
            }
            @for Others { arms, trainer, inputs } in others(comparison) {
                @if trainer.is_import() {
                    dt { "Imported" } dd {
                        "Every value was read from " code { (trainer.command[2..].join(" ")) } (inputs)
                        ". That source decides how it was measured, what its clock counts and whether runs of one seed are paired."
                    }
                } @else if trainer.is_torch() {
                    dt { "Trained by" } dd {
                        (arms) ": PyTorch, by the trainer that comes with Speedlab (" (inputs) "). It draws the same initial weights, batches, noises and \
                         timesteps, and generates images by the same ODE sampler from the same noise. Speedlab measures the images."
                    }
                } @else {
                    dt { "Trained by" } dd {
                        (arms) ": " code { (trainer.in_words()) } @if !inputs.is_empty() { ", with " (inputs) } ". "
                        "That program states its training time, and decides whether runs of one seed are paired. A value whose protocol \
                         begins with “measured by its trainer” is that program's own. Speedlab measures all others, from images."
                    }
                }
            }
            @if is_own { dt { "Pairing" } dd {
                "Runs with one seed share initial weights (for one architecture), batch order, noise and the uniform numbers that timesteps are \
                 drawn from; evaluation starts from the same noise in every run."
            } }
            @if is_own { dt { "Time" } dd {
                code { "train_seconds" } " counts training alone: the clock stands still during evaluation and checkpoints, and goes on across a resume."
                @if let Some(range) = speed_range(comparison) { " " (range) }
            } }
            @if !plan.axes.is_empty() {
                dt { "Grid" } dd {
                    @for axis in &plan.axes {
                        code { (axis.path) } " = " (axis.values.iter().map(Value::to_string).collect::<Vec<_>>().join(", "))
                        @if plan.labels.axes.contains_key(&axis.path) {
                            ", called " (plan.labels.axis(&axis.path)) " = "
                            (axis.values.iter().map(|value| plan.labels.value(axis, value)).collect::<Vec<_>>().join(", "))
                        }
                        br;
                    }
                }
            }
        }
        h3 { "What differs between the arms" }
        @if differing.is_empty() { p { "Nothing." } } @else {
            div.wide {
                table {
                    thead { tr { th { "Setting" } @for arm in &plan.arms { th { (arm) } } } }
                    tbody {
                        @for (key, values) in &differing {
                            tr.first { th { code { (key) } } @for value in values { td { (value) } } }
                        }
                    }
                }
            }
        }
        h3 { "What they share" }
        p.mono {
            @for (index, (key, value)) in shared.iter().enumerate() { @if index > 0 { ", " } span.nowrap { (key) " = " (value) } }
        }
    }
}

/// Whether some runs are trained as Speedlab trains; of those that others trained, only they know how.
pub(super) fn is_own(plan: &Plan) -> bool {
    plan.runs.iter().any(|run| run.spec.trainer.as_ref().is_none_or(Trainer::is_torch))
}

/// Who else trained runs.
struct Others<'c> {
    arms: String,
    trainer: &'c Trainer,
    /// Its files with the first digits of their sums.
    inputs: String,
}

fn others<'c>(comparison: &'c Comparison) -> Vec<Others<'c>> {
    let mut found: Vec<(Vec<&str>, &Trainer)> = Vec::new();
    for run in &comparison.study.plan.runs {
        let Some(trainer) = &run.spec.trainer else { continue };
        match found.iter_mut().find(|(_, known)| *known == trainer) {
            Some((arms, _)) if arms.contains(&run.arm.as_str()) => {}
            Some((arms, _)) => arms.push(&run.arm),
            None => found.push((vec![&run.arm], trainer)),
        }
    }
    let inputs = |trainer: &Trainer| {
        let digits = |digest: &str| digest.chars().take(12).collect::<String>();
        if trainer.is_import() {
            return String::new();
        }
        let each = trainer.digests.iter().map(|(input, digest)| format!("{input} (SHA-256 {}…)", digits(digest)));
        each.collect::<Vec<_>>().join(", ")
    };
    found
        .into_iter()
        .map(|(arms, trainer)| Others { arms: arms.join(", "), trainer, inputs: inputs(trainer) })
        .collect()
}

type Differing = Vec<(String, Vec<String>)>;

/// Settings that all runs share, and those that do not with each arm's values (an axis of the grid: all of its values).
fn settings(comparison: &Comparison) -> (Vec<(String, String)>, Differing) {
    let plan = &comparison.study.plan;
    let mut arms: Vec<BTreeMap<String, Vec<String>>> = vec![BTreeMap::new(); plan.arms.len()];
    for run in &plan.runs {
        let Some(index) = plan.arms.iter().position(|arm| *arm == run.arm) else { continue };
        for (key, value) in settings_of(&run.spec) {
            let values = arms[index].entry(key).or_default();
            if !values.contains(&value) {
                values.push(value);
            }
        }
    }
    let mut keys: Vec<&String> = arms.iter().flat_map(BTreeMap::keys).collect();
    keys.sort_unstable();
    keys.dedup();
    let axes: Vec<&str> = plan.axes.iter().map(|axis| axis.path.as_str()).collect();
    let (mut shared, mut differing) = (Vec::new(), Vec::new());
    for key in keys.into_iter().filter(|key| !axes.contains(&key.as_str())) {
        let present: Vec<&Vec<String>> =
            arms.iter().filter(|arm| !arm.is_empty()).filter_map(|arm| arm.get(key)).collect();
        let everywhere = arms.iter().filter(|arm| !arm.is_empty()).all(|arm| arm.contains_key(key));
        if everywhere && present.iter().all(|values| values.len() == 1 && **values == *present[0]) {
            shared.push((key.clone(), present[0][0].clone()));
        } else {
            let cell =
                |arm: &BTreeMap<String, Vec<String>>| arm.get(key).map_or("–".to_owned(), |values| values.join(", "));
            differing.push((key.clone(), arms.iter().map(cell).collect()));
        }
    }
    (shared, differing)
}

/// (dotted key, value) of every setting that means something.
fn settings_of(spec: &RunSpec) -> impl Iterator<Item = (String, String)> {
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    known(spec).into_iter().map(move |(key, value)| (key, text(value)))
}
