//! The devices that runs can be placed on, and the number of runs at once.

use std::env;
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
    /// Those of a GPU that runs on it use; the CPU's are not meant.
    pub gpu_kernels: GpuKernels,
}

/// The kernels that a GPU computes by, in the order in which they are tried where its results are not the CPU's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum GpuKernels {
    /// Our own, and burn's, of which several are compiled into one.
    #[default]
    Fused,
    /// Our own, and burn's one by one.
    Unfused,
    /// burn's alone, one by one.
    Burns,
}

impl GpuKernels {
    /// What is tried next.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::Fused => Some(Self::Unfused),
            Self::Unfused => Some(Self::Burns),
            Self::Burns => None,
        }
    }
}

impl Device {
    pub fn is_cpu(&self) -> bool {
        self.name == "cpu"
    }

    pub fn new(name: &str, slots: usize, threads: usize) -> Self {
        Self { name: name.to_owned(), slots, threads, gpu_kernels: GpuKernels::Fused }
    }
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

/// A GPU's places: one run at a time unless `--jobs` says otherwise, since runs that share it are slower each and their times
/// say less. The cores are divided among all runs that go on at once, which prepare batches and measure features on them.
pub fn gpus(names: &[String], cores: NonZeroUsize, jobs: Option<NonZeroUsize>) -> Vec<Device> {
    let slots = jobs.map_or(1, NonZeroUsize::get);
    let threads = (cores.get() / (slots * names.len().max(1))).max(1);
    names.iter().map(|name| Device::new(name, slots, threads)).collect()
}

impl CpuThreads {
    pub fn of_this_machine(jobs: Option<NonZeroUsize>, planned_runs: usize) -> Self {
        Self { cores: cores(), jobs, planned_runs }
    }

    /// One run per core with one thread each: two runs use two cores better than one run uses both. With fewer runs
    /// than cores, or with `jobs`, the cores are divided evenly; those that do not divide stay idle.
    pub fn device(self) -> Device {
        let cores = self.cores.get();
        let slots = self.jobs.map_or(self.planned_runs.clamp(1, cores), NonZeroUsize::get);
        Device::new("cpu", slots, (cores / slots).max(1))
    }
}

/// The cores this process may use: CPU affinity and a container's quota are respected, and what Slurm gave a task where it does not
/// keep tasks to it.
pub fn cores() -> NonZeroUsize {
    // It fails only where the platform cannot say; one core is then the count that never oversubscribes.
    let seen = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let given = ["SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"].iter().find_map(|name| env::var(name).ok()?.parse().ok());
    given.map_or(seen, |given: NonZeroUsize| given.min(seen))
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
    fn gpus_take_one_run_each_unless_asked_and_share_the_cores() {
        let names = ["cuda:0".to_owned(), "cuda:1".to_owned()];
        let cores = NonZeroUsize::new(16).unwrap();
        let one = gpus(&names, cores, None);
        assert_eq!((one.len(), one[1].name.as_str(), one[1].slots, one[1].threads), (2, "cuda:1", 1, 8));
        let two = gpus(&names, cores, NonZeroUsize::new(2));
        assert_eq!((two[0].slots, two[0].threads), (2, 4));
    }
}
