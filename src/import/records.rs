//! A sweep that was trained elsewhere: its YAML, its frozen plan and the records of its runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::points::{Point, RunPoints};
use super::{ImportError, Points};
use crate::checksum::input_digest;
use crate::event::{EVENT_VERSION, Measure, Name, RunEvent, RunOutcome, Stamp, Started};
use crate::plan::plan_text;
use crate::record::{Journal, PlanFile, RunFolder, SweepFolder};
use crate::run::conclude;
use crate::spec::{FurtherMeasure, IMPORTED, Metric, PlannedRun};

/// What is wanted of an import.
pub struct Wanted<'w> {
    /// The file or folder that the points are of.
    pub table: &'w Path,
    /// Of the sweep.
    pub name: &'w str,
    pub question: &'w str,
    pub baseline: &'w str,
    pub metric: Metric,
    /// How values were measured, as far as the user knows.
    pub protocol: &'w str,
    /// What runs were trained on, likewise.
    pub device: &'w str,
    /// Images of a step where the source does not say how many were seen.
    pub batch_size: u64,
    /// The program that imports, with its version.
    pub program: &'w str,
}

/// What was made.
pub struct Imported {
    pub folder: SweepFolder,
    /// The sweep's YAML.
    pub sweep: PathBuf,
    pub runs: usize,
    pub values: usize,
    /// What a person should know of it.
    pub notes: Vec<String>,
}

/// Of a name that cannot be that of an arm.
const REPLACEMENT: char = '-';

/// Writes the sweep's folder below `results`, which must not hold one of that name.
pub fn import(points: &Points, wanted: &Wanted, results: &Path) -> Result<Imported, ImportError> {
    let mut notes = Vec::new();
    let arms = arm_names(points, &mut notes);
    let baseline = arms.get(wanted.baseline).ok_or_else(|| ImportError::NoBaseline {
        given: wanted.baseline.to_owned(),
        arms: crate::spec::quoted_list(arms.keys().map(String::as_str)),
    })?;
    let folder = SweepFolder::new(results, wanted.name);
    if folder.path.exists() {
        return Err(ImportError::Exists { path: folder.path });
    }
    if !points.has_images && wanted.batch_size == 1 {
        notes.push("the source does not say how many images were seen: steps stand for images; --batch-size says how many a step has".to_owned());
    }
    if !points.has_seconds {
        notes.push("the source has no clock: nothing is said of times".to_owned());
    }
    if points.not_numbers > 0 {
        notes.push(format!("{} cells are not a number (NaN): they are taken for not measured", points.not_numbers));
    }
    let values = points.runs.values().flat_map(RunPoints::values).flat_map(|point| point.values.values());
    let low = values.filter(|value| **value <= 0.0).count();
    if low > 0 {
        notes.push(format!(
            "{low} values are 0 or below, which have no logarithm: no speedup can be told of runs that have them"
        ));
    }
    notes.push("nothing is known of how runs were paired: a seed is what the source calls one".to_owned());
    let digest = input_digest(wanted.table)?;
    let text = sweep_text(points, wanted, &arms, baseline, &digest);
    let sweep = folder.path.join("sweep.yaml");
    let plan = plan_text(&sweep, &text, &[])?;
    let io = |source| ImportError::Io { path: folder.path.clone(), source };
    fs::create_dir_all(&folder.path).map_err(io)?;
    fs::write(&sweep, &text).map_err(io)?;
    let now = jiff::Timestamp::now().to_string();
    PlanFile::freeze(&folder, &plan, wanted.program, &now, &format!("(imported from {})", wanted.table.display()))?;
    let mut values = 0;
    for run in &plan.runs {
        let name = arms.iter().find(|(_, safe)| **safe == run.arm).map(|(name, _)| name.clone()).unwrap_or_default();
        let Some(known) = points.runs.get(&(name, run.seed)) else { continue };
        values += known.values().map(|point| point.values.len()).sum::<usize>();
        write_run(&folder.run(&run.run_id), run, known, wanted, &now)?;
    }
    Ok(Imported { folder, sweep, runs: plan.runs.len(), values, notes })
}

/// By name as the source has it, a name that an arm may have.
fn arm_names(points: &Points, notes: &mut Vec<String>) -> BTreeMap<String, String> {
    let names: BTreeSet<&String> = points.runs.keys().map(|(arm, _)| arm).collect();
    let mut safe_names: BTreeMap<String, String> = BTreeMap::new();
    for name in names {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
        let safe: String = name.chars().map(|c| if fits(c) { c } else { REPLACEMENT }).take(56).collect();
        let safe =
            safe.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '+').trim_start_matches('+').to_owned();
        let safe = if safe.is_empty() { "arm".to_owned() } else { safe };
        let is_taken = |candidate: &str| safe_names.values().any(|other| other == candidate);
        let unique = (1..).map(|number| if number == 1 { safe.clone() } else { format!("{safe}-{number}") });
        let unique = unique.into_iter().find(|candidate| !is_taken(candidate)).expect("there is always a next number");
        if unique != *name {
            notes.push(format!("the arm `{name}` is called `{unique}`"));
        }
        safe_names.insert(name.clone(), unique);
    }
    safe_names
}

