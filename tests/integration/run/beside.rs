//! Evaluations beside training.

use std::cell::Cell;
use std::path::Path;

use burn::tensor::Device;
use speedlab::data::DataFolder;
use speedlab::event::{RunEvent, RunOutcome};
use speedlab::record::{RunFolder, SweepFolder, read_curves, read_journal};
use speedlab::run::{Attempt, EvaluateOn, execute};
use speedlab::spec::PlannedRun;

use crate::sandbox::{Sandbox, TINY, stderr};

/// Does what is left of a run, evaluated beside training, until `stop` says so of an event.
fn attempt(folder: &RunFolder, data: &Path, stop: &dyn Fn(&RunEvent) -> bool) -> RunOutcome {
    let stopped = Cell::new(false);
    let device = Device::flex();
    let attempt = Attempt {
        device: &device,
        label: "the CPU of the test",
        build: "",
        micro_batches: 1,
        capture_steps: false,
        passes: speedlab::evaluate::Passes::ByKernel,
        evaluate_on: EvaluateOn::Other(&device),
        gauge: None,
        shared_from: None,
        kept_for_others: &[],
    };
    let tell = |event: &RunEvent| {
        if stop(event) {
            stopped.set(true);
        }
    };
    let data = DataFolder::find(Some(data)).expect("a folder can be named");
    execute(folder, &attempt, &data, &|| stopped.get(), &tell).expect("the run can be recorded")
}

/// Every number of a run, bit for bit, and its last sample grid.
fn bits(folder: &RunFolder) -> (Vec<(u64, String, u64)>, Vec<u8>) {
    let rows = read_curves(&folder.curves()).expect("the table is readable");
    let bits: Vec<_> = rows.into_iter().map(|row| (row.step, row.metric, row.value.to_bits())).collect();
    let grid = std::fs::read(folder.path.join(RunFolder::sample_grid(60))).expect("the last grid is there");
    (bits, grid)
}

/// The expected numbers of a run, and the run, prepared in a folder of its own.
fn prepared(sandbox: &Sandbox) -> (RunFolder, PlannedRun, RunFolder) {
    let planned = sandbox.study().runs[0].planned.clone();
    let folder = SweepFolder::new(&sandbox.path().join("beside"), "tiny").run(&planned.run_id);
    folder.prepare(&planned).expect("the folder can be made");
    (SweepFolder { path: sandbox.results() }.run(&planned.run_id), planned, folder)
}

#[test]
fn evaluations_beside_training_measure_the_same() {
    let sandbox = super::undisturbed();
    let (expected, _, folder) = prepared(&sandbox);
    assert_eq!(attempt(&folder, sandbox.path(), &|_| false), RunOutcome::Completed);
    assert_eq!(bits(&folder), bits(&expected));
    // Each of its own step, whatever was trained meanwhile.
    let events = read_journal(&folder.journal()).unwrap().events;
    let evaluated: Vec<u64> = events
        .iter()
        .filter_map(|event| match event {
            RunEvent::Evaluated { stamp, .. } => Some(stamp.step),
            _ => None,
        })
        .collect();
    assert_eq!(evaluated, [20, 40, 60]);
}

#[test]
fn what_diverges_while_it_is_evaluated_keeps_what_was_measured_before() {
    // A learning rate that no network survives for long, and an evaluation after each step.
    let wild = TINY
        .replace("  train: {", "  optimizer: { kind: adam, learning_rate: 1.0e+9 }\n  train: {")
        .replace("every: 20", "every: 1");
    let sandbox = Sandbox::new(&wild);
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let planned = sandbox.study().runs[0].planned.clone();
    let alone = SweepFolder { path: sandbox.results() }.run(&planned.run_id);
    let folder = SweepFolder::new(&sandbox.path().join("beside"), "tiny").run(&planned.run_id);
    folder.prepare(&planned).expect("the folder can be made");
    let outcome = attempt(&folder, sandbox.path(), &|_| false);
    assert!(matches!(outcome, RunOutcome::Diverged { .. }), "{outcome:?}");
    let evaluated = |folder: &RunFolder| {
        let events = read_journal(&folder.journal()).unwrap().events;
        let steps = events.iter().filter_map(|event| match event {
            RunEvent::Evaluated { stamp, .. } => Some(stamp.step),
            _ => None,
        });
        steps.collect::<Vec<u64>>()
    };
    assert_eq!(evaluated(&folder), evaluated(&alone));
}

#[test]
fn a_run_that_is_stopped_while_it_is_evaluated_goes_on_and_evaluates_again() {
    let slow = TINY.replace("samples: 80", "samples: 400");
    let slow = super::finished(&slow);
    let (expected, _, folder) = prepared(&slow);
    // Steps 21 and 42 are recorded while steps 20 and 40 are evaluated, which takes many times as long as a step.
    for step in [21, 42] {
        let stop = |event: &RunEvent| matches!(event, RunEvent::Trained { stamp, .. } if stamp.step == step);
        assert!(matches!(attempt(&folder, slow.path(), &stop), RunOutcome::Interrupted { .. }));
        let events = read_journal(&folder.journal()).unwrap().events;
        let last = events.iter().rev().find_map(|event| match event {
            RunEvent::Checkpointed { stamp, .. } => Some(stamp.step),
            _ => None,
        });
        // From before the evaluation whose result is not there.
        assert_eq!(last, Some(step / 20 * 20));
        let is_evaluated =
            |event: &RunEvent| matches!(event, RunEvent::Evaluated { stamp, .. } if stamp.step == step / 20 * 20);
        assert!(!events.iter().any(is_evaluated), "step {} was evaluated before it was stopped", step / 20 * 20);
    }
    assert_eq!(attempt(&folder, slow.path(), &|_| false), RunOutcome::Completed);
    assert_eq!(bits(&folder), bits(&expected));
}
