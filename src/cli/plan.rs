//! `speedlab plan`: the runs of a sweep, their time, memory and disk, and which are done; changes nothing.

use std::collections::{BTreeMap, HashMap};

use clap::Args;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::json;

use super::device_args::DeviceArgs;
use super::seed_args::SeedArgs;
use super::table::{bytes, new_table};
use super::{DataArgs, Exit, SweepArgs, print_text};
use crate::event::SharedSteps;
use crate::plan::{self, RunCost};
use crate::record::{PlanFile, RunRecord, StudyRecord, SweepFolder};
use crate::report::number::{duration, grouped};
use crate::spec::{Plan, PlannedRun, RunId};
use crate::study::{Calibration, ChosenDevices, Estimator, Sharing, image_notes, plan_notes, sensitivity};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = examples_and_presets())]
pub struct PlanArgs {
    #[command(flatten)]
    sweep: SweepArgs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    devices: DeviceArgs,
    #[command(flatten)]
    seeds: SeedArgs,
    /// Print one JSON value
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  speedlab plan sweeps/quickstart.yaml
  speedlab plan sweeps/quickstart.yaml --set seeds=10
  speedlab plan sweeps/quickstart.yaml --json | jq '.runs[].run.run_id'";

/// The end of `--help`; `-h` leaves out the presets.
fn examples_and_presets() -> String {
    let mut text = format!(
        "{EXAMPLES}\n\nPublished architectures, written `model: {{ preset: NAME }}`. Keys beside `preset` change the architecture:"
    );
    let longest = plan::PRESETS.iter().map(|preset| preset.name.len()).max().unwrap_or(0);
    for preset in plan::PRESETS {
        text.push_str(&format!("\n  {:longest$}  {}", preset.name, preset.source));
    }
    text
}

/// The version of `plan --json`.
const PLAN_JSON_VERSION: u32 = 1;

/// The longest table that is shown.
const MOST_TRIALS_SHOWN: usize = 200;

/// The most lines about runs that begin from others.
const MOST_SHARED_SHOWN: usize = 20;

/// The number of runs that are made text at the same time.
const RUNS_AT_ONCE: usize = 4096;

/// One run of the plan as it stands.
struct Row<'p> {
    run: &'p PlannedRun,
    cost: RunCost,
    /// (training, evaluation), where that is known.
    seconds: Option<(f64, f64)>,
    done: bool,
    /// What it begins from in the place of training it.
    shared_from: Option<SharedSteps>,
}

impl Row<'_> {
    /// Zero where nothing is known.
    fn all_seconds(&self) -> f64 {
        self.seconds.map_or(0.0, |(train, eval)| train + eval)
    }
}

pub fn plan(args: &PlanArgs) -> anyhow::Result<Exit> {
    let (plan, folder) = args.seeds.plan(&args.sweep)?;
    show(&plan, &folder, &args.devices.choose(None, &plan)?, &args.data, true, args.json)
}