/// The sweep as YAML, whose values are JSON, which YAML reads.
fn sweep_text(
    points: &Points,
    wanted: &Wanted,
    arms: &BTreeMap<String, String>,
    baseline: &str,
    digest: &str,
) -> String {
    let last_step = |arm: &str| {
        let runs = points.runs.iter().filter(|((name, _), _)| name == arm);
        runs.filter_map(|(_, run)| run.keys().next_back().copied()).max().unwrap_or(1).max(1)
    };
    let seeds: BTreeSet<u64> = points.runs.keys().map(|(_, seed)| *seed).collect();
    let mut gaps: Vec<u64> =
        points.runs.values().flat_map(|run| run.keys().zip(run.keys().skip(1)).map(|(one, next)| next - one)).collect();
    gaps.sort_unstable();
    let every = gaps.get(gaps.len() / 2).copied().unwrap_or(1).max(1);
    let known_batch = points.runs.values().flat_map(RunPoints::iter).find_map(|(step, point)| {
        point.images.filter(|_| *step > 0).map(|images| (images as f64 / *step as f64).round().max(1.0) as u64)
    });
    let batch_size = known_batch.unwrap_or(wanted.batch_size).clamp(1, 1 << 15);
    let missing: Vec<Value> = arms
        .iter()
        .flat_map(|(name, safe)| seeds.iter().map(move |seed| (name, safe, *seed)))
        .filter(|(name, _, seed)| !points.runs.contains_key(&((*name).clone(), *seed)))
        .map(|(_, safe, seed)| json!({ "arm": safe, "seed": seed }))
        .collect();
    // The baseline first, as people write it.
    let mut ordered: Vec<(&String, &String)> = arms.iter().collect();
    ordered.sort_by_key(|(_, safe)| safe.as_str() != baseline);
    let measures: Vec<FurtherMeasure> = wanted.metric.needs().into_iter().collect();
    let patches: serde_json::Map<String, Value> = ordered
        .into_iter()
        .map(|(name, safe)| (safe.clone(), json!({ "params": { "arm": name }, "train": { "steps": last_step(name) } })))
        .collect();
    // Not an input: the records are to be read when the table is gone, or has grown.
    let trainer = json!({ "command": ["speedlab", "import", wanted.table.display().to_string()] });
    let mut text = format!(
        "# Read from {} by `speedlab import`: nothing here is trained. `speedlab report` draws the report again.\nname: {}\nquestion: {}\nbase: {}\narms: {}\nseeds: {}\n",
        wanted.table.display().to_string().replace('\n', " "),
        json!(wanted.name),
        json!(wanted.question),
        json!({
            "trainer": trainer,
            "params": { "arm": "", "sha256": digest },
            "train": { "batch_size": batch_size },
            "evaluate": { "every": every, "measures": measures },
        }),
        Value::Object(patches),
        json!(seeds),
    );
    if !missing.is_empty() {
        text.push_str(&format!("exclude: {}\n", Value::from(missing)));
    }
    text.push_str(&format!("compare: {}\n", json!({ "baseline": baseline, "metric": wanted.metric })));
    text
}

fn write_run(
    folder: &RunFolder,
    run: &PlannedRun,
    known: &RunPoints,
    wanted: &Wanted,
    now: &str,
) -> Result<(), ImportError> {
    folder.prepare(run)?;
    let mut journal = Journal::open(&folder.journal())?;
    journal.append(&RunEvent::Started(Started {
        version: EVENT_VERSION,
        run_id: run.run_id.clone(),
        attempt: 1,
        from_checkpoint: 0,
        from_step: 0,
        shared_from: None,
        program: format!("{}, imported from {}", wanted.program, wanted.table.display()),
        device: wanted.device.to_owned(),
        started_at: now.to_owned(),
        build: String::new(),
        micro_batches: 1,
        data_sha256: String::new(),
        decoder_sha256: String::new(),
    }))?;
    let protocol =
        if wanted.protocol.is_empty() { IMPORTED.to_owned() } else { format!("{IMPORTED}: {}", wanted.protocol) };
    let protocol = Name::from(protocol);
    let (mut stamp, mut outcome) = (Stamp::default(), RunOutcome::Completed);
    for (step, point) in known {
        stamp = stamp_of(*step, point, &stamp, wanted.batch_size);
        if let Some((metric, value)) = point.values.iter().find(|(_, value)| !value.is_finite()) {
            outcome = RunOutcome::Diverged { reason: format!("{metric} at step {step} is {value}") };
            break;
        }
        let measure = |(metric, value): (&String, &f64)| Measure {
            metric: metric.as_str().into(),
            protocol: protocol.clone(),
            value: *value,
        };
        let measures = point.values.iter().map(measure).collect();
        journal.append(&RunEvent::Evaluated { stamp, measures, samples: String::new() })?;
    }
    // Where programs evaluate by the clock, runs of one arm end some steps apart.
    let steps_short = run.spec.train.steps - stamp.step;
    if outcome == RunOutcome::Completed && steps_short >= run.spec.evaluate.every {
        outcome = RunOutcome::Interrupted {
            reason: format!("its numbers end at step {} of the {} that its arm has", stamp.step, run.spec.train.steps),
        };
    }
    Ok(conclude(folder, run, &mut journal, &RunEvent::Ended { stamp, outcome })?)
}

fn stamp_of(step: u64, point: &Point, last: &Stamp, batch_size: u64) -> Stamp {
    let images_seen = point.images.unwrap_or(step.saturating_mul(batch_size)).max(last.images_seen);
    let seconds = point.seconds.unwrap_or(last.train_seconds).max(last.train_seconds);
    Stamp { step, images_seen, train_seconds: seconds, wall_seconds: seconds, ..Stamp::default() }
}
