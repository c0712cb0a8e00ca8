//! The child's end of the pipes to the process that started it.

use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::event::RunEvent;

/// A run's tie to its parent: says when to stop, and carries the run's events.
///
/// To stop means: write a checkpoint, say `Ended` with `Interrupted`, exit. A second signal ends the process at once.
#[derive(Clone, Debug)]
pub struct Leash {
    stop: Arc<AtomicBool>,
}

impl Leash {
    /// Listens to SIGINT, SIGTERM and standard input, where a line `stop` or the end of the stream means to stop: when
    /// the parent dies, however it does, its end of the pipe closes and its runs stop too.
    pub fn listen() -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        // Apart from `stop`: where a signal goes to parent and child alike (a cluster's SIGTERM), the parent's word may
        // come first, and the signal after it must not cost the checkpoint.
        let signalled = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag down and only raises it, the second ends the process.
            flag::register_conditional_shutdown(signal, 128 + signal, signalled.clone())?;
            flag::register(signal, signalled.clone())?;
            flag::register(signal, stop.clone())?;
        }
        let leash = Self { stop };
        let listener = leash.clone();
        // It ends with the process: a read from standard input cannot be called off.
        thread::Builder::new()
            .name("leash".to_owned())
            .spawn(move || listener.wait_for_the_word(io::stdin().lock()))?;
        Ok(leash)
    }

    /// Whether the run should write a checkpoint and stop.
    pub fn says_stop(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Tells the parent, as one line of JSON on standard output. When nobody listens any more, the run is to stop.
    ///
    /// `Ended` comes last, when everything the run leaves behind is on disk: the parent takes its word, and kills a
    /// run that lingers long after it.
    pub fn tell(&self, event: &RunEvent) {
        let mut line = serde_json::to_string(event).expect("an event is plain data, which JSON can hold");
        line.push('\n');
        let mut stdout = io::stdout().lock();
        if stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()).is_err() {
            self.stop.store(true, Ordering::SeqCst);
        }
    }

    fn wait_for_the_word(&self, input: impl BufRead) {
        for line in input.split(b'\n') {
            match line {
                Ok(line) if line.trim_ascii() != b"stop" => {}
                Ok(_) | Err(_) => break,
            }
        }
        self.stop.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stops_after(input: &str) -> bool {
        let leash = Leash { stop: Arc::default() };
        leash.wait_for_the_word(input.as_bytes());
        leash.says_stop()
    }

    #[test]
    fn the_word_or_the_end_means_stop() {
        assert!(stops_after("stop\n"));
        assert!(stops_after("hello\nstop\r\nmore\n"));
        assert!(stops_after(""));
        assert!(stops_after("no word, then the end"));
    }

    #[test]
    fn another_line_is_no_reason_to_stop() {
        // A reader that hangs after its line, as a parent's open pipe does.
        struct Hanging(&'static [u8], Arc<AtomicBool>, bool);
        impl io::Read for Hanging {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if self.0.is_empty() {
                    self.2 = self.1.load(Ordering::SeqCst);
                    assert!(!self.2, "stopped by a line that is not the word");
                    return Ok(0);
                }
                self.0.read(buffer)
            }
        }
        let leash = Leash { stop: Arc::default() };
        leash.wait_for_the_word(io::BufReader::new(Hanging(b"stopping soon\nSTOP\n", leash.stop.clone(), false)));
        assert!(leash.says_stop());
    }
}
