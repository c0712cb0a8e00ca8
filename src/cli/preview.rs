//! `speedlab preview`: what every arm will do with timesteps, loss weights, beta1 and learning rate, before anything is trained.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;

use super::{Exit, SweepArgs};
use crate::diffusion::{ForwardProcess, loss_weights, timestep_sampler};
use crate::optim;
use crate::plan;
use crate::record::write_beside;
use crate::report::{self, write_preview};
use crate::spec::{Plan, PlannedRun, RunSpec, Trainer};

#[derive(Debug, Args)]
#[command(after_help = "\
A line of blocks is a curve over the timesteps, from the least noisy (left) to noise (right), or over the steps of the run.
Densities are multiples of the uniform density. Loss weights apply to the squared error of what the network predicts.

Examples:
  speedlab preview sweeps/quickstart.yaml
  speedlab preview sweeps/quickstart.yaml --set train.steps=100000
  speedlab preview sweeps/quickstart.yaml --out drawings
  speedlab preview sweeps/quickstart.yaml --json | jq '.trials[] | {trial, beta1: .beta1[-1]}'")]
pub struct PreviewArgs {
    #[command(flatten)]
    sweep: SweepArgs,
    /// Print one JSON value: arrays for each trial
    #[arg(long)]
    json: bool,
    /// Write drawings into this folder: preview.svg and preview.png (more pages for many trials), and preview.json with the
    /// numbers
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// The version of `preview --json`.
const PREVIEW_JSON_VERSION: u32 = 1;
/// The most steps, and the most timesteps, that are given.
const MOST_STEPS: u64 = 201;
const MOST_TIMESTEPS: usize = 1000;
/// Densities are shown at 0, 25, 50, 75 and 100 % of training, as they are recorded.
const QUARTERS: u64 = 4;
/// Blocks in a line.
const BLOCKS: usize = 50;

#[derive(Serialize)]
struct Preview<'p> {
    version: u32,
    name: &'p str,
    trials: Vec<TrialPreview<'p>>,
}

/// The preview of one trial; seeds do not change it.
#[derive(Serialize)]
struct TrialPreview<'p> {
    trial: &'p str,
    arm: &'p str,
    timestep_sampler: &'static str,
    loss_weighting: &'static str,
    parameterization: &'static str,
    /// Steps of the run, from the first update to the last.
    step: Vec<u64>,
    /// beta1 of the update at each `step`.
    beta1: Vec<f64>,
    /// The learning rate of the update at each `step`, with warm-up.
    learning_rate: Vec<f64>,
    /// T.
    timesteps: usize,
    /// Timesteps, the least noisy first; all of them up to 1000.
    t: Vec<u32>,
    densities: Vec<Density>,
    /// Whether the density depends on the losses, so that only the first density is known beforehand.
    adaptive: bool,
    /// lambda(t) at each `t`, without importance weights: of the last step.
    loss_weight: Vec<f64>,
    /// The loss weights of the first step, where they differ from those of the last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    loss_weight_at_first: Vec<f64>,
}

/// How likely each timestep is, at one time of the run.
#[derive(Serialize)]
struct Density {
    /// Percent of the planned steps.
    percent: u64,
    step: u64,
    /// The probability of each `t`; all T of them sum to 1.
    probability: Vec<f64>,
    /// In times the uniform density, by equally wide bins of t.
    #[serde(skip)]
    relative: Vec<f64>,
}

pub fn preview(args: &PreviewArgs) -> anyhow::Result<Exit> {
    let plan = plan::load_sweep(&args.sweep.sweep, &args.sweep.overrides)?;
    let mut trials: Vec<&PlannedRun> = Vec::new();
    // What a program of the user's own draws is its own matter; the one in PyTorch that comes along draws what Speedlab does.
    let is_known = |run: &&PlannedRun| run.spec.trainer.as_ref().is_none_or(Trainer::is_torch);
    if !plan.runs.iter().any(|run| is_known(&run)) {
        bail!(
            "every run is trained by a program of your own: what it draws and how it sets rates cannot be known beforehand\n\
             hint: `speedlab plan` shows its runs, and `speedlab report` its curves"
        );
    }
    for run in plan.runs.iter().filter(is_known) {
        if !trials.iter().any(|seen| seen.trial == run.trial) {
            trials.push(run);
        }
    }
    let trials = trials.into_iter().map(of_trial).collect();
    let preview = Preview { version: PREVIEW_JSON_VERSION, name: &plan.name, trials };
    let json = serde_json::to_string(&preview)?;
    let drawn = args.out.as_ref().map(|folder| draw(&plan, &preview, &json, folder)).transpose()?;
    if args.json {
        out!("{json}");
        return Ok(Exit::AllDone);
    }
    out!("{}", preview.trials.iter().map(as_text).collect::<Vec<_>>().join("\n"));
    for path in drawn.iter().flatten() {
        out!("{}", path.display());
    }
    Ok(Exit::AllDone)
}

