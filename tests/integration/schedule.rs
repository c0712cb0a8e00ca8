//! Runs as real processes: shell scripts that speak events, and this test binary itself as a child on a leash.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use speedlab::cli::progress::{Progress, RunLabel};
use speedlab::event::{Measure, Phase, RunEvent, RunOutcome, Stamp};
use speedlab::schedule::{
    Device, Leash, News, Policy, ProcessExecutor, Queue, QueuedRun, RunCommand, RunExecutor, Standing, Start, Stop,
    Summary, Update, execute,
};
use speedlab::spec::RunId;

fn run_id(number: usize) -> RunId {
    RunId::parse(&format!("{number:012x}")).expect("twelve hexadecimal digits")
}

fn ended(outcome: RunOutcome) -> String {
    let stamp = Stamp { step: 10, images_seen: 640, train_seconds: 1.5, eval_seconds: 0.5, wall_seconds: 2.0 };
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
}

impl Session {
    fn of(scripts: impl IntoIterator<Item = String>) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            scripts: scripts.into_iter().collect(),
            policy: Policy { retry_pause: Duration::from_millis(10), retries: 0, fail_fast: false },
            slots: 2,
            exit_grace: Duration::from_secs(30),
        }
    }

    fn log(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("runs/{}/log.txt", run_id(number)))
    }

    fn log_text(&self, number: usize) -> String {
        String::from_utf8_lossy(&fs::read(self.log(number)).unwrap()).into_owned()
    }

    fn execute(&self, stop: &Stop, watch: &mut dyn FnMut(&Update)) -> (Summary, Heard) {
        let run = |number| QueuedRun { run_id: run_id(number), seed: 0, cost: None, outcome: None };
        let device = Device { name: "cpu".into(), slots: self.slots, threads: 3 };
        let queue = Queue::new((0..self.scripts.len()).map(run).collect(), vec![device], self.policy);
        let command = |start: &Start| {
            let number = usize::from_str_radix(start.run_id.as_str(), 16).unwrap();
            let script =
                format!("start={}; cd '{}'; {}", start.number, self.folder.path().display(), self.scripts[number]);
            RunCommand { program: "/bin/sh".into(), args: vec!["-c".into(), script.into()], log: self.log(number) }
        };
        let mut executor = ProcessExecutor::new(command);
        executor.exit_grace = self.exit_grace;
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

#[test]
fn runs_that_speak_and_end_are_heard_in_full() {
    let scripts =
        (0..5).map(|n| format!("{}; {}; {}", say(&progress(n)), say(&progress(n + 1)), ended(RunOutcome::Completed)));
    let session = Session::of(scripts);
    let (summary, heard) = session.execute(&Stop::default(), &mut |_| {});
    assert!(summary.all_done());
    assert_eq!((summary.counts.completed, summary.stopped.clone(), summary.troubles.len()), (5, None, 0));
    for number in 0..5 {
        let events = &heard.events[&run_id(number)];
        assert_eq!(events[..2], [progress(number as u64), progress(number as u64 + 1)]);
        assert!(matches!(events[2], RunEvent::Ended { .. }) && events.len() == 3);
        assert_eq!(heard.outcomes[&run_id(number)], [RunOutcome::Completed]);
    }
}

#[test]
fn a_child_gets_its_threads_and_its_own_process_group() {
    let session = Session::of([format!(
        "echo threads=$RAYON_NUM_THREADS; echo pid=$$ group=$(ps -o pgid= -p $$ 2>/dev/null || cut -d' ' -f5 /proc/$$/stat); {}",
        ended(RunOutcome::Completed)
    )]);
    assert_eq!(session.outcome(), RunOutcome::Completed);
    let log = session.log_text(0);
    assert!(log.contains("threads=3\n"), "{log}");
    let line = log.lines().find(|line| line.starts_with("pid=")).unwrap();
    let (pid, group) = line.trim_start_matches("pid=").split_once(" group=").unwrap();
    assert_eq!(pid, group.trim(), "{log}");
}

#[test]
fn a_stated_outcome_holds_whatever_the_exit_status() {
    for outcome in [RunOutcome::Diverged { reason: "loss is NaN at step 7".into() }, RunOutcome::ReachedTarget] {
        assert_eq!(Session::of([format!("{}; exit 9", ended(outcome.clone()))]).outcome(), outcome);
    }
}

#[test]
fn a_crash_has_its_status_and_the_last_lines_as_reason() {
    let session = Session::of(["echo first >&2; echo 'thread main panicked' >&2; exit 3".to_owned()]);
    let reason = crash_reason(session.outcome());
    assert_eq!(reason, "exited with status 3\nfirst\nthread main panicked");
    assert!(session.log_text(0).ends_with("first\nthread main panicked\n"));
}

#[test]
fn a_signal_is_named() {
    let reason_of = |script: &str| crash_reason(Session::of([script.to_owned()]).outcome());
    assert_eq!(reason_of("kill -ABRT $$"), "killed by signal 6 (SIGABRT)");
    assert_eq!(reason_of("kill -KILL $$"), "killed by signal 9 (out of memory?)");
    assert_eq!(reason_of("kill -SEGV $$"), "killed by signal 11 (SIGSEGV)");
}

#[test]
fn an_allocation_that_failed_is_out_of_memory() {
    let session = Session::of(["echo 'memory allocation of 99 bytes failed' >&2; kill -ABRT $$".to_owned()]);
    let reason = "killed by signal 6 (SIGABRT)\nmemory allocation of 99 bytes failed".to_owned();
    assert_eq!(session.outcome(), RunOutcome::OutOfMemory { reason });
}

#[test]
fn an_exit_without_a_word_is_a_crash() {
    assert_eq!(crash_reason(Session::of(["exit 0".to_owned()]).outcome()), "exited without saying how it ended");
}

#[test]
fn a_program_that_is_not_there_is_a_crash_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let command =
        |_: &Start| RunCommand { program: "/no/such/program".into(), args: vec![], log: folder.path().join("log.txt") };
    let run = QueuedRun { run_id: run_id(0), seed: 0, cost: None, outcome: None };
    let device = Device { name: "cpu".into(), slots: 1, threads: 1 };
    let policy = Policy { retries: 1, retry_pause: Duration::from_millis(10), fail_fast: false };
    let queue = Queue::new(vec![run], vec![device], policy);
    let summary = execute(queue, &mut ProcessExecutor::new(command), &mut |_| {}, &Stop::default());
    let reason = crash_reason(summary.troubles[0].1.clone());
    assert_eq!(reason, "could not start `/no/such/program`: No such file or directory (os error 2)");
    assert_eq!(summary.retries, 1);
}

