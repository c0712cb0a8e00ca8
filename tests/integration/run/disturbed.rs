//! Sweeps that are killed, stopped or out of room, and go on with the same bits.

use std::fs;
use std::time::Duration;

use speedlab::event::RunOutcome;
use speedlab::random::{Draws, Stream};
use speedlab::record::RunState;

use super::{finished, undisturbed};
use crate::sandbox::{Sandbox, TINY, children_of, send_signal, stderr, stdout};

/// Kills the program's processes at random moments, as `victims` says, until the sweep is done; returns how often.
pub(super) fn disturb(sandbox: &Sandbox, seed: u64, victims: impl Fn(u32, &mut Draws)) -> usize {
    let mut draws = Draws::new(seed, Stream::Noise, 0);
    let mut disturbances = 0;
    loop {
        let mut child = sandbox.start(&["run", "sweep.yaml", "--quiet", "--retries", "100"]);
        let status = loop {
            // The pauses grow, so that it ends also where starting alone takes long.
            std::thread::sleep(Duration::from_millis(u64::from(30 + draws.below(250)) + 20 * disturbances as u64));
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            victims(child.id(), &mut draws);
            disturbances += 1;
        };
        if status.success() {
            return disturbances;
        }
        assert!(disturbances < 300, "not done after {disturbances} disturbances");
    }
}

#[test]
fn killed_at_any_moment_and_run_again_it_ends_with_the_same_bits() {
    let observed = "grid_images: 4\n    consistency: { images: 8, every: 80 }\n    difficulty: { images: 2 }";
    let longer =
        TINY.replace("steps: 60", "steps: 240").replace("every: 20", "every: 40").replace("grid_images: 4", observed);
    let expected = finished(&longer).bits();
    let of = |metric: &str| expected.iter().filter(|bits| bits.2 == metric).count();
    assert_eq!((of("consistency"), of("validation_gradient_norm/3")), (4 * 3, 4 * 6));
    let sandbox = Sandbox::new(&longer);
    let kills = disturb(&sandbox, 1, |parent, draws| {
        let children = children_of(parent);
        match draws.below(5) {
            0 | 1 => send_signal("KILL", parent),
            2 => children.iter().for_each(|child| send_signal("KILL", *child)),
            _ => {
                send_signal("KILL", parent);
                children.iter().for_each(|child| send_signal("KILL", *child));
            }
        }
    });
    assert!(kills > 2, "the sweep was disturbed only {kills} times");
    assert_eq!(sandbox.bits(), expected);
    let study = sandbox.study();
    assert!(study.runs.iter().all(|run| run.state == RunState::Ended(RunOutcome::Completed)));
    let attempts: usize = study.runs.iter().map(|run| run.attempts.len()).sum();
    assert!(attempts > study.runs.len(), "no run was ever resumed");
    for run in &study.runs {
        // The clock goes on across attempts and never stands above the wall.
        assert!(run.rows.iter().map(|row| row.train_seconds).is_sorted(), "{run:?}");
        assert!(run.rows.iter().all(|row| row.train_seconds <= row.wall_seconds));
    }
}

#[test]
fn samplers_and_optimizers_with_state_go_on_with_the_same_bits() {
    let adaptive = TINY.replace("steps: 60", "steps: 120").replace("every: 20", "every: 40").replace(
        "  clts: { timestep_sampler: { kind: curriculum } }\n",
        "  clts: { noise_schedule: { kind: linear, timesteps: 20 }, timestep_sampler: { kind: loss_second_moment, history: 3 } }
  tasks:
    timestep_sampler: { kind: task_difficulty, clusters: 4, patience: 2, smoothing: 0.5 }
    noise: { kind: immiscible }
    optimizer: { kind: muon }
    momentum: { kind: linear, end: 0.5 }
  soap: { optimizer: { kind: soap, refresh_every: 7, largest_side: 72 }, momentum: { kind: demon } }
  free: { optimizer: { kind: schedule_free_adamw }, train: { warmup_steps: 9, post_hoc: { every: 30 } } }
",
    );
    let undisturbed = finished(&adaptive);
    for run in undisturbed.study().runs.iter().filter(|run| run.planned.arm == "clts") {
        // It has left the uniform density behind, so what it observed decides what it draws.
        let last = &run.densities.last().unwrap().density;
        assert!(last.iter().any(|share| (share * last.len() as f64 - 1.0).abs() > 0.01), "{last:?}");
    }
    for run in undisturbed.study().runs.iter().filter(|run| run.planned.arm == "tasks") {
        let trained_on = |at: usize| run.densities[at].density.iter().filter(|share| **share > 0.0).count();
        assert!(trained_on(0) < trained_on(4), "no stage came to its end");
    }
    let sandbox = Sandbox::new(&adaptive);
    let kills = disturb(&sandbox, 3, |parent, _| {
        let children = children_of(parent);
        send_signal("KILL", parent);
        children.iter().for_each(|child| send_signal("KILL", *child));
    });
    assert!(kills > 2, "the sweep was disturbed only {kills} times");
    assert_eq!(sandbox.bits(), undisturbed.bits());
}

