//! Processes and their pipes.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use speedlab::event::{RunEvent, RunOutcome};
use speedlab::schedule::{
    Device, News, Policy, ProcessExecutor, Queue, QueuedRun, RunCommand, Start, Stop, Update, execute,
};

use super::{Session, crash_reason, ended, kill, progress, run_id, say};

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
        environment: vec![],
        log: log.clone(),
    });
    let run = QueuedRun::new(run_id(0), 0, None, 64);
    let device = Device::new("cpu", 1, 1);
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
    let run = QueuedRun::new(run_id(0), 0, None, 64);
    let device = Device::new("cpu", 1, 1);
    let queue = Queue::new(vec![run], vec![device], Policy { retries: 0, ..Policy::default() });
    execute(queue, &mut ProcessExecutor::new(command), &mut |_| {}, &Stop::default());
    assert!(fs::read_to_string(&log).unwrap().contains("schedule::processes::this_program_is_what_runs_again: test"));
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
fn a_short_run_costs_little_more_than_its_process() {
    let session = Session::of((0..50).map(|_| ended(RunOutcome::Completed)));
    let (summary, _) = session.execute(&Stop::default(), &mut |_| {});
    assert_eq!(summary.counts.completed, 50);
    let overhead_seconds = summary.elapsed.as_secs_f64() / 50.0;
    assert!(overhead_seconds < 0.1, "{overhead_seconds:.4} s per run"); // 2 at once; generous, for a busy machine
}
