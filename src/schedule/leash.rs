//! The child's end of the pipes to the process that started it.

use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

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
    /// the parent dies, however it does, its end of the pipe closes and its runs stop too. Nobody is then left to kill a run that
    /// is stuck, which would hold its folder for ever: one that has not ended `grace` after its parent kills itself.
    ///
    /// `is_patient`: of a cluster's task, which may send a signal twice and means the same: only the parent ends it at once.
    pub fn listen(grace: Duration, is_patient: bool) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        // Apart from `stop`: where a signal goes to parent and child alike (a cluster's SIGTERM), the parent's word may
        // come first, and the signal after it must not cost the checkpoint.
        let signalled = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag down and only raises it, the second ends the process.
            if !is_patient {
                flag::register_conditional_shutdown(signal, 128 + signal, signalled.clone())?;
            }
            flag::register(signal, signalled.clone())?;
            flag::register(signal, stop.clone())?;
        }
        // Where a cluster's notice goes to parent and child alike, it must not end the child; the parent says stop.
        #[cfg(unix)]
        flag::register(signal_hook::consts::SIGUSR1, stop.clone())?;
        let leash = Self { stop };
        let listener = leash.clone();
        // It ends with the process: a read from standard input cannot be called off.
        thread::Builder::new().name("leash".to_owned()).spawn(move || {
            let mut input = io::stdin().lock();
            if listener.wait_for_the_word(&mut input) {
                // The parent lives, and sees to a run that is stuck, until the pipe ends; one that cannot be read has ended.
                let _ = io::copy(&mut input, &mut io::sink());
            }
            thread::sleep(grace);
            #[cfg(unix)]
            signal_hook::low_level::raise(signal_hook::consts::SIGKILL).expect("a process may kill itself");
            #[cfg(not(unix))]
            std::process::abort();
        })?;
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

    /// Whether it was the word, and not the end.
    fn wait_for_the_word(&self, input: impl BufRead) -> bool {
        // A pipe that cannot be read has ended.
        let mut lines = input.split(b'\n').map_while(Result::ok);
        let is_told = lines.any(|line| line.trim_ascii() == b"stop");
        self.stop.store(true, Ordering::SeqCst);
        is_told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it stops, and whether it was told to.
    fn stops_after(input: &str) -> (bool, bool) {
        let leash = Leash { stop: Arc::default() };
        let is_told = leash.wait_for_the_word(input.as_bytes());
        (leash.says_stop(), is_told)
    }

    #[test]
    fn the_word_or_the_end_means_stop() {
        assert_eq!(stops_after("stop\n"), (true, true));
        assert_eq!(stops_after("hello\nstop\r\nmore\n"), (true, true));
        assert_eq!(stops_after(""), (true, false));
        assert_eq!(stops_after("no word, then the end"), (true, false));
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