pub(super) fn show(
    plan: &Plan,
    folder: &SweepFolder,
    chosen: &ChosenDevices,
    data: &DataArgs,
    shares: bool,
    json: bool,
) -> anyhow::Result<Exit> {
    let study = PlanFile::read(folder)?.map(|_| StudyRecord::read(folder)).transpose()?;
    let device = chosen.devices.first().expect("there is at least the CPU");
    let slots: usize = chosen.devices.iter().map(|device| device.slots).sum();
    let data_folder = data.folder()?;
    let has_run = study.iter().flat_map(|study| &study.runs).any(|run| !run.rows.is_empty());
    let calibration = (!has_run && device.name == "cpu").then(|| Calibration::of_cpu(device, &data_folder)).flatten();
    let estimator = Estimator::new(study.as_ref(), calibration, device.threads);
    let sharing = match shares {
        true => {
            let records = study.iter().flat_map(|study| &study.runs).map(|run| (&run.planned.run_id, run));
            let records: HashMap<&RunId, &RunRecord> = records.collect();
            Sharing::of_plan(&plan.runs, folder, |run_id| records.get(run_id).copied())?
        }
        false => Sharing::default(),
    };
    let mut rows = Vec::with_capacity(plan.runs.len());
    let anything_ran = folder.path.join("runs").is_dir();
    for run in &plan.runs {
        let done = anything_ran && folder.run(&run.run_id).has_ended();
        let trained_share = sharing.trained_share(run);
        let seconds = estimator.seconds(&run.spec).map(|(train, eval)| (train * trained_share, eval * trained_share));
        let shared_from = sharing.of(&run.run_id).cloned();
        rows.push(Row { run, cost: estimator.cost(&run.spec), seconds, done, shared_from });
    }
    let seconds: f64 = rows.iter().filter(|row| !row.done).map(Row::all_seconds).sum();
    // A sum of nothing is -0.
    let seconds_left = (seconds / slots as f64).max(0.0);
    let mut notes: Vec<String> = chosen.note.iter().cloned().collect();
    notes.extend(image_notes(plan, folder, &data_folder));
    notes.extend(plan_notes(plan));
    let effect = sensitivity(plan, study.as_ref(), folder.path.parent().unwrap_or(&folder.path));
    if json {
        let value = json!({
            "version": PLAN_JSON_VERSION,
            "name": plan.name,
            "question": plan.question,
            "arms": plan.arms,
            "axes": plan.axes,
            "seeds": plan.seeds,
            "until_decided": plan.until_decided,
            "compare": plan.compare,
            "device": { "name": chosen.words, "runs_at_once": slots, "threads_per_run": device.threads },
            "estimate": {
                "seconds_left": seconds_left,
                "least_seconds_left": estimator.spread.map(|(least, _)| least * seconds_left),
                "most_seconds_left": estimator.spread.map(|(_, most)| most * seconds_left),
                "basis": estimator.basis(plan),
            },
            "effect": effect,
            "notes": notes,
        });
        print_with_runs(&value, &rows)?;
        return Ok(Exit::AllDone);
    }
    print_table(plan, &rows)?;
    let done = rows.iter().filter(|row| row.done).count();
    let most_memory = rows.iter().map(|row| row.cost.memory_bytes).fold(0.0, f64::max);
    let disk: f64 = rows.iter().map(|row| row.cost.disk_bytes).sum();
    out!("");
    let spread = estimator.spread.map_or_else(String::new, |(least, most)| {
        format!(" ({} to {})", duration(least * seconds_left), duration(most * seconds_left))
    });
    out!("{} runs, {done} done; about {}{spread} to go", rows.len(), duration(seconds_left));
    out!(
        "device    {}: {} at once, {} thread{} each; about {} of memory",
        chosen.words,
        slots,
        device.threads,
        if device.threads == 1 { "" } else { "s" },
        bytes(most_memory * slots as f64),
    );
    if let Some(most) = most_runs(plan) {
        let rule = plan.until_decided.as_ref().expect("there are more runs by a rule");
        let per_run = rows.iter().map(Row::all_seconds).sum::<f64>() / rows.len() as f64;
        out!(
            "seeds     added until it is decided, {} at most: that would be {most} runs and {} in all",
            rule.seeds.len(),
            duration(per_run * most as f64 / slots as f64)
        );
    }
    for line in shared_lines(&rows) {
        out!("shared    {line}");
    }
    out!("disk      about {} under {}", bytes(disk), folder.path.display());
    out!("estimate  from {}", estimator.basis(plan));
    if let Some(effect) = effect {
        out!("effect    {effect}");
    }
    for note in notes {
        out!("note      {note}");
    }
    Ok(Exit::AllDone)
}

/// A line for each trial whose runs begin from those of another: `anneal-20 begins at step 800 of 1,000 from steady (3 runs)`.
fn shared_lines(rows: &[Row]) -> Vec<String> {
    let runs: HashMap<&RunId, &PlannedRun> = rows.iter().map(|row| (&row.run.run_id, row.run)).collect();
    let mut counts: BTreeMap<(usize, &str, u64), usize> = BTreeMap::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for row in rows {
        let next = places.len();
        let place = *places.entry(&row.run.trial).or_insert(next);
        let Some(shared) = &row.shared_from else { continue };
        *counts.entry((place, &runs[&shared.run_id].trial, shared.step)).or_default() += 1;
    }
    let all: usize = counts.values().sum();
    let trials: HashMap<usize, &PlannedRun> =
        rows.iter().map(|row| (places[row.run.trial.as_str()], row.run)).collect();
    let line = |((place, from, step), runs): ((usize, &str, u64), usize)| {
        let PlannedRun { trial, spec, .. } = trials[&place];
        let (step, steps) = (grouped(step), grouped(spec.train.steps));
        let count = if runs == 1 { "1 run".to_owned() } else { format!("{} runs", grouped(runs as u64)) };
        format!("{trial} begins at step {step} of {steps} from the state of {from}, which trains them alike ({count})")
    };
    let lines = counts.len();
    let mut shown: Vec<String> = counts.into_iter().take(MOST_SHARED_SHOWN).map(line).collect();
    if lines > MOST_SHARED_SHOWN {
        shown.push(format!("and more, {} runs in all; --json lists them all", grouped(all as u64)));
    }
    shown
}

