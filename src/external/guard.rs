//! A process that sees to it that a trainer does not outlive the run's own process, however that ends.

use std::io::{self, BufRead as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::schedule::RunCommand;

/// What a run's process says when there is nothing left to guard.
const DONE: &[u8] = b"done\n";

/// The running guard of a process group.
pub(super) struct Guard {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Guard {
    /// Starts this program again as the guard of a process group.
    pub fn of(group: u32) -> io::Result<Self> {
        // This program as it was when it was started, whatever its file is now.
        let own = RunCommand::this_program(vec!["guard".into(), group.to_string().into()], PathBuf::new())?;
        let mut command = Command::new(own.program);
        command.args(own.args);
        // A signal to the run's group must not reach it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let stdin = child.stdin.take();
        Ok(Self { child, stdin })
    }

    /// Lets it go without killing.
    pub fn dismiss(mut self) {
        if let Some(mut stdin) = self.stdin.take() {
            // It fails only where the guard is gone already.
            let _ = stdin.write_all(DONE);
        }
        let _ = self.child.wait();
    }
}

/// Waits until the process that started this one says that all is done, or is gone: then the group is killed.
pub fn guard(group: u32) {
    let mut line = Vec::new();
    // A pipe that cannot be read has ended.
    let _ = io::stdin().lock().read_until(b'\n', &mut line);
    if line != DONE {
        kill_group(group, true);
    }
}

/// Ends a process group; it fails only where there is none, which is what is wanted.
#[cfg(unix)]
pub(super) fn kill_group(group: u32, by_force: bool) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let signal = if by_force { Signal::KILL } else { Signal::TERM };
    if let Some(group) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, signal);
    }
}

#[cfg(not(unix))]
pub(super) fn kill_group(_: u32, _: bool) {}
