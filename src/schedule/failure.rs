//! Why a process died that did not state its outcome.

use std::process::ExitStatus;

use crate::event::RunOutcome;

const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;

/// Said by Rust's allocator before it aborts, by the C library, by CUDA, by Vulkan, and by the allocators above them; in lower case.
const NO_MEMORY: [&str; 10] = [
    "memory allocation of ",
    "memory allocation failed",
    "out of memory",
    "out_of_memory",
    "outofmemory",
    "out_of_device_memory",
    "out_of_host_memory",
    "not enough memory",
    "cannot allocate memory",
    "buffertoobig",
];

/// Said by drivers when a device went away under a process; in lower case.
const NO_DEVICE: [&str; 10] = [
    "cuda_error_device_unavailable",
    "cuda_error_no_device",
    "cuda_error_invalid_device",
    "cuda_error_ecc_uncorrectable",
    "cuda_error_hardware_stack_error",
    "cuda_error_system_not_ready",
    "error_device_lost",
    "devicelost",
    "device is lost",
    "device lost",
];

/// Lines of a log that are told as the reason.
const TOLD_LINES: usize = 20;
/// Characters of each; the log has the rest.
const TOLD_CHARACTERS: usize = 300;

/// The signal that ended a process, where there are signals.
fn signal_of(status: &ExitStatus) -> Option<i32> {
    #[cfg(unix)]
    return std::os::unix::process::ExitStatusExt::signal(status);
    #[cfg(not(unix))]
    return status.code().filter(|_| false);
}

fn name_of(signal: i32) -> &'static str {
    #[cfg(unix)]
    return signal_hook::low_level::signal_name(signal).unwrap_or("no name");
    #[cfg(not(unix))]
    return if signal == SIGABRT { "SIGABRT" } else { "no name" };
}

/// How a process went.
pub(crate) struct Death<'a> {
    pub exit: Result<ExitStatus, String>,
    /// Why this program killed it, if it did.
    pub killed: Option<Killed>,
    /// Whether the system killed some process for memory while this one ran.
    pub system_lacked_memory: bool,
    /// Of its standard error, the oldest first: as many as may hold the word for what happened.
    pub last_lines: &'a [String],
}

/// Why this program killed a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Killed {
    /// Somebody wanted an end at once, or the run did not go after it had stated its outcome.
    Asked,
    /// It said nothing for so many seconds.
    Silent { seconds: f64 },
}