/// Writes the drawings and the numbers; returns where.
fn draw(plan: &Plan, preview: &Preview, json: &str, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let arm = |name: &str| plan.arms.iter().position(|arm| arm == name);
    let drawn = |trial: &TrialPreview| {
        let over = |values: &[f64]| trial.step.iter().map(|&step| step as f64).zip(values.iter().copied()).collect();
        let shares: Vec<f64> = trial.t.iter().map(|&t| (f64::from(t) + 0.5) / trial.timesteps as f64).collect();
        let density = |density: &Density| {
            let relative = density.probability.iter().map(|probability| probability * trial.timesteps as f64);
            report::DensityPreview {
                percent: density.percent,
                relative: shares.iter().copied().zip(relative).collect(),
            }
        };
        report::TrialPreview {
            name: trial.trial.to_owned(),
            words: format!(
                "predicts {}, timesteps {}, loss weights {}",
                trial.parameterization, trial.timestep_sampler, trial.loss_weighting
            ),
            arm: arm(trial.arm).expect("a trial is of one of the plan's arms"),
            densities: trial.densities.iter().map(density).collect(),
            adaptive: trial.adaptive,
            loss_weight: shares.iter().copied().zip(trial.loss_weight.iter().copied()).collect(),
            beta1: over(&trial.beta1),
            learning_rate: over(&trial.learning_rate),
        }
    };
    let trials: Vec<report::TrialPreview> = preview.trials.iter().map(drawn).collect();
    let baseline = plan.compare.as_ref().and_then(|compare| arm(&compare.baseline));
    let mut paths = write_preview(preview.name, &trials, baseline, folder)?;
    let numbers = folder.join("preview.json");
    write_beside(&numbers, format!("{json}\n").as_bytes())?;
    paths.push(numbers);
    Ok(paths)
}

fn of_trial(run: &PlannedRun) -> TrialPreview<'_> {
    let spec = &run.spec;
    let process = ForwardProcess::new(&spec.noise_schedule);
    let (timesteps, steps) = (process.timesteps(), spec.train.steps);
    let step = evenly(steps, MOST_STEPS);
    let t: Vec<u32> = evenly(timesteps as u64, MOST_TIMESTEPS as u64).into_iter().map(|t| t as u32).collect();
    let loss_weight = |step: u64| -> Vec<f64> {
        let weights = loss_weights(&spec.loss_weighting, spec.parameterization, &process, step);
        t.iter().map(|&t| weights[t as usize]).collect()
    };
    let warms_up = spec.loss_weighting.settles_at() > 0;
    let (densities, adaptive) = densities(spec, &t);
    TrialPreview {
        trial: &run.trial,
        arm: &run.arm,
        timestep_sampler: spec.timestep_sampler.kind(),
        loss_weighting: spec.loss_weighting.kind(),
        parameterization: spec.parameterization.name(),
        beta1: step.iter().map(|&step| optim::beta1(spec, step)).collect(),
        learning_rate: step.iter().map(|&step| optim::learning_rate(spec, step)).collect(),
        step,
        timesteps,
        loss_weight: loss_weight(steps - 1),
        loss_weight_at_first: if warms_up { loss_weight(0) } else { vec![] },
        t,
        densities,
        adaptive,
    }
}

fn densities(spec: &RunSpec, t: &[u32]) -> (Vec<Density>, bool) {
    let sampler = timestep_sampler(spec);
    let adaptive = sampler.observes_losses();
    let known = if adaptive { 0..=0 } else { 0..=QUARTERS };
    let density = |quarter: u64| {
        // In 128 bits, as the planned steps may be many.
        let step = (u128::from(spec.train.steps) * u128::from(quarter) / u128::from(QUARTERS)) as u64;
        let probabilities = sampler.probabilities(step);
        Density {
            percent: 100 * quarter / QUARTERS,
            step,
            probability: t.iter().map(|&t| probabilities[t as usize]).collect(),
            relative: sampler.density(step, BLOCKS).iter().map(|share| share * BLOCKS as f64).collect(),
        }
    };
    (known.map(density).collect(), adaptive)
}

/// At most `most` of 0..count, evenly spaced, the first and the last among them.
fn evenly(count: u64, most: u64) -> Vec<u64> {
    if count <= most {
        return (0..count).collect();
    }
    let position = |index: u64| (u128::from(index) * u128::from(count - 1) / u128::from(most - 1)) as u64;
    (0..most).map(position).collect()
}

fn as_text(trial: &TrialPreview) -> String {
    let mut text = format!(
        "{}\n  predicts {}, timesteps {}, loss weights {}\n",
        trial.trial, trial.parameterization, trial.timestep_sampler, trial.loss_weighting
    );
    let most = trial.densities.iter().flat_map(|density| &density.relative).copied().fold(1.0, f64::max);
    let mut first = 0;
    for (index, density) in trial.densities.iter().enumerate() {
        // What no longer changes is one line from when to when.
        let next = trial.densities.get(index + 1);
        if next.is_some_and(|next| same(&next.relative, &density.relative)) {
            continue;
        }
        let from = trial.densities[first].percent;
        first = index + 1;
        let when = match from {
            from if from == density.percent => format!("{from} %"),
            from => format!("{from}-{} %", density.percent),
        };
        let when = if trial.adaptive { "at first".to_owned() } else { when };
        text.push_str(&line(&format!("p(t) {when}"), &blocks(&density.relative, most), &range(&density.relative, "x")));
    }
    if trial.adaptive {
        text.push_str("  then p(t) follows the losses, which are not known beforehand\n");
    }
    if !trial.loss_weight_at_first.is_empty() {
        let at_first = &trial.loss_weight_at_first;
        text.push_str(&curve("weight at 0 %", at_first, range(at_first, "")));
    }
    text.push_str(&curve("loss weight", &trial.loss_weight, range(&trial.loss_weight, "")));
    text.push_str(&curve("beta1", &trial.beta1, path(&trial.beta1)));
    text.push_str(&curve("learning rate", &trial.learning_rate, path(&trial.learning_rate)));
    text
}

