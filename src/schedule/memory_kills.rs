//! How often the system killed a process for memory.

use std::fs;

/// Kills for memory so far, on the machine and in this process's group; 0 where the system does not say.
///
/// Linux counts them in `/proc/vmstat` (`oom_kill`) and, for a group with a limit of its own, in `memory.events` (cgroup v2)
/// or `memory.oom_control` (v1). Any of them that grew while a run was killed tells why.
pub(super) fn count() -> u64 {
    let own_group = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| v2_group(&text));
    let mut files = vec!["/proc/vmstat".to_owned(), "/sys/fs/cgroup/memory.events".to_owned()];
    files.push("/sys/fs/cgroup/memory/memory.oom_control".to_owned());
    files.extend(own_group.map(|group| format!("/sys/fs/cgroup{group}/memory.events")));
    files.iter().filter_map(|file| kills(&fs::read_to_string(file).ok()?)).sum()
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
