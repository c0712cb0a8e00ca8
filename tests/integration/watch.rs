//! A sweep while it runs, as other processes see it: `status`, `status --watch`, `logs -f`; and why a run failed.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::sandbox::{Sandbox, TINY, send_signal, stderr, stdout};

/// A sweep that goes on for longer than any test, one run at a time.
struct LongSweep {
    sandbox: Sandbox,
    program: Child,
}

impl LongSweep {
    /// Returns when it has said for the first time how its runs stand.
    fn start() -> Self {
        let sandbox = Sandbox::new(&TINY.replace("steps: 60", "steps: 4000"));
        let program = sandbox.start(&["run", "sweep.yaml", "--quiet", "--jobs", "1"]);
        let sweep = Self { sandbox, program };
        sweep.sandbox.wait_until("live.json", || sweep.sandbox.results().join("live.json").exists());
        sweep
    }
}

impl Drop for LongSweep {
    fn drop(&mut self) {
        send_signal("INT", self.program.id());
        // It fails only if somebody else reaped it.
        let _ = self.program.wait();
    }
}

/// `runs` of `status --json`.
fn runs(sandbox: &Sandbox) -> Vec<Value> {
    let output = sandbox.speedlab(&["status", "sweep.yaml", "--json"]);
    let mut status: Value = serde_json::from_str(&stdout(&output)).expect("one JSON value");
    match status["runs"].take() {
        Value::Array(runs) => runs,
        other => panic!("no list of runs: {other}"),
    }
}

fn text<'v>(run: &'v Value, key: &str) -> &'v str {
    run[key].as_str().unwrap_or_default()
}

#[test]
fn status_says_what_a_run_does_and_why_the_others_wait() {
    let sweep = LongSweep::start();
    let mut seen = Vec::new();
    sweep.sandbox.wait_until("a run that trains", || {
        seen = runs(&sweep.sandbox);
        seen.iter().any(|run| text(run, "phase") == "training" && run["step"].as_u64() > Some(0))
    });
    let running: Vec<&Value> = seen.iter().filter(|run| text(run, "state") == "running").collect();
    assert_eq!(running.len(), 1, "{seen:?}");
    assert_eq!((text(running[0], "device"), running[0]["steps"].as_u64()), ("cpu", Some(4000)));
    assert!(text(running[0], "detail").starts_with("training"), "{seen:?}");
    let waiting = seen.iter().filter(|run| text(run, "state") == "waiting");
    let mut reasons: Vec<&str> = waiting.map(|run| text(run, "detail")).collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        [
            "waits for a free slot: 1 run goes before it",
            "waits for a free slot: 2 runs go before it",
            "waits for a free slot: next"
        ]
    );
    let table = sweep.sandbox.speedlab(&["status", "sweep.yaml"]);
    assert_eq!(table.status.code(), Some(3));
    assert!(stdout(&table).contains("waits for a free slot: next"), "{}", stdout(&table));
}

#[test]
fn a_watched_sweep_is_shown_until_it_has_ended_and_then_as_a_table() {
    let sandbox = Sandbox::new(&TINY.replace("steps: 60", "steps: 400"));
    let mut program = sandbox.start(&["run", "sweep.yaml", "--quiet"]);
    sandbox.wait_until("live.json", || sandbox.results().join("live.json").exists());
    let watched = sandbox.speedlab(&["status", "sweep.yaml", "--watch", "--every", "0.1"]);
    assert_eq!(watched.status.code(), Some(0), "{}", stderr(&watched));
    let text = stdout(&watched);
    let first = text.lines().next().unwrap_or_default();
    assert!(first.starts_with("tiny: ") && first.contains("/4 done, ") && first.contains(" running"), "{text}");
    assert_eq!(text.lines().filter(|line| line.trim_end().ends_with("completed")).count(), 4, "{text}");
    assert!(program.wait().unwrap().success());

    // Nobody works on it any more.
    let again = sandbox.speedlab(&["status", "sweep.yaml", "--watch"]);
    assert_eq!(again.status.code(), Some(0));
    assert!(!stdout(&again).contains("tiny: "), "{}", stdout(&again));
    let both = sandbox.speedlab(&["status", "sweep.yaml", "--watch", "--json"]);
    assert_eq!(both.status.code(), Some(2), "a table that is redrawn is no JSON value");
}

