//! Each run as a child process.

use std::collections::{BTreeMap, VecDeque};
use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::child::{Heard, Message, RunProcess};
use super::{Report, Room, RunExecutor, Start, StartError};

/// Messages that may wait for the parent; a run that says more is held up by its full pipe.
const BACKLOG: usize = 1024;
/// Between two looks at the processes while one of them is leaving, and otherwise.
const CLOSE_LOOK: Duration = Duration::from_millis(2);
const FAR_LOOK: Duration = Duration::from_millis(50);
/// A longer pause between two looks means that nobody could look.
const SLEEP: Duration = Duration::from_secs(5);

/// The command line of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunCommand {
    pub program: PathBuf,
    pub args: Vec<OsString>,
    /// Added to this program's own.
    pub environment: Vec<(String, String)>,
    /// Where its standard error is appended, and what it prints that is no event.
    pub log: PathBuf,
}

impl RunCommand {
    /// This program itself, as it was when it started: on Linux also after the file was replaced by a new build, so
    /// that all runs of a session are of one program.
    pub fn this_program(args: Vec<OsString>, log: PathBuf) -> io::Result<Self> {
        let running = Path::new("/proc/self/exe");
        let program = if running.exists() { running.to_owned() } else { env::current_exe()? };
        Ok(Self { program, args, environment: Vec::new(), log })
    }
}

/// Makes each run a process of its own, in its own process group, with `RAYON_NUM_THREADS` set.
///
/// A child speaks on its standard output, one [`crate::event::RunEvent`] as JSON per line, and stops when its standard
/// input says `stop` or ends (see [`super::Leash`]). Its outcome is the last `Ended` it said; a process that dies
/// without one has crashed. Dropping the executor kills what still runs.
pub struct ProcessExecutor<F> {
    command: F,
    children: BTreeMap<u64, RunProcess>,
    next_serial: u64,
    sender: SyncSender<Message>,
    receiver: Receiver<Message>,
    /// Found, and not yet reported.
    reports: VecDeque<Report>,
    /// How long a run may take to exit after it said `Ended`. Default 30 s.
    pub exit_grace: Duration,
    /// How long a run may say nothing before it is killed as stuck. Default 30 min: the first use of a device may compile
    /// kernels for minutes.
    pub patience: Duration,
    /// What must fit on the disk before runs go on after it was full. Default: anything will do.
    pub room: Option<Room>,
    origin: Instant,
    looked_at: Instant,
}

impl<F: FnMut(&Start) -> RunCommand> ProcessExecutor<F> {
    /// `command` gives the command line of each start.
    pub fn new(command: F) -> Self {
        let (sender, receiver) = sync_channel(BACKLOG);
        Self {
            command,
            children: BTreeMap::new(),
            next_serial: 0,
            sender,
            receiver,
            reports: VecDeque::new(),
            exit_grace: Duration::from_secs(30),
            patience: Duration::from_secs(1800),
            room: None,
            origin: Instant::now(),
            looked_at: Instant::now(),
        }
    }

    /// Reports the children that are gone.
    fn look(&mut self) {
        let now = Instant::now();
        // This program itself was stopped, or the machine slept: silence in that time means nothing.
        let slept = now.duration_since(self.looked_at) > SLEEP;
        self.looked_at = now;
        for child in self.children.values_mut() {
            match slept {
                true => child.forgive_silence(now),
                false => child.kill_if_silent(now, self.patience),
            }
        }
        let over: Vec<u64> =
            self.children.iter_mut().filter_map(|(&serial, child)| child.is_over(now).then_some(serial)).collect();
        for serial in over {
            let child = self.children.remove(&serial).expect("its serial was just seen");
            let run_id = child.run_id.clone();
            self.reports.push_back(Report::Ended { run_id, outcome: child.into_outcome() });
        }
        for child in self.children.values_mut().filter(|child| child.lingers(now, self.exit_grace)) {
            child.kill();
        }
    }

    fn heard(&mut self, (serial, heard): Message) {
        // Whoever holds the pipe of a child that was already reported is not listened to.
        let Some(child) = self.children.get_mut(&serial) else { return };
        let run_id = child.run_id.clone();
        match heard {
            Heard::PipeEnded => child.pipe_ended(),
            Heard::LogLost(reason) => self.reports.push_back(Report::LogLost { run_id, reason }),
            Heard::Event(event) => {
                child.said(&event, Instant::now());
                self.reports.push_back(Report::Event { run_id, event });
            }
        }
    }
}

impl<F: FnMut(&Start) -> RunCommand> RunExecutor for ProcessExecutor<F> {
    fn start(&mut self, start: &Start) -> Result<(), StartError> {
        let command = (self.command)(start);
        let child = RunProcess::start(start, &command, self.next_serial, &self.sender, Instant::now())?;
        self.children.insert(self.next_serial, child);
        self.next_serial += 1;
        Ok(())
    }

    fn next(&mut self, patience: Duration) -> Option<Report> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(report) = self.reports.pop_front() {
                return Some(report);
            }
            self.look();
            if !self.reports.is_empty() {
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let leaving = self.children.values().any(RunProcess::is_leaving);
            match self.receiver.recv_timeout(left.min(if leaving { CLOSE_LOOK } else { FAR_LOOK })) {
                Ok(message) => self.heard(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("the executor holds a sender itself"),
            }
        }
    }

    fn stop(&mut self) {
        self.children.values_mut().for_each(RunProcess::stop);
    }

    fn kill(&mut self) {
        self.children.values_mut().for_each(RunProcess::kill);
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn has_room(&mut self) -> bool {
        self.room.as_ref().is_none_or(Room::is_there)
    }
}
