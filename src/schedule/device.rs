//! What runs can be placed on, and how many at once.

use std::fs;
use std::num::NonZeroUsize;
use std::thread;

/// A device and the places it has for runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// As on the command line: `cpu`.
    pub name: String,
    /// Runs at once.
    pub slots: usize,
    /// CPU threads of each run.
    pub threads: usize,
}

/// One place for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// Position in the queue's list of devices.
    pub device: usize,
    /// Counts from 0 on each device.
    pub index: usize,
}

/// How the CPU's cores are shared out. Every run of a sweep gets equally many threads.
///
/// Results do not depend on the number of threads, but `train_seconds` does, and rows timed with different numbers of
/// threads are not comparable. So the share is decided from what is constant in a sweep, the cores and the number of
/// runs *planned* (not those that happen to be left), and is not raised when a sweep runs out of runs: a resumed
/// sweep is timed like its first half, and the last runs like the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuThreads {
    pub cores: NonZeroUsize,
    /// `--jobs`: runs at once.
    pub jobs: Option<NonZeroUsize>,
    /// Runs in the whole plan, ended ones included.
    pub planned_runs: usize,
}

impl CpuThreads {
    /// The cores this process may use: CPU affinity and a container's quota are respected.
    pub fn of_this_machine(jobs: Option<NonZeroUsize>, planned_runs: usize) -> Self {
        // It fails only where the platform cannot say; one core is then the count that never oversubscribes.
        let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self { cores, jobs, planned_runs }
    }

    /// One run per core with one thread each: two runs use two cores better than one run uses both. With fewer runs
    /// than cores, or with `jobs`, the cores are divided evenly; those that do not divide stay idle.
    pub fn device(self) -> Device {
        let cores = self.cores.get();
        let slots = self.jobs.map_or(self.planned_runs.clamp(1, cores), NonZeroUsize::get);
        Device { name: "cpu".to_owned(), slots, threads: (cores / slots).max(1) }
    }
}

/// The device as records name it, such as `cpu: AMD EPYC 9R14, 1 thread, 2 runs at once`: runs that share a machine share its
/// memory and its clock speed, so times of another number of runs are times of another device.
pub fn cpu_label(threads: usize, runs_at_once: usize) -> String {
    let model = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| cpu_model(&text));
    let model = model.unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let threads = format!("{threads} thread{}", if threads == 1 { "" } else { "s" });
    match runs_at_once {
        1 => format!("cpu: {model}, {threads}"),
        _ => format!("cpu: {model}, {threads}, {runs_at_once} runs at once"),
    }
}

/// The first `model name` of Linux's `/proc/cpuinfo`; other architectures than x86 have none.
fn cpu_model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    let (_, model) = line.split_once(':')?;
    let words: Vec<&str> = model.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots_and_threads(cores: usize, jobs: usize, planned_runs: usize) -> (usize, usize) {
        let cores = NonZeroUsize::new(cores).unwrap();
        let device = CpuThreads { cores, jobs: NonZeroUsize::new(jobs), planned_runs }.device();
        (device.slots, device.threads)
    }

    #[test]
    fn one_run_per_core_unless_there_are_fewer_runs() {
        assert_eq!(slots_and_threads(2, 0, 15), (2, 1));
        assert_eq!(slots_and_threads(64, 0, 15), (15, 4));
        assert_eq!(slots_and_threads(8, 0, 1), (1, 8));
        assert_eq!(slots_and_threads(8, 0, 0), (1, 8));
    }

    #[test]
    fn jobs_divide_the_cores() {
        assert_eq!(slots_and_threads(8, 3, 100), (3, 2));
        assert_eq!(slots_and_threads(2, 1, 100), (1, 2));
        assert_eq!(slots_and_threads(2, 5, 100), (5, 1));
    }

    #[test]
    fn the_model_is_read_and_its_absence_survived() {
        assert_eq!(
            cpu_model("vendor_id : x\nmodel name\t: AMD  EPYC 9R14 \nmodel name: other"),
            Some("AMD EPYC 9R14".into())
        );
        assert_eq!(cpu_model("processor : 0\n"), None);
        assert_eq!(cpu_model("model name :\n"), None);
        assert!(cpu_label(1, 1).ends_with(", 1 thread"), "{}", cpu_label(1, 1));
        assert!(cpu_label(4, 2).ends_with(", 4 threads, 2 runs at once"), "{}", cpu_label(4, 2));
    }
}
