//! Real sweeps of real processes, disturbed at random moments in every way there is: whatever happens, every run ends exactly
//! once, and the curves are those of an undisturbed sweep, bit for bit.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use speedlab::event::RunOutcome;
use speedlab::random::{Draws, Stream};
use speedlab::record::RunState;

use crate::sandbox::{Sandbox, TINY, children_of, send_signal, stderr, stdout};

/// Disturbances in all. `SPEEDLAB_TORTURE_ROUNDS` asks for more.
const ROUNDS: usize = 100;

/// Three arms, one of which has a loss that overflows; long enough for some dozens of disturbances.
fn long_sweep() -> String {
    TINY.replace("steps: 60", "steps: 800").replace("every: 20", "every: 200").replace(
        "arms:\n",
        "arms:\n  hot: { optimizer: { kind: adam, learning_rate: 1.0e+12 }, train: { clip_norm: 0 } }\n",
    )
}

/// A file system of a few megabytes, where this user may mount one.
struct SmallDisk<'s> {
    path: &'s Path,
}

impl<'s> SmallDisk<'s> {
    fn mount(path: &'s Path) -> Option<Self> {
        fs::create_dir_all(path).expect("the sandbox is writable");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(path).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self { path })
    }

    /// Takes all room, for a while.
    fn fill(&self, while_full: impl FnOnce()) {
        let ballast = self.path.join("ballast");
        // It ends with "no space left", which is what is wanted.
        let _ = fs::write(&ballast, vec![0u8; 20 << 20]);
        while_full();
        fs::remove_file(&ballast).expect("the ballast is there");
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // Processes that are still ending may hold it; without mount it is not there to be left behind.
        let _ = Command::new("umount").arg("-l").arg(self.path).output();
    }
}

fn pause(milliseconds: u32) {
    std::thread::sleep(Duration::from_millis(milliseconds.into()));
}

/// One disturbance of a running sweep; the number that says which is of no meaning but variety.
fn disturb(parent: &Child, disk: Option<&SmallDisk>, draws: &mut Draws) -> &'static str {
    let children = children_of(parent.id());
    let one = (!children.is_empty()).then(|| children[draws.below(children.len() as u32) as usize]);
    let kill_all = |signal: &str| children.iter().for_each(|child| send_signal(signal, *child));
    match (draws.below(20), one, disk) {
        (0..=3, Some(child), _) => {
            send_signal("KILL", child);
            "a child killed"
        }
        (4..=5, Some(child), _) => {
            send_signal("ABRT", child);
            "a child aborted"
        }
        (6, Some(child), _) => {
            send_signal("STOP", child);
            pause(1500);
            "a child stopped for longer than the parent's patience"
        }
        (7, Some(child), _) => {
            send_signal("STOP", child);
            send_signal("KILL", parent.id());
            "a child stopped and its parent killed"
        }
        (8..=9, ..) => {
            send_signal("STOP", parent.id());
            pause(200);
            kill_all("KILL");
            send_signal("CONT", parent.id());
            "the children killed while the parent was stopped"
        }
        (10, _, Some(disk)) => {
            disk.fill(|| pause(700));
            "the disk full for a while"
        }
        (11..=12, ..) => {
            send_signal("TERM", parent.id());
            "the parent asked to end"
        }
        (13..=15, ..) => {
            send_signal("KILL", parent.id());
            kill_all("KILL");
            "all killed"
        }
        _ => {
            send_signal("KILL", parent.id());
            "the parent killed"
        }
    }
}

