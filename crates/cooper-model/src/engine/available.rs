//! Memory that a program can still have on this machine.

use std::path::{Path, PathBuf};

/// Where Linux tells of processes and of control groups.
const PROC: &str = "/proc";
const GROUPS: &str = "/sys/fs/cgroup";

/// Bytes that this process can have without swapping: what the kernel estimates, or what the control groups around it (a
/// container's limit) leave, whichever is less. Known on Linux only.
pub fn available_memory() -> Option<u64> {
    available(Path::new(PROC), Path::new(GROUPS))
}

fn available(proc: &Path, groups: &Path) -> Option<u64> {
    let meminfo = std::fs::read_to_string(proc.join("meminfo")).ok()?;
    let estimated = meminfo_bytes(&meminfo, "MemAvailable:")?;
    let own = std::fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
    let left = own.lines().flat_map(|line| left_in(groups, line)).min();
    Some(left.map_or(estimated, |left| left.min(estimated)))
}

/// A line of meminfo such as `MemTotal:       24576000 kB`, in bytes.
pub fn meminfo_bytes(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// The least that is left in a group and those around it; `line` is one of /proc/self/cgroup (`0::/path`, or of the
/// first version `7:memory:/path`).
fn left_in(groups: &Path, line: &str) -> Option<u64> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let (root, [limit, usage]) = match controllers {
        "" => (groups.to_path_buf(), ["memory.max", "memory.current"]),
        _ if controllers.split(',').any(|name| name == "memory") => (
            groups.join("memory"),
            ["memory.limit_in_bytes", "memory.usage_in_bytes"],
        ),
        _ => return None,
    };
    // Inside a container the path may be that of the host; then the root is the container's own.
    let inside = root.join(path.trim_start_matches('/'));
    let around = inside.ancestors().filter(|group| group.starts_with(&root));
    let number = |group: &Path, name: &str| -> Option<u64> {
        let text = std::fs::read_to_string(group.join(name)).ok()?;
        text.trim().parse().ok()
    };
    let left = |group: &Path| {
        let used = number(group, usage)?.saturating_sub(cached(group));
        Some(number(group, limit)?.saturating_sub(used))
    };
    let around: Vec<PathBuf> = around.map(Into::into).collect();
    around.iter().filter_map(|group| left(group)).min()
}

/// Bytes of files that the group holds and that the kernel takes back when it needs them.
fn cached(group: &Path) -> u64 {
    let stat = std::fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let cached_bytes = |line: &str| {
        let (name, n) = line.split_once(' ')?;
        let is_cached = ["inactive_file", "active_file"].contains(&name);
        is_cached.then(|| n.trim().parse::<u64>().ok()).flatten()
    };
    stat.lines().filter_map(cached_bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:  24576000 kB\nMemFree:  1 kB\nMemAvailable:   12000 kB\n";

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(meminfo_bytes(MEMINFO, "MemTotal:"), Some(24_576_000 * 1024));
        assert_eq!(meminfo_bytes(MEMINFO, "SwapTotal:"), None);
    }

    #[test]
    fn a_container_has_what_its_groups_leave() {
        let dir = tempfile::tempdir().unwrap();
        let (proc, groups) = (dir.path().join("proc"), dir.path().join("cgroup"));
        let write = |path: PathBuf, text: &str| {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        assert_eq!(available(&proc, &groups), None);
        write(proc.join("meminfo"), MEMINFO);
        assert_eq!(available(&proc, &groups), Some(12_000 * 1024));

        // The second version: the group has no limit, the one around it has; files in memory do not count.
        write(proc.join("self/cgroup"), "0::/outer/inner\n");
        write(groups.join("outer/inner/memory.max"), "max\n");
        write(groups.join("outer/inner/memory.current"), "1000\n");
        write(groups.join("outer/memory.max"), "9000000\n");
        write(groups.join("outer/memory.current"), "5000000\n");
        let stat = "anon 3000000\nactive_file 500000\ninactive_file 1500000\n";
        write(groups.join("outer/memory.stat"), stat);
        assert_eq!(available(&proc, &groups), Some(6_000_000));

        // The first version, with a path of the host: the root is the container's.
        write(proc.join("self/cgroup"), "3:cpu:/x\n7:memory:/docker/abc\n");
        write(groups.join("memory/memory.limit_in_bytes"), "8000000\n");
        write(groups.join("memory/memory.usage_in_bytes"), "1000000\n");
        assert_eq!(available(&proc, &groups), Some(7_000_000));
    }
}
