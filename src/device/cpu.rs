//! The machine's processor.

use std::fs;

/// The CPU as records name it, such as `cpu: AMD EPYC 9R14, 1 thread, 2 runs at once`: runs that share a machine share its
/// memory and its clock speed, so times of another number of runs are times of another device.
pub fn cpu_label(threads: usize, runs_at_once: usize) -> String {
    let threads = threads_in_words(threads);
    match runs_at_once {
        1 => format!("cpu: {}, {threads}", cpu_model()),
        _ => format!("cpu: {}, {threads}, {runs_at_once} runs at once", cpu_model()),
    }
}

pub(super) fn threads_in_words(threads: usize) -> String {
    format!("{threads} thread{}", if threads == 1 { "" } else { "s" })
}

/// The processor as it names itself, else its architecture.
pub fn cpu_model() -> String {
    let model = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| model_name(&text));
    model.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

/// Of the machine, or what this process's group may take of it; `None` where the system does not say.
pub fn cpu_memory_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_memory(&text))?;
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    Some(group.map_or(machine, |limit: u64| limit.min(machine)))
}

/// The first `model name` of Linux's `/proc/cpuinfo`; other architectures than x86 have none.
fn model_name(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    let (_, model) = line.split_once(':')?;
    let words: Vec<&str> = model.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// `MemTotal` of Linux's `/proc/meminfo`, which is in kibibytes.
fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_read_and_its_absence_survived() {
        assert_eq!(
            model_name("vendor_id : x\nmodel name\t: AMD  EPYC 9R14 \nmodel name: other"),
            Some("AMD EPYC 9R14".into())
        );
        assert_eq!(model_name("processor : 0\n"), None);
        assert_eq!(model_name("model name :\n"), None);
        assert!(cpu_label(1, 1).ends_with(", 1 thread"), "{}", cpu_label(1, 1));
        assert!(cpu_label(4, 2).ends_with(", 4 threads, 2 runs at once"), "{}", cpu_label(4, 2));
    }

    #[test]
    fn memory_is_read_in_kibibytes() {
        assert_eq!(total_memory("MemTotal:       24576000 kB\nMemFree: 1 kB\n"), Some(24576000 * 1024));
        assert_eq!(total_memory("MemFree: 1 kB\n"), None);
    }
}
