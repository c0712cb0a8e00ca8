//! One run's process, with its three pipes.

use std::io::{BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::failure::{Death, Killed};
use super::log::{Log, each_line};
use super::{RunCommand, Start, StartError, memory_kills};
use crate::event::{RunEvent, RunOutcome};
use crate::spec::RunId;

/// Longest line that is read as an event; longer ones are passed on to the log in pieces.
const LINE_LIMIT: u64 = 1 << 20;
#[cfg(windows)]
const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
/// How long the pipes of a process that is gone are waited for: something it started may still hold them open.
const PIPE_GRACE: Duration = Duration::from_secs(2);

/// What the readers of a child's pipes send, with the child's serial number.
pub(super) type Message = (u64, Heard);

pub(super) enum Heard {
    Event(RunEvent),
    /// Standard output or standard error has ended.
    PipeEnded,
    LogLost(String),
}

/// A run's process.
pub(super) struct RunProcess {
    pub run_id: RunId,
    process: Child,
    stdin: Option<ChildStdin>,
    log: Arc<Log>,
    readers: Vec<JoinHandle<()>>,
    open_pipes: usize,
    /// The outcome it stated, and when.
    stated: Option<(RunOutcome, Instant)>,
    exit: Option<(Result<ExitStatus, String>, Instant)>,
    killed: Option<Killed>,
    /// When it last said something, or was started.
    heard_at: Instant,
    /// Kills for memory on this machine before it was started.
    memory_kills_before: u64,
}

impl RunProcess {
    pub fn start(
        start: &Start,
        command: &RunCommand,
        serial: u64,
        sender: &SyncSender<Message>,
        now: Instant,
    ) -> Result<Self, StartError> {
        let log_error = |source| StartError::Log { path: command.log.clone(), source };
        let log = Arc::new(Log::open(&command.log).map_err(log_error)?);
        let date = jiff::Timestamp::now();
        let header = format!("--- {date:.0} start {} on {}, threads: {}\n", start.number, start.device, start.threads);
        log.append(header.as_bytes()).map_err(log_error)?;

        let memory_kills_before = memory_kills::count();
        let mut run = Command::new(&command.program);
        // The terminal's Ctrl-C reaches the parent alone.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut run, 0);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::arg0(&mut run, "speedlab");
        #[cfg(windows)]
        std::os::windows::process::CommandExt::creation_flags(&mut run, CREATE_NEW_PROCESS_GROUP);
        let mut process = run
            .args(&command.args)
            .env("RAYON_NUM_THREADS", start.threads.to_string())
            .envs(command.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| StartError::Program { program: command.program.clone(), source })?;
        let stdin = process.stdin.take();
        let stdout = process.stdout.take().expect("standard output is piped");
        let stderr = process.stderr.take().expect("standard error is piped");
        let mut child = Self {
            run_id: start.run_id.clone(),
            process,
            stdin,
            log,
            readers: Vec::new(),
            open_pipes: 0,
            stated: None,
            exit: None,
            killed: None,
            heard_at: now,
            memory_kills_before,
        };
        // A child that cannot be listened to is killed and reaped when `child` is dropped.
        child.read(serial, sender, stdout, read_stdout)?;
        child.read(serial, sender, stderr, read_stderr)?;
        Ok(child)
    }

    fn read<R: Read + Send + 'static>(
        &mut self,
        serial: u64,
        sender: &SyncSender<Message>,
        pipe: R,
        read: fn(R, &Log, &dyn Fn(Heard)),
    ) -> Result<(), StartError> {
        let (log, sender) = (self.log.clone(), sender.clone());
        let listen = move || {
            // Sending fails only when the executor is gone, and with it everyone who would want to know.
            let tell = |heard| drop(sender.send((serial, heard)));
            read(pipe, &log, &tell);
            tell(Heard::PipeEnded);
        };
        let name = format!("run {}", self.run_id);
        let reader = thread::Builder::new().name(name).spawn(listen).map_err(|source| StartError::Thread { source })?;
        self.readers.push(reader);
        self.open_pipes += 1;
        Ok(())
    }

    pub fn pipe_ended(&mut self) {
        self.open_pipes -= 1;
    }

    /// Takes note of what it said.
    pub fn said(&mut self, event: &RunEvent, now: Instant) {
        self.heard_at = now;
        if let RunEvent::Ended { outcome, .. } = event {
            self.stated = Some((outcome.clone(), now));
        }
    }

    /// Says `stop`. The pipe stays open: its end tells the run that this program is gone.
    pub fn stop(&mut self) {
        if let Some(stdin) = &mut self.stdin {
            // It fails when the child is gone or has closed its end: then there is nobody to tell.
            let _ = stdin.write_all(b"stop\n");
        }
    }

    pub fn kill(&mut self) {
        self.kill_because(Killed::Asked);
    }

    /// Kills it if it has said nothing for longer than `patience`.
    pub fn kill_if_silent(&mut self, now: Instant, patience: Duration) {
        let silence = now.saturating_duration_since(self.heard_at);
        if silence > patience && self.exit.is_none() && self.killed.is_none() && self.stated.is_none() {
            self.kill_because(Killed::Silent { seconds: silence.as_secs_f64() });
        }
    }

    /// Nobody listened until now, so what was said may not have been heard.
    pub fn forgive_silence(&mut self, now: Instant) {
        self.heard_at = now;
    }

    fn kill_because(&mut self, why: Killed) {
        self.killed.get_or_insert(why);
        // It fails only for a child that has been reaped, which is what was wanted.
        let _ = self.process.kill();
    }

    /// Whether it is about to go: worth a closer look.
    pub fn is_leaving(&self) -> bool {
        self.open_pipes == 0 || self.exit.is_some()
    }

    /// Whether it stated its outcome and yet lives on, longer than `grace`.
    pub fn lingers(&self, now: Instant, grace: Duration) -> bool {
        let stated = self.stated.as_ref().is_some_and(|(_, at)| now.duration_since(*at) > grace);
        stated && self.exit.is_none() && self.killed.is_none()
    }

    /// Looks whether the process is gone and everything it said was heard.
    pub fn is_over(&mut self, now: Instant) -> bool {
        if self.exit.is_none() {
            self.exit = match self.process.try_wait() {
                Ok(None) => None,
                Ok(Some(status)) => Some((Ok(status), now)),
                Err(error) => Some((Err(error.to_string()), now)),
            };
        }
        let Some((_, at)) = &self.exit else { return false };
        self.open_pipes == 0 || now.duration_since(*at) > PIPE_GRACE
    }

    /// How the run ended; for a process that [`Self::is_over`].
    pub fn into_outcome(mut self) -> RunOutcome {
        if self.open_pipes == 0 {
            for reader in self.readers.drain(..) {
                reader.join().expect("a reader does not panic");
            }
        } // else something the run started holds a pipe open; the reader ends when that does
        if let Some((outcome, _)) = self.stated.take() {
            return outcome;
        }
        let (exit, _) = self.exit.clone().expect("the process is gone");
        let system_lacked_memory = memory_kills::count() > self.memory_kills_before;
        let last_lines = self.log.last_lines();
        Death { exit, killed: self.killed, system_lacked_memory, last_lines: &last_lines }.outcome()
    }
}

impl Drop for RunProcess {
    /// No run outlives its executor, and none stays a zombie.
    fn drop(&mut self) {
        if self.exit.is_none() {
            self.kill();
            let _ = self.process.wait(); // it fails only if somebody else reaped it
        }
    }
}

fn read_stdout(pipe: impl Read, log: &Log, tell: &dyn Fn(Heard)) {
    each_line(BufReader::new(pipe), LINE_LIMIT, |line| {
        match serde_json::from_slice(line) {
            Ok(event) => tell(Heard::Event(event)),
            Err(_) => append(log, line, tell),
        }
        true
    });
}

fn read_stderr(pipe: impl Read, log: &Log, tell: &dyn Fn(Heard)) {
    each_line(BufReader::new(pipe), LINE_LIMIT, |line| {
        log.remember(line);
        append(log, line, tell);
        true
    });
}

fn append(log: &Log, line: &[u8], tell: &dyn Fn(Heard)) {
    if let Err(error) = log.append(line) {
        tell(Heard::LogLost(error.to_string()));
    }
}