/// The runs if no comparison is decided before the last look; `None` for fixed seeds.
fn most_runs(plan: &Plan) -> Option<usize> {
    let rule = plan.until_decided.as_ref()?;
    let first = plan.runs.iter().filter(|run| run.seed == rule.seeds[0]).count();
    Some(first * rule.seeds.len())
}

/// A line for each trial.
fn print_table(plan: &Plan, rows: &[Row]) -> anyhow::Result<()> {
    out!("{}: {}\n", plan.name, plan.question);
    let mut table = new_table(["trial", "parameters", "steps", "seeds", "time a run", "memory", "disk a run", "done"]);
    let mut shown: Vec<&str> = Vec::new();
    let mut by_trial: std::collections::BTreeMap<&str, Vec<&Row>> = std::collections::BTreeMap::new();
    for row in rows {
        let trial = by_trial.entry(&row.run.trial).or_default();
        if trial.is_empty() {
            shown.push(&row.run.trial);
        }
        trial.push(row);
    }
    for trial in shown.iter().take(MOST_TRIALS_SHOWN) {
        let runs = &by_trial[*trial];
        let Row { run, cost, seconds, .. } = runs[0];
        let done = runs.iter().filter(|row| row.done).count();
        // Nobody knows what a trainer of one's own needs.
        let known = |text: String| if run.spec.trainer.is_some() { "–".to_owned() } else { text };
        table.add_row([
            (*trial).to_owned(),
            known(grouped(cost.parameters as u64)),
            run.spec.train.steps.to_string(),
            runs.len().to_string(),
            seconds.map_or_else(|| "–".to_owned(), |(train, eval)| duration(train + eval)),
            known(bytes(cost.memory_bytes)),
            known(bytes(cost.disk_bytes)),
            format!("{done}/{}", runs.len()),
        ]);
    }
    out!("{table}");
    if shown.len() > MOST_TRIALS_SHOWN {
        out!(" .. and {} more trials; --json lists them all", grouped((shown.len() - MOST_TRIALS_SHOWN) as u64));
    }
    Ok(())
}

/// Prints one JSON value: `head`, a map, with the runs as its last key. As values, those of a large grid would take gigabytes.
fn print_with_runs(head: &serde_json::Value, rows: &[Row]) -> anyhow::Result<()> {
    let head = head.to_string();
    print_text(&format!("{},\"runs\":[", head.strip_suffix('}').expect("it is a map")))?;
    for (index, rows) in rows.chunks(RUNS_AT_ONCE).enumerate() {
        let texts: Vec<String> = rows.par_iter().map(to_json).collect();
        print_text(&format!("{}{}", if index == 0 { "" } else { "," }, texts.join(",")))?;
    }
    out!("]}}");
    Ok(())
}

fn to_json(row: &Row) -> String {
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Cost {
        All(RunCost),
        /// Of a trainer of the user's own nothing else is known.
        Times {
            train_seconds: f64,
            eval_seconds: f64,
        },
    }
    #[derive(Serialize)]
    struct Run<'r> {
        run: &'r PlannedRun,
        done: bool,
        cost: Option<Cost>,
        /// The run, and how many of its first steps, that this one begins from.
        #[serde(skip_serializing_if = "Option::is_none")]
        shared_from: Option<&'r SharedSteps>,
    }
    let cost = match (&row.run.spec.trainer, row.seconds) {
        (None, _) => Some(Cost::All(row.cost)),
        (Some(_), times) => times.map(|(train_seconds, eval_seconds)| Cost::Times { train_seconds, eval_seconds }),
    };
    serde_json::to_string(&Run { run: row.run, done: row.done, cost, shared_from: row.shared_from.as_ref() })
        .expect("plain data, which JSON can hold")
}
