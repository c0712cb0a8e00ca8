//! Runs, as the page's panels show them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::Metric;
use super::detail::Detail;
use super::log_end::log_end;
use super::moments::{Curve, Moments, moments, spaced};
use super::points::Fits;
use crate::record::{RunRecord, RunState, StudyRecord, SweepFolder};
use crate::report::comparison::Comparison;
use crate::report::settings::known;
use crate::report::wording::state;

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

pub fn runs<'a>(
    comparison: &Comparison<'a>,
    detail: &Detail,
    metrics: &[Metric],
    fits: &Fits,
    shared: &BTreeMap<String, Value>,
) -> Vec<Run<'a>> {
    let study = comparison.study;
    let listed = &study.runs[..detail.listed(study.runs.len())];
    listed.iter().map(|run| of_run(study, run, detail, metrics, fits, shared)).collect()
}

fn of_run<'a>(
    study: &'a StudyRecord,
    run: &'a RunRecord,
    detail: &Detail,
    metrics: &[Metric],
    fits: &Fits,
    shared: &BTreeMap<String, Value>,
) -> Run<'a> {
    let planned = &run.planned;
    let folder = SweepFolder { path: study.folder.clone() }.run(&planned.run_id);
    let settings = known(&planned.spec);
    let (moments, curves) = match detail.moments() {
        Some(most) => moments(run, metrics, most, fits.get(&planned.run_id)),
        None => (Moments::default(), vec![]),
    };
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
            .map_or_else(|| format!("speedlab run {}", study.sweep_arguments), |trainer| trainer.in_words()),
        settings: settings.into_iter().filter(|(key, _)| !shared.contains_key(key)).collect(),
    }
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