#[test]
fn a_log_that_cannot_be_opened_is_a_crash_with_its_path() {
    let session = Session::of([ended(RunOutcome::Completed)]);
    fs::write(session.folder.path().join("runs"), "a file where the folder should be").unwrap();
    let reason = crash_reason(session.outcome());
    assert!(reason.starts_with(&format!("could not open the log {}: ", session.log(0).display())), "{reason}");
}

#[test]
fn a_start_on_a_full_disk_is_a_crash_with_its_reason() {
    let mut executor = ProcessExecutor::new(|_: &Start| RunCommand {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), ended(RunOutcome::Completed).into()],
        log: "/dev/full".into(),
    });
    let run = QueuedRun { run_id: run_id(0), seed: 0, cost: None, outcome: None };
    let device = Device { name: "cpu".into(), slots: 1, threads: 1 };
    let queue = Queue::new(vec![run], vec![device], Policy { retries: 0, ..Policy::default() });
    let summary = execute(queue, &mut executor, &mut |_| {}, &Stop::default());
    let reason = crash_reason(summary.troubles[0].1.clone());
    assert_eq!(reason, "could not open the log /dev/full: No space left on device (os error 28)");
}

#[test]
fn a_log_that_breaks_is_reported_once_and_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.txt");
    // A pipe whose reader leaves after the first line stands for a disk that fills up.
    let script = format!("mkfifo '{0}' && head -n 1 '{0}' > /dev/null", log.display());
    let mut reader = Command::new("/bin/sh").args(["-c", &script]).spawn().unwrap();
    while !log.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let left = folder.path().join("left");
    let script = format!(
        "while [ ! -e '{}' ]; do sleep 0.01; done; for i in 1 2 3; do echo oops >&2; done; {}",
        left.display(),
        ended(RunOutcome::Completed)
    );
    let mut executor = ProcessExecutor::new(|_: &Start| RunCommand {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.clone().into()],
        log: log.clone(),
    });
    let run = QueuedRun { run_id: run_id(0), seed: 0, cost: None, outcome: None };
    let device = Device { name: "cpu".into(), slots: 1, threads: 1 };
    let queue = Queue::new(vec![run], vec![device], Policy::default());
    let mut reports = Vec::new();
    let mut observer = |update: Update| match update.news {
        News::Started(_) => {
            reader.wait().unwrap();
            fs::write(&left, "").unwrap();
        }
        News::LogLost { reason, .. } => reports.push(reason.to_owned()),
        _ => {}
    };
    let summary = execute(queue, &mut executor, &mut observer, &Stop::default());
    assert!(summary.all_done());
    assert_eq!(reports, ["Broken pipe (os error 32)"]);
}