impl Death<'_> {
    pub fn outcome(&self) -> RunOutcome {
        match self.killed {
            Some(Killed::Asked) => {
                return RunOutcome::Interrupted { reason: "killed; goes on from its last checkpoint".to_owned() };
            }
            Some(Killed::Silent { seconds }) => {
                let how = format!("said nothing for {seconds:.0} s and was killed");
                return RunOutcome::TimedOut { reason: self.with_last_lines(how) };
            }
            None => {}
        }
        let signal = self.exit.as_ref().ok().and_then(signal_of);
        let killed_for_memory = signal == Some(SIGKILL) && self.system_lacked_memory;
        let how = match (&self.exit, signal) {
            (Err(error), _) => format!("its process could not be waited for: {error}"),
            (Ok(_), Some(SIGKILL)) if killed_for_memory => {
                format!("killed by signal {SIGKILL}: the system had no memory left")
            }
            (Ok(_), Some(SIGKILL)) => format!("killed by signal {SIGKILL}: by somebody, or for memory"),
            (Ok(_), Some(signal)) => {
                format!("killed by signal {signal} ({})", name_of(signal))
            }
            (Ok(status), None) => match status.code() {
                Some(0) => "exited without saying how it ended".to_owned(),
                Some(code) => format!("exited with status {code}"),
                None => format!("ended: {status}"),
            },
        };
        // A panic exits with a status; an allocation that failed aborts.
        let spoke = matches!((&self.exit, signal), (Ok(_), None | Some(SIGABRT)));
        let no_memory = self.said(&NO_MEMORY).filter(|_| spoke);
        let no_device = self.said(&NO_DEVICE).filter(|_| spoke);
        if killed_for_memory {
            RunOutcome::OutOfMemory { reason: self.with_last_lines(how) }
        } else if let Some(word) = no_memory {
            RunOutcome::OutOfMemory { reason: self.with_word(how, word) }
        } else if let Some(word) = no_device {
            RunOutcome::DeviceLost { reason: self.with_word(how, word) }
        } else {
            RunOutcome::Crashed { reason: self.with_last_lines(how) }
        }
    }

    fn with_last_lines(&self, how: String) -> String {
        let told = self.last_lines[self.last_lines.len().saturating_sub(TOLD_LINES)..].iter().map(|line| cut(line));
        std::iter::once(how).chain(told).collect::<Vec<_>>().join("\n")
    }

    /// With the line that says what happened where it is not among the last.
    fn with_word(&self, how: String, line: usize) -> String {
        match line + TOLD_LINES < self.last_lines.len() {
            true => self.with_last_lines(format!("{how}\n{}\n...", cut(&self.last_lines[line]))),
            false => self.with_last_lines(how),
        }
    }

    /// The number of the last line that has one of these phrases in it, in whatever case.
    fn said(&self, phrases: &[&str]) -> Option<usize> {
        self.last_lines.iter().rposition(|line| {
            let line = line.to_lowercase();
            phrases.iter().any(|phrase| line.contains(phrase))
        })
    }
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(TOLD_CHARACTERS) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn outcome(exit: ExitStatus, killed: Option<Killed>, system_lacked_memory: bool, lines: &[&str]) -> RunOutcome {
        let last_lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        Death { exit: Ok(exit), killed, system_lacked_memory, last_lines: &last_lines }.outcome()
    }

    fn exited(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    fn signalled(signal: i32) -> ExitStatus {
        ExitStatus::from_raw(signal)
    }

    #[test]
    fn a_panic_that_names_memory_is_out_of_memory_and_one_that_names_the_device_is_a_lost_device() {
        for line in ["called `Result::unwrap()`: CUDA_ERROR_OUT_OF_MEMORY", "wgpu error: Out of Memory: OutOfMemory"] {
            let found = outcome(exited(101), None, false, &["thread panicked", line]);
            assert!(matches!(found, RunOutcome::OutOfMemory { .. }), "{found:?}");
        }
        let found = outcome(exited(101), None, false, &["wgpu error: Parent device is lost"]);
        assert!(matches!(found, RunOutcome::DeviceLost { .. }), "{found:?}");
        let found = outcome(exited(101), None, false, &["index out of bounds"]);
        assert!(matches!(found, RunOutcome::Crashed { .. }), "{found:?}");
    }

    #[test]
    fn what_a_long_backtrace_follows_is_found_and_told_in_whatever_case() {
        for word in ["Out of memory", "error: Cannot allocate memory (os error 12)"] {
            let frames: Vec<String> = (0..60).map(|number| format!("{number}: frame")).collect();
            let lines: Vec<&str> = std::iter::once(word).chain(frames.iter().map(String::as_str)).collect();
            let RunOutcome::OutOfMemory { reason } = outcome(exited(101), None, false, &lines) else {
                panic!("{word} is about memory");
            };
            let told: Vec<&str> = reason.lines().collect();
            assert_eq!(told[..4], ["exited with status 101", word, "...", "40: frame"]);
            assert_eq!(told.len(), 3 + TOLD_LINES);
        }
    }

    #[test]
    fn of_a_line_without_an_end_the_beginning_is_told() {
        let RunOutcome::Crashed { reason } = outcome(exited(1), None, false, &["short", &"ä".repeat(100_000)]) else {
            panic!("it crashed")
        };
        let told: Vec<&str> = reason.lines().collect();
        assert_eq!((told[1], told[2].chars().count()), ("short", TOLD_CHARACTERS + 3));
    }

    #[test]
    fn a_kill_is_for_memory_only_where_the_system_says_so() {
        assert!(matches!(outcome(signalled(SIGKILL), None, true, &[]), RunOutcome::OutOfMemory { .. }));
        assert!(matches!(outcome(signalled(SIGKILL), None, false, &[]), RunOutcome::Crashed { .. }));
        // Another signal has nothing to do with what the system lacked.
        assert!(matches!(outcome(signalled(11), None, true, &["out of memory"]), RunOutcome::Crashed { .. }));
    }

    #[test]
    fn a_run_that_this_program_killed_is_interrupted_or_timed_out() {
        assert!(matches!(outcome(signalled(SIGKILL), Some(Killed::Asked), true, &[]), RunOutcome::Interrupted { .. }));
        let silent = outcome(signalled(SIGKILL), Some(Killed::Silent { seconds: 90.0 }), false, &["tuning"]);
        assert_eq!(silent, RunOutcome::TimedOut { reason: "said nothing for 90 s and was killed\ntuning".into() });
    }
}
