//! What this machine and this build have.

use std::fmt;

use serde::Serialize;

use super::size;

/// Cores, memory and compiled-in accelerators.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    cores: usize,
    memory_total_bytes: Option<u64>,
    /// What a new program can have without swapping, as the kernel estimates it.
    pub(super) memory_available_bytes: Option<u64>,
    gpu_support: Vec<&'static str>,
}

impl Machine {
    /// Look at this machine; memory is known on Linux only.
    pub(super) fn look() -> Self {
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let features = [
            ("cuda", cfg!(feature = "cuda")),
            ("cudnn", cfg!(feature = "cudnn")),
            ("flash-attn", cfg!(feature = "flash-attn")),
            ("metal", cfg!(feature = "metal")),
        ];
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_total_bytes: field(&meminfo, "MemTotal:"),
            memory_available_bytes: field(&meminfo, "MemAvailable:"),
            gpu_support: features
                .into_iter()
                .filter_map(|(name, compiled)| compiled.then_some(name))
                .collect(),
        }
    }
}

/// A line such as `MemTotal:       24576000 kB`, in bytes.
fn field(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores = if self.cores == 1 { "core" } else { "cores" };
        write!(f, "{} {cores}, ", self.cores)?;
        match (self.memory_available_bytes, self.memory_total_bytes) {
            (Some(available), Some(total)) => {
                write!(f, "{} of {} memory available", size(available), size(total))?;
            }
            _ => write!(f, "memory unknown")?,
        }
        match self.gpu_support.as_slice() {
            [] => write!(f, "; built without GPU support (no CUDA)"),
            built => write!(f, "; built with {}", built.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let meminfo = "MemTotal:       24576000 kB\nMemFree:  1 kB\nMemAvailable:   12 kB\n";
        assert_eq!(field(meminfo, "MemTotal:"), Some(24_576_000 * 1024));
        assert_eq!(field(meminfo, "MemAvailable:"), Some(12 * 1024));
        assert_eq!(field(meminfo, "SwapTotal:"), None);
    }
}
