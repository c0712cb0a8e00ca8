//! Runs, as the page's panels show them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::detail::Detail;
use super::log_end::log_end;
use super::moments::{Curve, Moments, moments, spaced};
use super::points::Fits;
use super::{FlopsOfRun, Metric};
use crate::record::{RunRecord, RunState, StudyRecord, SweepFolder};
use crate::report::comparison::Comparison;
use crate::report::settings::known;
use crate::report::wording::state;
use crate::spec::Trainer;

/// Grids of images that are named of each run.
const MOST_SAMPLES: usize = 6;

#[derive(Debug, Serialize)]
pub struct Run<'a> {
    pub id: &'a str,
    /// The arm's place.
    pub arm: usize,
    pub trial: &'a str,
    pub seed: u64,
    /// The network by its kind; empty where only its trainer knows.
    pub architecture: String,
    /// How it stands in a word.
    pub outcome: &'static str,
    /// The same with the reason.
    pub state: String,
    pub devices: Vec<&'a str>,
    pub attempts: usize,
    /// Steps planned.
    pub steps: u64,
    pub moments: Moments,
    pub curves: Vec<Curve>,
    /// Those that not all runs share.
    pub settings: BTreeMap<String, Value>,
    /// (step, file as seen from the page) of some grids of images; no file where it lies elsewhere.
    pub samples: Vec<(u64, Option<String>)>,
    /// The last lines that its process wrote.
    pub log: String,
    /// What trains it again once its folder is moved away, or what read it.
    pub command: String,
}

/// What is known of all runs together.
pub struct Known<'k, 'm, 'f> {
    pub detail: &'k Detail,
    pub metrics: &'k [Metric<'m>],
    pub fits: &'k Fits<'f>,
    /// The settings that all share.
    pub settings: &'k BTreeMap<String, Value>,
    pub flops_of_run: FlopsOfRun,
}

pub fn runs<'a>(comparison: &Comparison<'a>, all: &Known) -> Vec<Run<'a>> {
    let study = comparison.study;
    let listed = &study.runs[..all.detail.listed(study.runs.len())];
    listed.iter().map(|run| of_run(study, run, all)).collect()
}

fn of_run<'a>(study: &'a StudyRecord, run: &'a RunRecord, all: &Known) -> Run<'a> {
    let planned = &run.planned;
    let folder = SweepFolder { path: study.folder.clone() }.run(&planned.run_id);
    let settings = known(&planned.spec);
    let (mut moments, curves) = match all.detail.moments() {
        Some(most) => moments(run, all.metrics, most, all.fits.get(&planned.run_id)),
        None => (Moments::default(), vec![]),
    };
    if !moments.step.is_empty() {
        moments.count_flops((all.flops_of_run)(&planned.spec));
        moments.count_hours(device_share(run));
    }
    let mut devices: Vec<&str> = run.attempts.iter().map(|attempt| attempt.device.as_str()).collect();
    devices.sort_unstable();
    devices.dedup();
    let samples = spaced(&run.samples, MOST_SAMPLES).into_iter().map(|(step, path)| {
        // The page lies in the study's folder `report`.
        let inside = path.strip_prefix(&study.folder).ok();
        (step, inside.map(|inside| format!("../{}", inside.to_string_lossy().replace('\\', "/"))))
    });
    let imported = planned.spec.trainer.as_ref().filter(|trainer| trainer.is_import());
    Run {
        id: planned.run_id.as_str(),
        arm: study.plan.arms.iter().position(|arm| *arm == planned.arm).expect("arms are those of the plan"),
        trial: &planned.trial,
        seed: planned.seed,
        architecture: settings.get("model.kind").and_then(Value::as_str).unwrap_or_default().to_owned(),
        outcome: outcome(run),
        state: state(run),
        devices,
        attempts: run.attempts.len(),
        steps: planned.spec.train.steps,
        moments,
        curves,
        samples: samples.collect(),
        log: log_end(&folder.log()),
        command: imported
            .map_or_else(|| format!("speedlab run {}", study.running_arguments()), |trainer| trainer.in_words()),
        settings: settings.into_iter().filter(|(key, _)| !all.settings.contains_key(key)).collect(),
    }
}

/// The share of its device that the run had all along: one of so many runs at once. `None` where that changed, or where nobody wrote it
/// down, as of runs that other programs recorded.
fn device_share(run: &RunRecord) -> Option<f64> {
    if run.planned.spec.trainer.as_ref().is_some_and(Trainer::is_import) {
        return None;
    }
    // Evaluations on a device of their own take hours of that one, too, which nobody counts.
    if run.attempts.iter().any(|attempt| attempt.device.contains(", evaluated on ")) {
        return None;
    }
    let mut shares = run.attempts.iter().map(|attempt| attempt.runs_at_once());
    let first = shares.next()??;
    shares.all(|share| share == Some(first)).then(|| 1.0 / first as f64)
}

/// How a run stands, in a word.
fn outcome(run: &RunRecord) -> &'static str {
    match &run.state {
        RunState::Waiting => "not started",
        RunState::Unfinished => "unfinished",
        RunState::Ended(outcome) => outcome.word(),
        RunState::Damaged(_) => "damaged",
    }
}

/// The settings that all runs have with one value.
pub fn shared_settings(study: &StudyRecord) -> BTreeMap<String, Value> {
    let mut runs = study.runs.iter().map(|run| known(&run.planned.spec));
    let Some(mut shared) = runs.next() else { return BTreeMap::new() };
    runs.for_each(|other| shared.retain(|key, value| other.get(key) == Some(value)));
    shared
}
