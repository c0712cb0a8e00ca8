//! How often the system killed a process for memory.

use std::fs;

/// Kills for memory so far, of this process's group where the system counts by group, else of the machine; 0 where it does not
/// say. A run that was killed while the number grew was killed for memory.
///
/// Linux counts the processes of a group that were killed, whoever was short of memory, in `memory.events` (cgroup v2) or
/// `memory.oom_control` (v1), and those of the machine in `/proc/vmstat`, where kills in other groups count too.
pub(crate) fn count() -> u64 {
    let own_group = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| v2_group(&text));
    let own_group = own_group.map(|group| format!("/sys/fs/cgroup{group}/memory.events"));
    let others = ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control", "/proc/vmstat"];
    let mut files = own_group.into_iter().chain(others.map(str::to_owned));
    files.find_map(|file| kills(&fs::read_to_string(file).ok()?)).unwrap_or(0)
}

/// The group of a line `0::/path`.
fn v2_group(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix("0::")).filter(|group| *group != "/").map(str::to_owned)
}

/// The number after `oom_kill`.
fn kills(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_counts() {
        assert_eq!(kills("low 0\nhigh 3\noom 2\noom_kill 7\noom_group_kill 1\n"), Some(7));
        assert_eq!(kills("pgfault 5\noom_kill 12\n"), Some(12));
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\n"), None);
        assert_eq!(v2_group("0::/user.slice/a.scope\n"), Some("/user.slice/a.scope".into()));
        assert_eq!(v2_group("0::/\n"), None);
    }
}