#[test]
fn this_program_is_what_runs_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.txt");
    let command = |_: &Start| RunCommand::this_program(vec!["--list".into()], log.clone()).unwrap();
    let run = QueuedRun { run_id: run_id(0), seed: 0, cost: None, outcome: None };
    let device = Device { name: "cpu".into(), slots: 1, threads: 1 };
    let queue = Queue::new(vec![run], vec![device], Policy { retries: 0, ..Policy::default() });
    execute(queue, &mut ProcessExecutor::new(command), &mut |_| {}, &Stop::default());
    assert!(fs::read_to_string(&log).unwrap().contains("schedule::this_program_is_what_runs_again: test"));
}

#[test]
fn garbage_on_standard_output_goes_to_the_log() {
    let event = serde_json::to_string(&progress(3)).unwrap();
    let script = format!(
        "echo hello; echo '{{\"event\":\"unheard_of\"}}'; echo '{}'; printf '\\377\\376\\n'; head -c 3000000 /dev/zero; echo; {}; {}",
        &event[..event.len() - 1],
        say(&progress(4)),
        ended(RunOutcome::Completed)
    );
    let session = Session::of([script]);
    let (summary, heard) = session.execute(&Stop::default(), &mut |_| {});
    assert!(summary.all_done());
    assert_eq!(heard.events[&run_id(0)][0], progress(4));
    let log = session.log_text(0);
    assert!(log.contains("hello\n{\"event\":\"unheard_of\"}\n"), "{}", &log[..200]);
    assert!(log.len() > 3_000_000);
}

#[test]
fn a_huge_standard_error_neither_blocks_nor_fills_memory() {
    let script = format!(
        "yes 'a line of noise that is repeated' | head -c 20000000 >&2; {}; echo last words >&2; exit 4",
        say(&progress(1))
    );
    let session = Session::of([script]);
    let reason = crash_reason(session.outcome());
    assert_eq!(reason.lines().count(), 21, "status and 20 lines");
    assert!(reason.ends_with("last words"), "{reason}");
    assert!(fs::metadata(session.log(0)).unwrap().len() > 20_000_000);
}

#[test]
fn thousands_of_events_arrive_in_order() {
    let line =
        |step: &str| serde_json::to_string(&progress(7)).unwrap().replace("\"step\":7", &format!("\"step\":{step}"));
    let script =
        format!("seq 1 20000 | sed 's/.*/{}/'; {}", line("&").replace('/', "\\/"), ended(RunOutcome::Completed));
    let (summary, heard) = Session::of([script]).execute(&Stop::default(), &mut |_| {});
    assert!(summary.all_done());
    let events = &heard.events[&run_id(0)];
    assert_eq!(events.len(), 20_001);
    assert!((1..=20_000).zip(events).all(|(step, event)| *event == progress(step)));
}

#[test]
fn a_child_that_closes_its_pipes_early_is_waited_for() {
    let script = format!("{}; exec >&- 2>&-; sleep 0.5; echo late > late.txt", ended(RunOutcome::Completed));
    let session = Session::of([script]);
    assert_eq!(session.outcome(), RunOutcome::Completed);
    assert!(session.folder.path().join("late.txt").exists(), "the process had ended when its end was reported");
}

#[test]
fn something_left_behind_that_holds_the_pipes_does_not_hold_up_the_sweep() {
    let begun = Instant::now();
    let session = Session::of([format!("sleep 60 & echo $! > sleeper; {}", ended(RunOutcome::Completed))]);
    assert_eq!(session.outcome(), RunOutcome::Completed);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    kill("KILL", fs::read_to_string(session.folder.path().join("sleeper")).unwrap().trim());
}

