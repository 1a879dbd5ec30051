//! The second layout of a quantised matrix that candle makes for its vector kernels.

use std::sync::OnceLock;

use candle_core::quantized::GgmlDType;

/// Candle's kernels on this processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code)] // No architecture has all of them.
enum Kernels {
    /// Plain ones, without repacking.
    Plain,
    /// 256 bits on x86: repacks 4 bits only.
    Avx2,
    /// Multiplies bytes on x86.
    Vnni,
    /// Multiplies tiles on x86: repacks 4 bits twice.
    Amx,
    /// Multiplies bytes on ARM.
    Dotprod,
}

fn kernels() -> Kernels {
    static KERNELS: OnceLock<Kernels> = OnceLock::new();
    *KERNELS.get_or_init(detect_kernels)
}

#[cfg(target_arch = "x86_64")]
fn detect_kernels() -> Kernels {
    // No stable macro detects AMX.
    let has_tiles = || {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        info.contains(" amx_tile") && info.contains(" amx_int8")
    };
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni") {
        match has_tiles() {
            true => Kernels::Amx,
            false => Kernels::Vnni,
        }
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("avxvnni") {
        Kernels::Vnni
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        Kernels::Avx2
    } else {
        Kernels::Plain
    }
}

#[cfg(target_arch = "aarch64")]
fn detect_kernels() -> Kernels {
    match std::arch::is_aarch64_feature_detected!("dotprod") {
        true => Kernels::Dotprod,
        false => Kernels::Plain,
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn detect_kernels() -> Kernels {
    Kernels::Plain
}

/// Bytes that candle adds to a quantised matrix (out, width) on this machine's CPU at its first matmul; 0 if it uses the
/// matrix as it is. Source: candle 0.11, `quantized/repack.rs` and `repack_x86.rs`.
pub fn repacked_bytes(dtype: GgmlDType, out: usize, width: usize) -> u64 {
    repacked_bytes_for(kernels(), dtype, out, width)
}

fn repacked_bytes_for(kernels: Kernels, dtype: GgmlDType, out: usize, width: usize) -> u64 {
    let n = (out * width) as u64;
    let stored = n / dtype.block_size() as u64 * dtype.type_size() as u64;
    let in_tiles = out.is_multiple_of(16) && width.is_multiple_of(256);
    let unpacked = n / 4 * 3; // 4 bits, and scales in f32
    match (kernels, dtype) {
        (Kernels::Avx2 | Kernels::Vnni, GgmlDType::Q4K) if in_tiles => unpacked,
        (Kernels::Amx, GgmlDType::Q4K) if in_tiles => unpacked + n / 4 * 5,
        (Kernels::Vnni | Kernels::Amx, GgmlDType::Q8_0) if in_tiles => stored,
        (Kernels::Dotprod, GgmlDType::Q4K | GgmlDType::Q5K) if out.is_multiple_of(8) => stored,
        (Kernels::Dotprod, GgmlDType::Q8_0) if out.is_multiple_of(4) => stored,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repacking_depends_on_processor_type_and_size() {
        let bytes = |kernels, dtype| repacked_bytes_for(kernels, dtype, 32, 512);
        let n = 32 * 512;
        for (kernels, q4k, q8_0) in [
            (Kernels::Plain, 0, 0),
            (Kernels::Avx2, n * 3 / 4, 0),
            (Kernels::Vnni, n * 3 / 4, n * 17 / 16),
            (Kernels::Amx, n * 2, n * 17 / 16),
            (Kernels::Dotprod, n * 9 / 16, n * 17 / 16),
        ] {
            assert_eq!(bytes(kernels, GgmlDType::Q4K), q4k, "{kernels:?}");
            assert_eq!(bytes(kernels, GgmlDType::Q8_0), q8_0, "{kernels:?}");
        }
        assert_eq!(bytes(Kernels::Dotprod, GgmlDType::Q5K), n * 11 / 16);
        assert_eq!(bytes(Kernels::Amx, GgmlDType::Q5K), 0);
        assert_eq!(
            repacked_bytes_for(Kernels::Vnni, GgmlDType::Q8_0, 32, 96),
            0
        );
        assert_eq!(
            repacked_bytes_for(Kernels::Vnni, GgmlDType::Q8_0, 40, 256),
            0
        );
    }
}
