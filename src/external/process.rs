//! A trainer's process: it is started in a group of its own, read, stopped, and never left running.

use std::ffi::OsString;
use std::io::{self, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::guard::{Guard, kill_group};
use crate::device::CUDA_PATH_BEFORE;
use crate::event::RunOutcome;
use crate::schedule::{Death, LastLines, each_line, memory_kills};
use crate::spec::Trainer;

/// What it prints is cut into pieces of this many bytes.
const PIECE: u64 = 1 << 14;
/// Most that is kept of what it prints, in each attempt.
const LOG_BYTES: u64 = 64 << 20;
/// How long its pipes are waited for when its group is gone: somebody outside of it may hold them open.
const PIPE_GRACE: Duration = Duration::from_secs(2);

pub(super) struct TrainerProcess {
    child: Child,
    group: u32,
    /// What is to be written to its standard input.
    stdin: Option<Sender<String>>,
    guard: Option<Guard>,
    printed: Arc<Printed>,
    readers: Vec<JoinHandle<()>>,
    exit: Option<ExitStatus>,
    /// Whether the group was killed: its number may then be another's.
    is_ended: bool,
    /// Kills for memory on this machine before it was started.
    memory_kills_before: u64,
}

/// Gives it the `CUDA_PATH` from before ours, if ours is another: what it compiles may need all of NVIDIA's headers.
fn with_own_cuda_path(command: &mut Command, before: Option<OsString>) {
    let Some(before) = before else { return };
    command.env_remove(CUDA_PATH_BEFORE);
    match before.is_empty() {
        true => command.env_remove("CUDA_PATH"),
        false => command.env("CUDA_PATH", before),
    };
}

/// What it prints, from both of its streams.
#[derive(Default)]
struct Printed {
    last_lines: Mutex<LastLines>,
    bytes: AtomicU64,
    /// Since somebody last asked.
    is_new: AtomicBool,
}

impl TrainerProcess {
    /// Starts the command, with more in its environment.
    pub fn start(trainer: &Trainer, environment: &[(String, String)]) -> io::Result<Self> {
        let memory_kills_before = memory_kills();
        let mut guard = Guard::start()?;
        let (program, words) = trainer.command.split_first().ok_or_else(|| io::Error::other("no command"))?;
        let mut command = Command::new(program);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        with_own_cuda_path(&mut command, std::env::var_os(CUDA_PATH_BEFORE));
        let mut child = command
            .args(words)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .envs(&trainer.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let group = child.id();
        // Without a guard it would be left behind by a run that is killed: what was started then ends here.
        if let Err(error) = guard.watch(group) {
            kill_group(group);
            child.wait()?;
            return Err(error);
        }
        let printed = Arc::new(Printed::default());
        let mut readers = Vec::new();
        let stdout: Box<dyn Read + Send> = Box::new(child.stdout.take().expect("piped"));
        let stderr: Box<dyn Read + Send> = Box::new(child.stderr.take().expect("piped"));
        for pipe in [stdout, stderr] {
            let printed = printed.clone();
            readers.push(thread::spawn(move || {
                each_line(BufReader::new(pipe), PIECE, |piece| {
                    printed.take(piece);
                    true
                });
            }));
        }
        let stdin = child.stdin.take().map(writer);
        let (exit, is_ended) = (None, false);
        Ok(Self { child, group, stdin, guard: Some(guard), printed, readers, exit, is_ended, memory_kills_before })
    }

    /// Whether it printed something since the last time.
    pub fn has_printed(&self) -> bool {
        self.printed.is_new.swap(false, Ordering::Relaxed)
    }

    /// How a run ends whose trainer ended so without a word.
    pub fn death(&self, status: ExitStatus) -> RunOutcome {
        let last_lines = self.printed.last_lines.lock().unwrap_or_else(PoisonError::into_inner).all();
        let system_lacked_memory = memory_kills() > self.memory_kills_before;
        Death { exit: Ok(status), killed: None, system_lacked_memory, last_lines: &last_lines }.outcome()
    }

    /// Writes a line to its standard input. A trainer that does not read holds nobody up: it is told in a thread of its own.
    pub fn tell(&mut self, line: &str) {
        // Where it has closed its end, nobody wants to know.
        if self.stdin.as_ref().is_some_and(|stdin| stdin.send(format!("{line}\n")).is_err()) {
            self.stdin = None;
        }
    }

    /// Asks it to write a checkpoint and stop.
    pub fn ask_to_stop(&mut self) {
        self.tell(r#"{"event":"stop"}"#);
        terminate(self.group);
    }

    pub fn exit(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.exit.is_none() {
            self.exit = self.child.try_wait()?;
        }
        Ok(self.exit)
    }

    /// Ends it and everything it started, once, and hears the rest of what they printed.
    pub fn end(&mut self) -> io::Result<ExitStatus> {
        if let (true, Some(status)) = (self.is_ended, self.exit) {
            return Ok(status);
        }
        self.is_ended = true;
        kill_group(self.group);
        let status = match self.exit {
            Some(status) => status,
            None => {
                // It may have left its group.
                let _ = self.child.kill();
                self.child.wait()?
            }
        };
        self.exit = Some(status);
        if let Some(guard) = self.guard.take() {
            guard.dismiss();
        }
        let deadline = Instant::now() + PIPE_GRACE;
        while Instant::now() < deadline && !self.readers.iter().all(JoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(5));
        }
        Ok(status)
    }
}

/// Writes what it is sent, however long the other end takes to read it.
fn writer(mut stdin: ChildStdin) -> Sender<String> {
    let (sender, lines) = channel::<String>();
    // It ends when the process is dropped, or has closed its end.
    thread::spawn(move || {
        for line in lines {
            if stdin.write_all(line.as_bytes()).is_err() {
                return;
            }
        }
    });
    sender
}

impl Drop for TrainerProcess {
    fn drop(&mut self) {
        // It fails only for a process that somebody else has waited for.
        let _ = self.end();
    }
}

impl Printed {
    /// Passes it on to this process's own log, as far as it has room.
    fn take(&self, piece: &[u8]) {
        self.is_new.store(true, Ordering::Relaxed);
        self.last_lines.lock().unwrap_or_else(PoisonError::into_inner).push(piece);
        let before = self.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
        // A log that cannot be written is told of by whoever keeps it.
        if before + piece.len() as u64 <= LOG_BYTES {
            let _ = io::stderr().lock().write_all(piece);
        } else if before <= LOG_BYTES {
            note(&format!("the trainer has printed {} MiB; what follows is not kept", LOG_BYTES >> 20));
        }
    }
}

/// A line of the run's own log. Nobody may listen any more, which must not keep the run from recording how it ends.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "note: {text}");
}

/// SIGTERM to the process alone: launchers pass it on as they mean it.
#[cfg(unix)]
fn terminate(process: u32) {
    use rustix::process::{Pid, Signal, kill_process};
    if let Some(process) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        // It fails only for one that is gone.
        let _ = kill_process(process, Signal::TERM);
    }
}

