//! Runs as real processes: shell scripts that speak events, and this test binary itself as a child on a leash.

mod outcomes;
mod processes;
mod progress_display;
mod stopping;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use speedlab::event::{Phase, RunEvent, RunOutcome, Stamp};
use speedlab::schedule::{
    Device, News, Policy, ProcessExecutor, Queue, QueuedRun, RunCommand, Start, Stop, Summary, Update, execute,
};
use speedlab::spec::RunId;

use self::progress_display::parent_that_shows_progress;
use self::stopping::{child_on_a_leash, parent_after_its_sweep, parent_of_a_child_on_a_leash};

fn run_id(number: usize) -> RunId {
    RunId::parse(&format!("{number:012x}")).expect("twelve hexadecimal digits")
}

fn ended(outcome: RunOutcome) -> String {
    let stamp = Stamp {
        step: 10,
        images_seen: 640,
        train_seconds: 1.5,
        eval_seconds: 0.5,
        wall_seconds: 2.0,
        ..Stamp::default()
    };
    say(&RunEvent::Ended { stamp, outcome })
}

fn progress(step: u64) -> RunEvent {
    RunEvent::Progress { stamp: Stamp { step, ..Stamp::default() }, loss: Some(0.25), phase: Phase::Training }
}

/// A shell command that says an event.
fn say(event: &RunEvent) -> String {
    format!("printf '%s\\n' '{}'", serde_json::to_string(event).unwrap())
}

/// What one session did, run by run.
#[derive(Default)]
struct Heard {
    events: BTreeMap<RunId, Vec<RunEvent>>,
    /// The outcome of every start.
    outcomes: BTreeMap<RunId, Vec<RunOutcome>>,
}

/// A session of shell scripts, one per run, in a folder of its own.
struct Session {
    folder: tempfile::TempDir,
    scripts: Vec<String>,
    policy: Policy,
    slots: usize,
    exit_grace: Duration,
    patience: Duration,
}

impl Session {
    fn of(scripts: impl IntoIterator<Item = String>) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            scripts: scripts.into_iter().collect(),
            policy: Policy { retry_pause: Duration::from_millis(10), retries: 0, max_failures: None },
            slots: 2,
            exit_grace: Duration::from_secs(30),
            patience: Duration::from_secs(1800),
        }
    }

    fn log(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("runs/{}/log.txt", run_id(number)))
    }

    fn log_text(&self, number: usize) -> String {
        String::from_utf8_lossy(&fs::read(self.log(number)).unwrap()).into_owned()
    }

    fn execute(&self, stop: &Stop, watch: &mut dyn FnMut(&Update)) -> (Summary, Heard) {
        let run = |number| QueuedRun::new(run_id(number), 0, None, 64);
        let device = Device::new("cpu", self.slots, 3);
        let queue = Queue::new((0..self.scripts.len()).map(run).collect(), vec![device], self.policy);
        let command = |start: &Start| {
            let number = usize::from_str_radix(start.run_id.as_str(), 16).unwrap();
            let script =
                format!("start={}; cd '{}'; {}", start.number, self.folder.path().display(), self.scripts[number]);
            RunCommand {
                program: "/bin/sh".into(),
                args: vec!["-c".into(), script.into()],
                environment: vec![],
                log: self.log(number),
            }
        };
        let mut executor = ProcessExecutor::new(command);
        executor.exit_grace = self.exit_grace;
        executor.patience = self.patience;
        let mut heard = Heard::default();
        let mut observer = |update: Update| {
            match update.news {
                News::Said { run_id, event } => heard.events.entry(run_id.clone()).or_default().push(event.clone()),
                News::Ended { run_id, outcome, .. } => {
                    heard.outcomes.entry(run_id.clone()).or_default().push(outcome.clone());
                }
                _ => {}
            }
            watch(&update);
        };
        let summary = execute(queue, &mut executor, &mut observer, stop);
        (summary, heard)
    }

    /// The only run's outcome, after a session without retries.
    fn outcome(&self) -> RunOutcome {
        let (summary, heard) = self.execute(&Stop::default(), &mut |_| {});
        assert_eq!(summary.counts.total(), 1);
        heard.outcomes[&run_id(0)][0].clone()
    }
}

fn crash_reason(outcome: RunOutcome) -> String {
    match outcome {
        RunOutcome::Crashed { reason } => reason,
        other => panic!("not a crash: {other:?}"),
    }
}

// --- The child's side and the parent's signals, in processes of their own: this test binary, called again. ---

/// Names the part that a process started by [`this_binary`] plays.
const PART: &str = "SPEEDLAB_TEST_PART";

/// A shell command that runs this test binary as one of the parts below.
fn this_binary(part: &str) -> String {
    let binary = std::env::current_exe().unwrap();
    format!("{PART}={part} exec '{}' --exact schedule::plays_a_part --nocapture --test-threads=1", binary.display())
}

/// Does nothing by itself: the tests below start this binary with `PART` set.
#[test]
fn plays_a_part() {
    match std::env::var(PART).as_deref() {
        Ok("child") => child_on_a_leash(),
        Ok("parent") => parent_of_a_child_on_a_leash(),
        Ok("released") => parent_after_its_sweep(),
        Ok("progress") => parent_that_shows_progress(),
        Ok(other) => panic!("no such part: {other}"),
        Err(_) => {}
    }
}

/// Starts a part as a process in `folder`.
fn start_part(part: &str, folder: &Path) -> std::process::Child {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &this_binary(part)]).current_dir(folder).stdout(std::process::Stdio::null());
    command.stdin(std::process::Stdio::piped()).spawn().unwrap()
}

fn wait_for_file(path: &Path) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !path.exists() {
        assert!(Instant::now() < deadline, "{} does not appear", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
    fs::read_to_string(path).unwrap()
}

fn wait_until_gone(pid: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    // An orphan stays a zombie where nobody reaps it; a zombie has no command line.
    while !fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default().is_empty() {
        assert!(Instant::now() < deadline, "process {pid} lives on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn kill(signal: &str, pid: &str) {
    assert!(Command::new("/bin/sh").args(["-c", &format!("kill -{signal} {pid}")]).status().unwrap().success());
}