fn curve(label: &str, values: &[f64], words: String) -> String {
    let most = values.iter().copied().fold(0.0, f64::max);
    let shown: Vec<f64> =
        evenly(values.len() as u64, BLOCKS as u64).into_iter().map(|index| values[index as usize]).collect();
    line(label, &blocks(&shown, most), &words)
}

fn line(label: &str, blocks: &str, words: &str) -> String {
    format!("  {label:<14} {blocks:<BLOCKS$}  {words}\n")
}

/// A block for each value, from empty at 0 to full at `most`.
fn blocks(values: &[f64], most: f64) -> String {
    const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let height = |value: &f64| {
        let share = if most > 0.0 { value / most } else { 0.0 };
        // What is not nothing is seen.
        HEIGHTS[((share * 8.0).round() as usize).clamp(usize::from(*value > 0.0), 8)]
    };
    values.iter().map(height).collect()
}

fn range(values: &[f64], unit: &str) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if same(&[least], &[most]) {
        format!("{}{unit}", short(most))
    } else {
        format!("{} to {}{unit}", short(least), short(most))
    }
}

fn path(values: &[f64]) -> String {
    let (first, last) = (values[0], values[values.len() - 1]);
    if values.iter().all(|value| *value == first) {
        short(first)
    } else {
        format!("{} at first, {} at last", short(first), short(last))
    }
}

/// Three digits.
fn short(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e4).contains(&value.abs()) { format!("{value:.2e}") } else { format!("{value:.3}") }
}

fn same(first: &[f64], second: &[f64]) -> bool {
    first.iter().zip(second).all(|(first, second)| (first - second).abs() <= 1e-9 * first.abs().max(second.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::plan_text;
    use crate::spec::Plan;

    fn plan_of(text: &str) -> Plan {
        plan_text(std::path::Path::new("sweep.yaml"), text, &[]).unwrap()
    }

    #[test]
    fn a_preview_gives_the_paths_that_training_will_take() {
        let plan = plan_of(
            "base: { train: { steps: 1000 } }
arms:
  baseline: {}
  both:
    timestep_sampler: { kind: curriculum }
    momentum: { kind: demon }
    lr_schedule: { kind: momentum_compensated }
    loss_weighting: { kind: min_snr }
",
        );
        let both = of_trial(plan.runs.iter().find(|run| run.arm == "both").unwrap());
        assert_eq!((both.step[0], both.step.len(), *both.step.last().unwrap()), (0, 201, 999));
        assert!((both.beta1[0] - 0.9).abs() < 1e-15 && *both.beta1.last().unwrap() < 0.01);
        assert!((both.learning_rate[200] / 1e-3 - (1.0 - 0.9 * 0.999)).abs() < 1e-9);
        assert_eq!(both.densities.iter().map(|density| density.step).collect::<Vec<_>>(), [0, 250, 500, 750, 1000]);
        for density in &both.densities {
            assert!((density.probability.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
        // The table of CLTS: at t/T = 0.3 it comes to 1.60 times the uniform density.
        assert!((1000.0 * both.densities[4].probability[300] - 1.60).abs() < 0.005);
        assert!((both.loss_weight[999] - 1.0).abs() < 1e-12);
        let text = as_text(&both);
        assert!(text.contains("p(t) 0 %") && text.contains("p(t) 50-100 %"), "{text}");
        assert!(text.contains("0.900 at first"), "{text}");

        let baseline = as_text(&of_trial(&plan.runs[0]));
        assert!(baseline.contains("p(t) 0-100 %") && baseline.contains("1.000x"), "{baseline}");
        let width = |line: &str| line.chars().filter(|character| "▁▂▃▄▅▆▇█".contains(*character)).count();
        assert_eq!(baseline.lines().map(width).max(), Some(BLOCKS));
    }

    #[test]
    fn long_and_short_runs_are_sampled_at_both_ends() {
        assert_eq!(evenly(3, 5), [0, 1, 2]);
        assert_eq!(evenly(9, 5), [0, 2, 4, 6, 8]);
        assert_eq!(evenly(1 << 40, 2), [0, (1 << 40) - 1]);
    }

    #[test]
    fn blocks_are_as_high_as_their_values() {
        assert_eq!(blocks(&[0.0, 1e-9, 0.5, 1.0], 1.0), " ▁▄█");
        assert_eq!(blocks(&[0.0, 0.0], 0.0), "  ");
    }
}
