//! The wish that a sweep stops: Ctrl-C, SIGTERM, or said by the program.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

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
        self.requests.fetch_add(1, Ordering::SeqCst);
    }
}

/// Lives as long as the process, so that signals keep their usual meaning after the release.
#[cfg(unix)]
fn listen(state: Arc<State>) -> io::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
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