#[test]
fn after_a_hundred_disturbances_every_run_is_complete_once_and_the_curves_are_those_of_an_undisturbed_sweep() {
    let rounds =
        std::env::var("SPEEDLAB_TORTURE_ROUNDS").map_or(ROUNDS, |text| text.parse().expect("a number of rounds"));
    let undisturbed = Sandbox::new(&long_sweep());
    let output = undisturbed.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert_eq!(output.status.code(), Some(1), "one arm diverges: {}", stderr(&output));
    let expected = undisturbed.bits();

    let mut draws = Draws::new(7, Stream::Noise, 0);
    let mut done: Vec<&'static str> = Vec::new();
    let mut sweeps = 0;
    while done.len() < rounds {
        let sandbox = Sandbox::new(&long_sweep());
        let results = sandbox.path().join("results");
        let disk = SmallDisk::mount(&results);
        let finished = loop {
            // Now and then a child meets a failure of its own.
            let fault = ["panic+9", "abort+23", "hang+40", "", "", "", "", ""][draws.below(8) as usize];
            let retries = if fault.is_empty() { "100" } else { "0" };
            let mut command =
                sandbox.command(&["run", "sweep.yaml", "--quiet", "--patience", "1", "--retries", retries]);
            if !fault.is_empty() {
                command.env("SPEEDLAB_FAULT", fault);
                done.push("children that fail on their own");
            }
            let log = fs::File::create(sandbox.path().join("said.txt")).expect("the sandbox is writable");
            let mut parent =
                command.stdout(std::process::Stdio::null()).stderr(log).spawn().expect("the program starts");
            let status = loop {
                pause(30 + draws.below(220) + 2 * done.len() as u32);
                if let Some(status) = parent.try_wait().expect("the parent is a child of this test") {
                    break status;
                }
                done.push(disturb(&parent, disk.as_ref(), &mut draws));
            };
            let said = || fs::read_to_string(sandbox.path().join("said.txt")).unwrap_or_default();
            assert_ne!(status.code(), Some(101), "the parent panicked: {}", said());
            let all_ended = |study: &speedlab::record::StudyRecord| {
                study.runs.iter().all(|run| matches!(run.state, RunState::Ended(_)))
            };
            // Killed before it had frozen its plan, or with a plan and no end.
            if status.code() == Some(1) && sandbox.results().join("plan.json").exists() {
                let study = sandbox.study();
                if all_ended(&study) && sandbox.results().join("curves.parquet").exists() && fault.is_empty() {
                    break study;
                }
            }
            assert!(done.len() < 20 * ROUNDS + rounds, "not done after {} disturbances: {}", done.len(), said());
        };
        for run in &finished.runs {
            match (run.planned.arm.as_str(), &run.state) {
                ("hot", RunState::Ended(RunOutcome::Diverged { .. })) | (_, RunState::Ended(RunOutcome::Completed)) => {
                }
                other => panic!("{other:?}"),
            }
            assert!(run.rows.iter().map(|row| row.train_seconds).is_sorted(), "{run:?}");
        }
        // The last report may have been the one that met a full disk.
        assert_eq!(sandbox.speedlab(&["report", "sweep.yaml"]).status.code(), Some(0));
        assert!(sandbox.bits() == expected, "sweep {sweeps} has other bits after {done:?}");
        sweeps += 1;
    }
    let mut kinds = done.clone();
    kinds.sort_unstable();
    kinds.dedup();
    assert!(kinds.len() >= 6, "only {kinds:?}");
    if !kinds.contains(&"the disk full for a while") {
        println!("SKIPPED: the disk was never full, which takes a user who may mount a small one");
    }
    println!("{} disturbances of {sweeps} sweeps: {kinds:?}", done.len());
}

#[test]
fn a_run_without_memory_is_tried_in_smaller_pieces_and_then_reported() {
    let sandbox = Sandbox::new(&TINY.replace("seeds: 2", "seeds: 1"));
    let mut command = sandbox.command(&["run", "sweep.yaml"]);
    let output = command.env("SPEEDLAB_FAULT", "memory+5").output().expect("the program starts");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    for run in sandbox.study().runs {
        let pieces: Vec<usize> = run.attempts.iter().map(|started| started.micro_batches).collect();
        assert_eq!(pieces, [1, 2, 4, 8]);
        assert!(matches!(run.last_outcome, Some(RunOutcome::OutOfMemory { .. })), "{:?}", run.last_outcome);
    }
    assert!(stderr(&output).contains("takes each batch in 8 pieces"), "{}", stderr(&output));
    let status = stdout(&sandbox.speedlab(&["status", "sweep.yaml"]));
    assert!(status.contains("memory allocation of"), "{status}");
    // What was learned holds in the next session.
    let again = sandbox.speedlab(&["run", "sweep.yaml", "--quiet"]);
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    assert!(sandbox.study().runs.iter().all(|run| run.attempts.last().unwrap().micro_batches == 8));
}

#[test]
fn a_panic_in_a_kernel_ends_one_run_and_its_words_are_kept() {
    let sandbox = Sandbox::new(&TINY.replace("seeds: 2", "seeds: 1"));
    let mut command = sandbox.command(&["run", "sweep.yaml", "--quiet", "--retries", "0"]);
    let output = command.env("SPEEDLAB_FAULT", "panic+14").output().expect("the program starts");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    for run in sandbox.study().runs {
        let Some(RunOutcome::Crashed { reason }) = run.last_outcome else { panic!("{:?}", run.last_outcome) };
        assert!(reason.starts_with("exited with status 101\n") && reason.contains("a panic on purpose"), "{reason}");
    }
}

#[test]
fn a_sweep_stops_at_so_many_failures_and_says_which() {
    let sandbox = Sandbox::new(TINY);
    let args = ["run", "sweep.yaml", "--jobs", "1", "--retries", "0", "--max-failures", "2"];
    let output = sandbox.command(&args).env("SPEEDLAB_FAULT", "abort+7").output().expect("the program starts");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let crashed = |run: &speedlab::record::RunRecord| matches!(run.last_outcome, Some(RunOutcome::Crashed { .. }));
    let study = sandbox.study();
    assert_eq!(study.runs.iter().filter(|run| crashed(run)).count(), 2);
    assert_eq!(study.runs.iter().filter(|run| run.state == RunState::Waiting).count(), 2);
    assert!(stderr(&output).contains("SIGABRT"), "{}", stderr(&output));
}