#[test]
fn ctrl_c_writes_checkpoints_ends_with_130_and_says_how_to_go_on() {
    let sandbox = Sandbox::new(&TINY.replace("steps: 60", "steps: 4000"));
    let child = sandbox.command(&["run", "sweep.yaml"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let journal_has = |text: &str| {
        let study = std::panic::catch_unwind(|| sandbox.study()).ok();
        let runs = study.map(|study| study.runs).unwrap_or_default();
        runs.iter().any(|run| {
            let path = sandbox.results().join("runs").join(run.planned.run_id.as_str()).join("events.jsonl");
            fs::read_to_string(path).is_ok_and(|journal| journal.contains(text))
        })
    };
    sandbox.wait_until("the first training loss", || {
        sandbox.results().join("plan.json").exists() && journal_has("\"trained\"")
    });
    send_signal("INT", child.id());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("speedlab run sweep.yaml"), "{}", stderr(&output));
    assert!(journal_has("\"interrupted\""), "the runs did not say that they were interrupted");
    assert!(journal_has("\"checkpointed\""));
    let status = sandbox.speedlab(&["status", "sweep.yaml"]);
    assert_eq!(status.status.code(), Some(3));
    assert!(stdout(&status).contains("unfinished"), "{}", stdout(&status));
}

#[test]
fn a_full_disk_pauses_the_sweep_and_nothing_recorded_is_lost() {
    let sandbox = Sandbox::new(TINY);
    // Files of this process tree may not grow beyond 64 blocks of 512 bytes; the checkpoint is larger.
    let program = env!("CARGO_BIN_EXE_speedlab");
    let script = format!("trap '' XFSZ; ulimit -f 64; exec '{program}' run sweep.yaml --retries 0 2> said.txt");
    let mut child = std::process::Command::new("sh").args(["-c", &script]).current_dir(sandbox.path()).spawn().unwrap();
    let said = || fs::read_to_string(sandbox.path().join("said.txt")).unwrap_or_default();
    sandbox.wait_until("a pause", || said().contains("goes on by itself"));
    assert!(child.try_wait().unwrap().is_none(), "a full disk ended the sweep: {}", said());
    send_signal("INT", child.id());
    // The report has no room either.
    assert_eq!(child.wait().unwrap().code(), Some(1), "{}", said());
    assert!(said().contains("File too large") && said().contains("cannot write the report"), "{}", said());
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(sandbox.bits(), undisturbed().bits());
}

#[test]
fn a_torn_last_line_is_tolerated_and_counted() {
    let sandbox = undisturbed();
    let bits = sandbox.bits();
    let run_id = sandbox.study().runs[0].planned.run_id.clone();
    let journal = sandbox.results().join("runs").join(run_id.as_str()).join("events.jsonl");
    let mut text = fs::read_to_string(&journal).unwrap();
    text.push_str("{\"event\":\"trained\",\"sta");
    fs::write(&journal, text).unwrap();
    assert_eq!(sandbox.study().runs[0].torn_lines, 1);
    assert_eq!(sandbox.speedlab(&["report", "sweep.yaml"]).status.code(), Some(0));
    assert_eq!(sandbox.bits(), bits);
}