#[cfg(not(unix))]
fn terminate(_: u32) {}

/// Why a trainer's program cannot be started, where that can be seen beforehand.
pub(crate) fn unfindable(trainer: &Trainer) -> Option<String> {
    let program = trainer.command.first()?;
    if program.contains('/') {
        return (!is_program(Path::new(program))).then(|| format!("{program} is no program"));
    }
    let path = trainer.env.get("PATH").map(OsString::from).or_else(|| std::env::var_os("PATH")).unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| is_program(&folder.join(program)));
    (!found).then(|| format!("no folder of PATH has a program {program}"))
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|known| known.is_file() && known.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file() || path.with_extension("exe").is_file()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn a_trainer_is_given_the_toolkit_from_before_ours() {
        for (before, expected) in [("/usr/local/cuda", Some(OsStr::new("/usr/local/cuda"))), ("", None)] {
            let mut command = Command::new("trainer");
            with_own_cuda_path(&mut command, Some(before.into()));
            let given: Vec<_> = command.get_envs().collect();
            assert!(given.contains(&(OsStr::new("CUDA_PATH"), expected)), "{given:?}");
            assert!(given.contains(&(OsStr::new(CUDA_PATH_BEFORE), None)), "{given:?}");
        }
        let mut command = Command::new("trainer");
        with_own_cuda_path(&mut command, None);
        assert_eq!(command.get_envs().count(), 0);
    }
}
