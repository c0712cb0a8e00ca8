//! A process that kills a trainer when the run's own process has ended, for whatever reason.

use std::io::{self, BufRead as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
#[cfg(unix)]
use std::sync::{Arc, atomic::AtomicBool};

use crate::schedule::RunCommand;

/// What a run's process says when there is nothing left to guard.
const DONE: &str = "done";

/// The running guard of a process group.
pub(super) struct Guard {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Guard {
    /// Starts this program again as a guard, which guards nothing yet.
    pub fn start() -> io::Result<Self> {
        // This program as it was when it was started, whatever its file is now.
        let own = RunCommand::this_program(vec!["guard".into()], PathBuf::new())?;
        let mut command = Command::new(own.program);
        command.args(own.args);
        // A signal to the run's group must not reach it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let stdin = child.stdin.take();
        Ok(Self { child, stdin })
    }

    /// Names the group that it guards.
    pub fn watch(&mut self, group: u32) -> io::Result<()> {
        self.say(&group.to_string())
    }

    /// Lets it go without killing.
    pub fn dismiss(mut self) {
        // It fails only where the guard is gone already.
        let _ = self.say(DONE);
        self.stdin = None;
        let _ = self.child.wait();
    }

    fn say(&mut self, word: &str) -> io::Result<()> {
        match &mut self.stdin {
            Some(stdin) => stdin.write_all(format!("{word}\n").as_bytes()),
            None => Ok(()),
        }
    }
}

/// Waits until the process that started this one says that all is done, or is gone: then the group that it named is killed. Signals that
/// end others do not end it.
pub fn guard() -> io::Result<()> {
    #[cfg(unix)]
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let mut group = None;
    // A pipe that cannot be read has ended.
    for word in io::stdin().lock().lines().map_while(Result::ok) {
        match word.parse() {
            Ok(number) => group = Some(number),
            Err(_) if word == DONE => return Ok(()),
            Err(_) => {}
        }
    }
    if let Some(group) = group {
        kill_group(group);
    }
    Ok(())
}

/// Ends a process group at once; it fails only where there is none, which is what is wanted.
#[cfg(unix)]
pub(super) fn kill_group(group: u32) {
    use rustix::process::{Pid, Signal, kill_process_group};
    if let Some(group) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

#[cfg(not(unix))]
pub(super) fn kill_group(_: u32) {}
