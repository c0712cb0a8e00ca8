//! What a session shows while it runs.

use std::process::Command;

use speedlab::cli::progress::Progress;
use speedlab::event::{Measure, Phase, RunEvent, RunOutcome, Stamp};
use speedlab::schedule::{Device, Policy, ProcessExecutor, Queue, QueuedRun, RunCommand, Start, Stop, Update, execute};
use speedlab::study::{RunLabel, Tracker};

use super::{ended, run_id, this_binary};

/// Shows a session of small fake trainings: two seeds of three arms, of which one diverges and one crashes. Worth a
/// look on a terminal: `SPEEDLAB_TEST_PART=progress SPEEDLAB_TEST_PAUSE=0.05 <test binary> --exact
/// schedule::plays_a_part --nocapture 2>&1 >/dev/null`.
pub fn parent_that_shows_progress() {
    let pause = std::env::var("SPEEDLAB_TEST_PAUSE").unwrap_or("0".into());
    let steps = 2000;
    let arms = ["baseline", "clts", "clts+mdlrc model.channels=32"];
    let label = |number: usize| RunLabel {
        run_id: run_id(number),
        trial: arms[number % 3].to_owned(),
        seed: number as u64 / 3,
        steps,
        first_step: 0,
        cost: None,
        log: format!("runs/{}/log.txt", run_id(number)).into(),
    };
    let script = |number: usize, start: u32| {
        let stamp = Stamp { step: 987_654, ..Stamp::default() }; // a number that the shell replaces
        let json = |event: &RunEvent| serde_json::to_string(event).unwrap().replace("987654", "'$step'");
        let said = |phase| {
            json(&RunEvent::Progress { stamp, loss: Some(0.5), phase })
                .replace("0.5", "0.'$((9000 / (step + 100) + 10))'")
        };
        let fid = Measure { metric: "fid".into(), protocol: "".into(), value: 12.5 };
        let evaluated = json(&RunEvent::Evaluated { stamp, measures: vec![fid], samples: "x.png".into() });
        let last = match (number, start) {
            (1, 1) => "echo 'the checkpoint could not be read' >&2; exit 3".to_owned(),
            (4, _) => {
                "echo 'thread main panicked at src/train.rs:7' >&2; echo 'index out of bounds' >&2; kill -ABRT $$"
                    .to_owned()
            }
            (5, _) => ended(RunOutcome::Diverged { reason: "the loss is NaN at step 1730".into() }),
            _ => ended(RunOutcome::Completed),
        };
        format!(
            "step=0; while [ $step -lt {steps} ]; do step=$((step + 50)); echo '{}'; sleep {pause}; \
             if [ $((step % 500)) -eq 0 ]; then echo '{}'; sleep {pause}; sleep {pause}; echo '{}'; fi; \
             if [ $step -ge 800 ] && [ {} = 1 ]; then break; fi; done; {last}",
            said(Phase::Training),
            said(Phase::Evaluating),
            evaluated.replace("12.5", "'$((40000 / (step + 1))).25'"),
            u8::from(matches!((number, start), (1, 1) | (4, _)))
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let command = |start: &Start| {
        let number = usize::from_str_radix(start.run_id.as_str(), 16).unwrap();
        RunCommand {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script(number, start.number).into()],
            environment: vec![],
            log: folder.path().join(format!("{}.txt", start.run_id)),
        }
    };
    let run = |number: usize| QueuedRun::new(run_id(number), number as u64 / 3, None, 64);
    let device = Device::new("cpu", 2, 1);
    let queue = Queue::new((0..6).map(run).collect(), vec![device], Policy { retries: 1, ..Policy::default() });
    let quiet = std::env::var_os("SPEEDLAB_TEST_QUIET").is_some();
    let mut progress = Progress::new("quickstart", quiet, false);
    let mut tracker = Tracker::new((0..6).map(label).collect());
    let mut show = |update: Update| {
        tracker.take(&update);
        progress.show(&update, &tracker);
    };
    let stop = Stop::on_signals().unwrap();
    let summary = execute(queue, &mut ProcessExecutor::new(command), &mut show, &stop);
    std::process::exit(if summary.all_done() { 0 } else { stop.exit_code().map_or(1, i32::from) });
}

/// What the session of fake trainings says on standard error when it is no terminal.
fn progress_in_plain_lines(quiet: bool) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &this_binary("progress")]).current_dir(folder.path());
    if quiet {
        command.env("SPEEDLAB_TEST_QUIET", "1");
    }
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "a run failed");
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(!stdout.contains("baseline"), "progress belongs on standard error: {stdout}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn without_a_terminal_progress_is_plain_lines() {
    let text = progress_in_plain_lines(false);
    for line in [
        "started  baseline seed 0",
        "evaluated  baseline seed 0 at step 500/2,000, fid 79.25",
        "crashed  clts seed 0: exited with status 3\n             starts again from its checkpoint in 1s",
        "started  clts seed 0 again (start 2)",
        "completed  clts seed 0, fid 19.25, ",
        "crashed  clts seed 1: killed by signal 6 (SIGABRT)\n             thread main panicked at src/train.rs:7\n             index out of bounds\n             log: runs/000000000004/log.txt",
        "diverged  clts+mdlrc model.channels=32 seed 1: the loss is NaN at step 1730",
        "done  5 of 6 runs in ",
        "; 1 diverged, 1 failed\n",
    ] {
        assert!(text.contains(line), "missing: {line}\n{text}");
    }
    assert!(!text.contains('\x1b') && !text.contains('\r'), "{text:?}");
}

#[test]
fn quietly_only_failures_are_told() {
    let text = progress_in_plain_lines(true);
    assert!(text.contains("clts seed 1: killed by signal 6"), "{text}");
    assert!(text.contains("the loss is NaN"), "{text}");
    assert!(!text.contains("started") && !text.contains("completed") && !text.contains("done"), "{text}");
}
