//! What a process that died without stating its outcome died of.

use std::process::ExitStatus;

use std::os::unix::process::ExitStatusExt;

use signal_hook::consts::{SIGABRT, SIGKILL};
use signal_hook::low_level::signal_name;

use crate::event::RunOutcome;

/// Said by Rust's allocator before it aborts, by CUDA, by Vulkan, and by the allocators above them.
const NO_MEMORY: [&str; 9] = [
    "memory allocation of ",
    "out of memory",
    "OutOfMemory",
    "CUDA_ERROR_OUT_OF_MEMORY",
    "ERROR_OUT_OF_DEVICE_MEMORY",
    "ERROR_OUT_OF_HOST_MEMORY",
    "Not enough memory",
    "BufferTooBig",
    "memory allocation failed",
];

/// Said by drivers when a device went away under a process.
const NO_DEVICE: [&str; 10] = [
    "CUDA_ERROR_DEVICE_UNAVAILABLE",
    "CUDA_ERROR_NO_DEVICE",
    "CUDA_ERROR_INVALID_DEVICE",
    "CUDA_ERROR_ECC_UNCORRECTABLE",
    "CUDA_ERROR_HARDWARE_STACK_ERROR",
    "CUDA_ERROR_SYSTEM_NOT_READY",
    "ERROR_DEVICE_LOST",
    "DeviceLost",
    "device is lost",
    "device lost",
];

/// How a process went.
pub(super) struct Death<'a> {
    pub exit: Result<ExitStatus, String>,
    /// Why this program killed it, if it did.
    pub killed: Option<Killed>,
    /// Whether the system killed some process for memory while this one ran.
    pub system_lacked_memory: bool,
    /// Of its standard error.
    pub last_lines: &'a [String],
}

/// Why this program killed a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Killed {
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
        let signal = self.exit.as_ref().ok().and_then(|status| status.signal());
        let killed_for_memory = signal == Some(SIGKILL) && self.system_lacked_memory;
        let how = match (&self.exit, signal) {
            (Err(error), _) => format!("its process could not be waited for: {error}"),
            (Ok(_), Some(SIGKILL)) if killed_for_memory => {
                format!("killed by signal {SIGKILL}: the system had no memory left")
            }
            (Ok(_), Some(SIGKILL)) => format!("killed by signal {SIGKILL}: by somebody, or for memory"),
            (Ok(_), Some(signal)) => {
                format!("killed by signal {signal} ({})", signal_name(signal).unwrap_or("no name"))
            }
            (Ok(status), None) => match status.code() {
                Some(0) => "exited without saying how it ended".to_owned(),
                Some(code) => format!("exited with status {code}"),
                None => format!("ended: {status}"),
            },
        };
        let reason = self.with_last_lines(how);
        // A panic exits with a status; an allocation that failed aborts.
        let spoke = matches!((&self.exit, signal), (Ok(_), None | Some(SIGABRT)));
        if killed_for_memory || (spoke && self.says_any(&NO_MEMORY)) {
            RunOutcome::OutOfMemory { reason }
        } else if spoke && self.says_any(&NO_DEVICE) {
            RunOutcome::DeviceLost { reason }
        } else {
            RunOutcome::Crashed { reason }
        }
    }

    fn with_last_lines(&self, how: String) -> String {
        [&[how], self.last_lines].concat().join("\n")
    }

    fn says_any(&self, phrases: &[&str]) -> bool {
        self.last_lines.iter().any(|line| phrases.iter().any(|phrase| line.contains(phrase)))
    }
}

#[cfg(test)]
mod tests {
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
