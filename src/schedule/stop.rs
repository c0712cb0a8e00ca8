//! The wish that a sweep stops: Ctrl-C, SIGTERM, or said by the program.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

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
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let state = stop.state.clone();
        // Lives as long as the process, so that signals keep their usual meaning after the release.
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in signals.forever() {
                if state.released.load(Ordering::SeqCst) {
                    emulate_default_handler(signal).expect("the default of SIGINT and SIGTERM is to end the process");
                }
                let _ = state.signal.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst); // the first stays
                state.requests.fetch_add(1, Ordering::SeqCst);
            }
        })?;
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

impl Drop for Stop {
    fn drop(&mut self) {
        self.state.released.store(true, Ordering::SeqCst);
    }
}
