//! The request to stop a sweep: by Ctrl-C, by SIGTERM, or by the program.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

/// What a cluster sends before a task's time is over.
#[cfg(unix)]
const NOTICE: i32 = signal_hook::consts::SIGUSR1;
/// Sent by nobody.
#[cfg(not(unix))]
const NOTICE: i32 = -1;

/// Counts requests to stop: the first asks for a checkpoint, the second for an end at once.
#[derive(Debug, Default)]
pub struct Stop {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    requests: AtomicUsize,
    /// The first signal that came; 0: none.
    signal: AtomicI32,
    released: AtomicBool,
    /// Whether the first request is the only one.
    asks_once: AtomicBool,
    notice: AtomicBool,
    told_to_end: AtomicBool,
}

impl Stop {
    /// Listens to SIGINT and SIGTERM of this process until it is dropped; from then on they end the process as usual.
    ///
    /// Make one per process, early: a signal that comes before it ends the process.
    pub fn on_signals() -> io::Result<Self> {
        let stop = Self::default();
        listen(stop.state.clone())?;
        Ok(stop)
    }

    /// Of a cluster's task, which several signals may tell one thing (SIGUSR1 before its time is over, SIGTERM when it is or when others
    /// go first, to parent and children alike): however many come, the wish is for a checkpoint.
    pub fn of_a_task() -> io::Result<Self> {
        let stop = Self::default();
        stop.state.asks_once.store(true, Ordering::SeqCst);
        listen(stop.state.clone())?;
        Ok(stop)
    }

    /// Whether SIGUSR1 came: the time of a cluster's task is nearly over.
    pub fn has_notice(&self) -> bool {
        self.state.notice.load(Ordering::SeqCst)
    }

    /// Whether SIGINT or SIGTERM came.
    pub fn is_told_to_end(&self) -> bool {
        self.state.told_to_end.load(Ordering::SeqCst)
    }

    /// Notice given before this process could listen.
    pub fn take_notice(&self) {
        self.state.note(NOTICE);
    }

    /// What a signal does, without one.
    pub fn request(&self) {
        self.state.requests.fetch_add(1, Ordering::SeqCst);
    }

    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// The exit code that a shell expects of a process stopped by the signal that came: 130 or 143.
    pub fn exit_code(&self) -> Option<u8> {
        let signal = self.state.signal.load(Ordering::SeqCst);
        u8::try_from(signal).ok().filter(|&signal| signal > 0).map(|signal| 128 + signal)
    }
}

impl State {
    fn note(&self, signal: i32) {
        let _ = self.signal.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst); // the first stays
        if signal == NOTICE {
            self.notice.store(true, Ordering::SeqCst);
        } else {
            self.told_to_end.store(true, Ordering::SeqCst);
        }
        match self.asks_once.load(Ordering::SeqCst) {
            true => self.requests.store(1, Ordering::SeqCst),
            false => drop(self.requests.fetch_add(1, Ordering::SeqCst)),
        }
    }
}

/// Lives as long as the process, so that signals keep their usual meaning after the release.
#[cfg(unix)]
fn listen(state: Arc<State>) -> io::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    if state.asks_once.load(Ordering::SeqCst) {
        signals.add_signal(NOTICE)?;
    }
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if state.released.load(Ordering::SeqCst) {
                signal_hook::low_level::emulate_default_handler(signal)
                    .expect("the default of SIGINT and SIGTERM is to end the process");
            }
            state.note(signal);
        }
    })?;
    Ok(())
}

/// Without a thread, since there a handler is one.
#[cfg(not(unix))]
fn listen(state: Arc<State>) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        let state = state.clone();
        let handler = move || match state.released.load(Ordering::SeqCst) {
            true => std::process::exit(128 + signal),
            false => state.note(signal),
        };
        // SAFETY: the handler touches nothing but atomics, and ends the process.
        unsafe { signal_hook::low_level::register(signal, handler)? };
    }
    Ok(())
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.state.released.store(true, Ordering::SeqCst);
    }
}