#[test]
fn a_child_that_lingers_after_its_end_is_killed_and_its_word_holds() {
    let mut session = Session::of([format!("{}; exec sleep 60", ended(RunOutcome::Completed))]);
    session.exit_grace = Duration::from_millis(300);
    let begun = Instant::now();
    assert_eq!(session.outcome(), RunOutcome::Completed);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn a_crash_is_retried_and_its_log_keeps_every_start() {
    let recovers = format!("echo start $start >&2; [ $start -ge 3 ] || exit 5; {}", ended(RunOutcome::Completed));
    let mut session = Session::of([recovers, "echo always >&2; exit 6".to_owned(), ended(RunOutcome::Completed)]);
    session.policy.retries = 2;
    let (summary, heard) = session.execute(&Stop::default(), &mut |_| {});
    assert_eq!(heard.outcomes[&run_id(0)].len(), 3);
    assert_eq!(heard.outcomes[&run_id(0)][2], RunOutcome::Completed);
    assert_eq!(heard.outcomes[&run_id(1)].len(), 3);
    assert_eq!((summary.counts.completed, summary.counts.crashed, summary.retries), (2, 1, 4));
    assert_eq!(summary.troubles.len(), 1);
    assert_eq!(crash_reason(summary.troubles[0].1.clone()), "exited with status 6\nalways");
    let log = session.log_text(0);
    for start in 1..=3 {
        assert!(log.contains(&format!(" start {start} on cpu, threads: 3\nstart {start}\n")), "{log}");
    }
}

#[test]
fn a_request_to_stop_reaches_the_child_as_a_word() {
    let interrupted = RunOutcome::Interrupted { reason: "asked to stop".into() };
    let script = format!("{}; read word; echo got $word; {}", say(&progress(1)), ended(interrupted.clone()));
    let session = Session::of([script.clone(), script, "exit 0".to_owned()]);
    let stop = Stop::default();
    let spoken = RefCell::new(0);
    let (summary, heard) = session.execute(&stop, &mut |update| {
        if let News::Said { event: RunEvent::Progress { .. }, .. } = update.news {
            *spoken.borrow_mut() += 1;
            if *spoken.borrow() == 2 {
                stop.request();
            }
        }
    });
    assert_eq!((summary.counts.interrupted, summary.counts.waiting), (2, 1));
    assert_eq!(heard.outcomes[&run_id(0)], [interrupted]);
    assert!(session.log_text(0).ends_with("got stop\n"), "{}", session.log_text(0));
    assert!(!session.log(2).exists(), "nothing starts any more");
    assert!(!summary.all_done());
}

#[test]
fn a_child_that_ignores_the_word_is_killed_by_the_second_request() {
    let script = format!("trap '' TERM INT; {}; while :; do sleep 0.05; done", say(&progress(1)));
    let session = Session::of([script]);
    let stop = Stop::default();
    let mut asked_at = None;
    let (summary, heard) = session.execute(&stop, &mut |update| match update.news {
        News::Said { .. } => stop.request(),
        News::Stopping(_) => asked_at = Some(update.at),
        News::Tick
            if asked_at.is_some_and(|at| update.at > at + Duration::from_millis(300)) && stop.requests() == 1 =>
        {
            let standing = update.queue.explain(&run_id(0), update.at);
            assert!(matches!(standing, Some(Standing::Running { .. })), "it is waited for: {standing:?}");
            stop.request();
        }
        _ => {}
    });
    let reason = "killed; goes on from its last checkpoint".to_owned();
    assert_eq!(heard.outcomes[&run_id(0)], [RunOutcome::Interrupted { reason }]);
    assert_eq!((summary.counts.interrupted, summary.counts.crashed), (1, 0));
}

#[test]
fn dropping_the_executor_ends_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let script = format!("echo $$ > '{0}.part'; mv '{0}.part' '{0}'; exec sleep 60", pid_file.display());
    let mut executor = ProcessExecutor::new(|_: &Start| RunCommand {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.clone().into()],
        log: folder.path().join("log.txt"),
    });
    let run = QueuedRun { run_id: run_id(0), seed: 0, cost: None, outcome: None };
    let mut queue = Queue::new(vec![run], vec![Device { name: "cpu".into(), slots: 1, threads: 1 }], Policy::default());
    executor.start(&queue.next(executor.now()).unwrap()).unwrap();
    let pid = wait_for_file(&pid_file);
    assert!(Path::new("/proc").join(pid.trim()).exists());
    drop(executor);
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "neither alive nor a zombie");
}

