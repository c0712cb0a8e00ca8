//! How busy a device was, from a counter to the report.

use std::fs;
use std::time::Duration;

use burn::tensor::Device;
use serde_json::Value;
use speedlab::data::DataFolder;
use speedlab::event::{RunEvent, RunOutcome};
use speedlab::record::{RunFolder, StudyRecord, SweepFolder, read_curves, read_journal};
use speedlab::run::{Attempt, EvaluateOn, Gauge, execute};
use speedlab::spec::RunId;

use super::finished;
use crate::sandbox::{Sandbox, TINY, stderr, stdout};

/// Two runs of four recorded means.
fn short() -> Sandbox {
    let sweep =
        TINY.replace("steps: 60", "steps: 28").replace("every: 20", "every: 14").replace("seeds: 2", "seeds: 1");
    finished(&sweep)
}

/// Trains a finished run again, with a gauge, slowly enough to be looked at.
fn again(sandbox: &Sandbox, run_id: &RunId, gauge: Gauge) -> RunFolder {
    let folder = SweepFolder { path: sandbox.results() }.run(run_id);
    let planned = folder.read_spec().unwrap();
    fs::remove_dir_all(&folder.path).unwrap();
    folder.prepare(&planned).unwrap();
    let device = Device::flex();
    let attempt = Attempt {
        device: &device,
        label: "the CPU of the test",
        build: "",
        micro_batches: 1,
        capture_steps: false,
        passes: speedlab::evaluate::Passes::ByKernel,
        evaluate_on: EvaluateOn::Usual,
        shared_from: None,
        kept_for_others: &[],
        gauge: Some(gauge),
    };
    let slowly = |event: &RunEvent| {
        if matches!(event, RunEvent::Trained { stamp, .. } if stamp.step == 7) {
            std::thread::sleep(Duration::from_secs(1));
        }
    };
    let data = DataFolder::find(Some(&sandbox.path().join("data"))).unwrap();
    let outcome = execute(&folder, &attempt, &data, &|| false, &slowly).unwrap();
    assert_eq!(outcome, RunOutcome::Completed);
    folder
}

/// Every number of a run, bit for bit.
fn bits(folder: &RunFolder) -> Vec<(u64, String, u64)> {
    let rows = read_curves(&folder.curves()).unwrap();
    rows.into_iter().map(|row| (row.step, row.metric, row.value.to_bits())).collect()
}

/// (step, how busy the device was) of the recorded means.
fn recorded(folder: &RunFolder) -> Vec<(u64, Option<f64>)> {
    let events = read_journal(&folder.journal()).unwrap().events;
    let of_event = |event| match event {
        RunEvent::Trained { stamp, device_utilization, .. } => Some((stamp.step, device_utilization)),
        _ => None,
    };
    events.into_iter().filter_map(of_event).collect()
}

#[test]
fn how_busy_a_device_was_is_recorded_and_shown_and_changes_no_number() {
    let sandbox = short();
    let study = sandbox.study();
    assert!(study.runs.iter().all(|run| run.device_utilization.is_none()), "a CPU has no counter");
    let run_id = study.runs[0].planned.run_id.clone();
    let expected = bits(&SweepFolder { path: sandbox.results() }.run(&run_id));

    let folder = again(&sandbox, &run_id, &|| Ok(Some(0.25)));
    assert_eq!(bits(&folder), expected);
    let means = recorded(&folder);
    assert!(means.iter().all(|(_, share)| share.is_none_or(|share| share == 0.25)), "{means:?}");
    // While the first mean was told there was time to look, which belongs to the second one.
    assert!(means.len() == 4 && means[1] == (14, Some(0.25)), "{means:?}");

    let study = StudyRecord::read(&SweepFolder { path: sandbox.results() }).unwrap();
    assert_eq!(study.runs[0].device_utilization, Some(0.25));
    let status = sandbox.speedlab(&["status", "sweep.yaml", "--json"]);
    let status: Value = serde_json::from_str(&stdout(&status)).unwrap();
    let shown: Vec<Option<f64>> =
        status["runs"].as_array().unwrap().iter().map(|run| run["device_utilization"].as_f64()).collect();
    assert_eq!(shown, [Some(0.25), None]);
    let table = stdout(&sandbox.speedlab(&["status", "sweep.yaml"]));
    assert!(table.contains("busy") && table.contains("25 %"), "{table}");

    let page = || fs::read_to_string(sandbox.results().join("report/index.html")).unwrap();
    assert!(!page().contains("Device busy"), "that of the runs without it");
    let report = sandbox.speedlab(&["report", "sweep.yaml"]);
    assert_eq!(report.status.code(), Some(0), "{}", stderr(&report));
    let page = page();
    assert!(page.contains("Device busy") && page.contains(">25 %<"));
    assert!(page.contains("It does not say how full the device was."));

    // A counter that fails ends no run.
    let folder = again(&sandbox, &run_id, &|| Err("the driver's library would not load".to_owned()));
    assert_eq!(bits(&folder), expected);
    assert!(recorded(&folder).iter().all(|(_, share)| share.is_none()));
}
