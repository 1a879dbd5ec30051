//! What this machine and this build have.

use std::fmt;

use cooper_model::engine::{available_memory, meminfo_bytes};
use serde::Serialize;

use super::numbers::size;

/// Cores, memory and compiled-in accelerators.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    cores: usize,
    memory_total_bytes: Option<u64>,
    /// What a new program can have without swapping, within a container's limit.
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
            memory_total_bytes: meminfo_bytes(&meminfo, "MemTotal:"),
            memory_available_bytes: available_memory(),
            gpu_support: features
                .into_iter()
                .filter_map(|(name, compiled)| compiled.then_some(name))
                .collect(),
        }
    }
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