#[test]
fn a_short_run_costs_little_more_than_its_process() {
    let session = Session::of((0..50).map(|_| ended(RunOutcome::Completed)));
    let (summary, _) = session.execute(&Stop::default(), &mut |_| {});
    assert_eq!(summary.counts.completed, 50);
    let overhead_seconds = summary.elapsed.as_secs_f64() / 50.0;
    assert!(overhead_seconds < 0.1, "{overhead_seconds:.4} s per run"); // 2 at once; generous, for a busy machine
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

/// Says progress until it is to stop, then writes its "checkpoint" and says so.
fn child_on_a_leash() {
    let leash = Leash::listen().unwrap();
    fs::write("child.pid.part", std::process::id().to_string()).unwrap();
    fs::rename("child.pid.part", "child.pid").unwrap();
    let mut step = 0;
    while !leash.says_stop() {
        step += 1;
        leash.tell(&progress(step));
        std::thread::sleep(Duration::from_millis(5));
    }
    fs::write("checkpoint.part", step.to_string()).unwrap();
    fs::rename("checkpoint.part", "checkpoint").unwrap();
    let stamp = Stamp { step, ..Stamp::default() };
    leash.tell(&RunEvent::Ended { stamp, outcome: RunOutcome::Interrupted { reason: "asked to stop".into() } });
    std::process::exit(0);
}

/// A session of one such child, which ends by signals to this process.
fn parent_of_a_child_on_a_leash() {
    let stop = Stop::on_signals().unwrap();
    let command = |_: &Start| RunCommand {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), this_binary("child").into()],
        log: "log.txt".into(),
    };
    let run = QueuedRun { run_id: run_id(0), seed: 0, cost: None, outcome: None };
    let queue = Queue::new(vec![run], vec![Device { name: "cpu".into(), slots: 1, threads: 1 }], Policy::default());
    let summary = execute(queue, &mut ProcessExecutor::new(command), &mut |_| {}, &stop);
    assert_eq!(summary.counts.interrupted, 1);
    std::process::exit(stop.exit_code().map_or(0, i32::from));
}

/// Has given its `Stop` back and waits to be ended by a signal.
fn parent_after_its_sweep() {
    drop(Stop::on_signals().unwrap());
    fs::write("child.pid", std::process::id().to_string()).unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

/// Shows a session of small fake trainings: two seeds of three arms, of which one diverges and one crashes. Worth a
/// look on a terminal: `SPEEDLAB_TEST_PART=progress SPEEDLAB_TEST_PAUSE=0.05 <test binary> --exact
/// schedule::plays_a_part --nocapture 2>&1 >/dev/null`.
fn parent_that_shows_progress() {
    let pause = std::env::var("SPEEDLAB_TEST_PAUSE").unwrap_or("0".into());
    let steps = 2000;
    let arms = ["baseline", "clts", "clts+mdlrc model.channels=32"];
    let label = |number: usize| RunLabel {
        run_id: run_id(number),
        trial: arms[number % 3].to_owned(),
        seed: number as u64 / 3,
        steps,
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
        let fid = Measure { metric: "fid".into(), protocol: String::new(), value: 12.5 };
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
            log: folder.path().join(format!("{}.txt", start.run_id)),
        }
    };
    let run = |number: usize| QueuedRun { run_id: run_id(number), seed: number as u64 / 3, cost: None, outcome: None };
    let device = Device { name: "cpu".into(), slots: 2, threads: 1 };
    let queue = Queue::new((0..6).map(run).collect(), vec![device], Policy { retries: 1, ..Policy::default() });
    let quiet = std::env::var_os("SPEEDLAB_TEST_QUIET").is_some();
    let mut progress = Progress::new("quickstart", (0..6).map(label).collect(), quiet, false);
    let stop = Stop::on_signals().unwrap();
    let summary = execute(queue, &mut ProcessExecutor::new(command), &mut |update| progress.show(&update), &stop);
    std::process::exit(if summary.all_done() { 0 } else { stop.exit_code().map_or(1, i32::from) });
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

#[test]
fn a_signal_to_the_parent_lets_the_child_write_its_checkpoint() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let folder = tempfile::tempdir().unwrap();
        let mut parent = start_part("parent", folder.path());
        let child = wait_for_file(&folder.path().join("child.pid"));
        kill(signal, &parent.id().to_string());
        assert_eq!(parent.wait().unwrap().code(), Some(code), "SIG{signal}");
        assert!(folder.path().join("checkpoint").exists());
        wait_until_gone(&child);
    }
}

#[test]
fn children_of_a_killed_parent_write_a_checkpoint_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut parent = start_part("parent", folder.path());
    let child = wait_for_file(&folder.path().join("child.pid"));
    parent.kill().unwrap();
    parent.wait().unwrap();
    wait_for_file(&folder.path().join("checkpoint"));
    wait_until_gone(&child);
}

#[test]
fn a_child_stops_at_its_first_signal() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start_part("child", folder.path());
    wait_for_file(&folder.path().join("child.pid"));
    kill("TERM", &child.id().to_string());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(folder.path().join("checkpoint").exists());
}

#[test]
fn after_its_sweep_a_signal_ends_the_program_as_usual() {
    use std::os::unix::process::ExitStatusExt;
    let folder = tempfile::tempdir().unwrap();
    let mut parent = start_part("released", folder.path());
    wait_for_file(&folder.path().join("child.pid"));
    kill("INT", &parent.id().to_string());
    assert_eq!(parent.wait().unwrap().signal(), Some(2));
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
