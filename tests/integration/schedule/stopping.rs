//! Stopping a sweep: by a word, by a signal, by the parent's end.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::time::Duration;

use speedlab::event::{RunEvent, RunOutcome, Stamp};
use speedlab::schedule::{
    Device, Leash, News, Policy, ProcessExecutor, Queue, QueuedRun, RunCommand, RunExecutor, Standing, Start, Stop,
    execute,
};

use super::{Session, ended, kill, progress, run_id, say, start_part, this_binary, wait_for_file, wait_until_gone};

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
            let (_, standing) = update.queue.standings(update.at).next().expect("there is one run");
            assert!(matches!(standing, Standing::Running { .. }), "it is waited for: {standing:?}");
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
        environment: vec![],
        log: folder.path().join("log.txt"),
    });
    let run = QueuedRun::new(run_id(0), 0, None, 64);
    let mut queue = Queue::new(vec![run], vec![Device::new("cpu", 1, 1)], Policy::default());
    executor.start(&queue.next(executor.now()).unwrap()).unwrap();
    let pid = wait_for_file(&pid_file);
    assert!(Path::new("/proc").join(pid.trim()).exists());
    drop(executor);
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "neither alive nor a zombie");
}

/// Says progress until it is to stop, then writes its "checkpoint" and says so.
pub fn child_on_a_leash() {
    let leash = Leash::listen(Duration::from_secs(60), false).unwrap();
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
pub fn parent_of_a_child_on_a_leash() {
    let stop = Stop::on_signals().unwrap();
    let command = |_: &Start| RunCommand {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), this_binary("child").into()],
        environment: vec![],
        log: "log.txt".into(),
    };
    let run = QueuedRun::new(run_id(0), 0, None, 64);
    let queue = Queue::new(vec![run], vec![Device::new("cpu", 1, 1)], Policy::default());
    let summary = execute(queue, &mut ProcessExecutor::new(command), &mut |_| {}, &stop);
    assert_eq!(summary.counts.interrupted, 1);
    std::process::exit(stop.exit_code().map_or(0, i32::from));
}

/// Has given its `Stop` back and waits to be ended by a signal.
pub fn parent_after_its_sweep() {
    drop(Stop::on_signals().unwrap());
    fs::write("child.pid", std::process::id().to_string()).unwrap();
    std::thread::sleep(Duration::from_secs(60));
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