#[test]
fn ctrl_c_ends_who_looks_and_not_the_sweep() {
    let mut sweep = LongSweep::start();
    let mut run_id = String::new();
    sweep.sandbox.wait_until("a run that has started", || {
        let seen = runs(&sweep.sandbox);
        let running = seen.iter().find(|run| text(run, "state") == "running");
        run_id = running.map_or_else(String::new, |run| text(run, "run_id").to_owned());
        !run_id.is_empty()
    });
    for args in [&["status", "sweep.yaml", "--watch"][..], &["logs", run_id.as_str(), "--follow"]] {
        let mut looking = sweep.sandbox.command(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(looking.stdout.take().expect("standard output is piped")).lines();
        let first = lines.next().expect("it shows something").unwrap();
        assert!(first.starts_with("tiny: ") || first.starts_with("--- "), "{first}");
        send_signal("INT", looking.id());
        assert_eq!(looking.wait().unwrap().code(), Some(130), "{args:?}");
    }
    assert!(sweep.program.try_wait().unwrap().is_none(), "the sweep has ended");
}

#[test]
fn a_followed_log_shows_evaluations_and_ends_with_the_run() {
    let sandbox = Sandbox::new(TINY);
    let mut program = sandbox.start(&["run", "sweep.yaml", "--quiet"]);
    sandbox.wait_until("live.json", || sandbox.results().join("live.json").exists());
    let planned = runs(&sandbox);
    let run_id = text(&planned[3], "run_id").to_owned();
    let followed = sandbox.speedlab(&["logs", &run_id[..10], "-f"]);
    assert_eq!(followed.status.code(), Some(0), "{}", stderr(&followed));
    let followed = stdout(&followed);
    assert!(followed.starts_with("--- "), "{followed}");
    for part in ["[0/60] started: attempt 1, ", "[20/60] evaluated: ", "[60/60] ended: completed"] {
        assert!(followed.contains(part), "no `{part}` in\n{followed}");
    }
    assert_eq!(followed.matches("evaluated: ").count(), 3, "{followed}");
    assert_eq!(followed.matches(" fid ").count(), 3, "{followed}");
    assert!(program.wait().unwrap().success());

    let log = stdout(&sandbox.speedlab(&["logs", run_id.as_str()]));
    assert!(log.starts_with("--- ") && !log.contains("evaluated"), "{log}");
    let unknown = sandbox.speedlab(&["logs", "zebra"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains(&run_id), "the runs there are have to be named: {}", stderr(&unknown));
}

#[test]
fn a_crashed_run_leaves_exit_status_and_last_words_where_status_shows_them() {
    let sandbox = Sandbox::new(TINY);
    let planned = runs(&sandbox);
    let run_id = text(&planned[0], "run_id").to_owned();
    let checkpoint = sandbox.results().join("runs").join(&run_id).join("checkpoint/state.safetensors");
    fs::create_dir_all(checkpoint.parent().unwrap()).unwrap();
    fs::write(&checkpoint, "no weights").unwrap();
    // It crashes before it has said anything.
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet", "--retries", "0"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let status = stdout(&sandbox.speedlab(&["status", "sweep.yaml"]));
    let (_, section) = status.split_once(&format!("run {run_id}, baseline seed ")).expect("a section for the run");
    for part in ["crashed: exited with status 1\n", "\n  error: cannot go on from", "\n  hint: remove", "\n  log: "] {
        assert!(section.contains(part), "no `{part}` in\n{status}");
    }
    assert_eq!(status.matches("\nrun ").count(), 1, "{status}");
    let seen = runs(&sandbox);
    let failed = &seen[0];
    assert!(text(failed, "detail").contains("cannot go on from"), "{failed}");

    fs::remove_file(&checkpoint).unwrap();
    let output = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let status = sandbox.speedlab(&["status", "sweep.yaml"]);
    assert_eq!(status.status.code(), Some(0));
    assert!(!stdout(&status).contains("crashed"), "{}", stdout(&status));
}
