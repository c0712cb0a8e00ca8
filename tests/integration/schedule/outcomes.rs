//! How runs end, and what becomes of those that failed.

use std::fs;
use std::time::{Duration, Instant};

use speedlab::event::RunOutcome;
use speedlab::schedule::{
    Decision, Device, News, Policy, ProcessExecutor, Queue, QueuedRun, RunCommand, Start, Stop, StopReason, Update,
    execute,
};

use super::{Session, crash_reason, ended, progress, run_id, say};

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
    assert_eq!(reason_of("kill -KILL $$"), "killed by signal 9: by somebody, or for memory");
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
    let command = |_: &Start| RunCommand {
        program: "/no/such/program".into(),
        args: vec![],
        environment: vec![],
        log: folder.path().join("log.txt"),
    };
    let run = QueuedRun::new(run_id(0), 0, None, 64);
    let device = Device::new("cpu", 1, 1);
    let policy = Policy { retries: 1, retry_pause: Duration::from_millis(10), max_failures: None };
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
fn a_start_on_a_full_disk_pauses_the_sweep_with_its_reason() {
    let mut executor = ProcessExecutor::new(|_: &Start| RunCommand {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), ended(RunOutcome::Completed).into()],
        environment: vec![],
        log: "/dev/full".into(),
    });
    let run = QueuedRun::new(run_id(0), 0, None, 64);
    let device = Device::new("cpu", 1, 1);
    let queue = Queue::new(vec![run], vec![device], Policy { retries: 0, ..Policy::default() });
    let (stop, mut reasons) = (Stop::default(), Vec::new());
    let mut observer = |update: Update| {
        if let News::Decided(Decision::Paused { reason }) = update.news {
            reasons.push(reason.clone());
            stop.request();
        }
    };
    let summary = execute(queue, &mut executor, &mut observer, &stop);
    assert_eq!((summary.counts.waiting, summary.stopped), (1, Some(StopReason::Asked)));
    assert_eq!(reasons, ["could not open the log /dev/full: No space left on device (os error 28)"]);
}

#[test]
fn a_run_that_says_nothing_for_too_long_is_killed_and_started_again() {
    let script = format!("{}; [ $start = 1 ] && sleep 60; {}", say(&progress(1)), ended(RunOutcome::Completed));
    let mut session = Session::of([script]);
    session.policy.retries = 1;
    session.patience = Duration::from_secs(2);
    let began = Instant::now();
    let (summary, heard) = session.execute(&Stop::default(), &mut |_| {});
    assert!(summary.all_done());
    let outcomes = &heard.outcomes[&run_id(0)];
    assert!(
        matches!(&outcomes[0], RunOutcome::TimedOut { reason } if reason.starts_with("said nothing for ")),
        "{outcomes:?}"
    );
    assert_eq!(outcomes[1..], [RunOutcome::Completed]);
    assert!(began.elapsed() < Duration::from_secs(30), "the sleeper was waited for");
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
