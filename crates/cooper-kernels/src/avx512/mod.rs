//! Kernels in 512-bit instructions of x86 processors, where plain loops and candle's kernels are slower.
//!
//! Only the innermost loops are here, compiled for x86-64. Their layouts, checks and threads are portable:
//! [`bf16_attention`](crate::bf16_attention), [`int16_matmul`](crate::int16_matmul) and
//! [`tiled_matrix`](crate::tiled_matrix) call them by [`on_avx512!`] where the processor has the instructions.

#[cfg(target_arch = "x86_64")]
pub mod attention;
#[cfg(target_arch = "x86_64")]
pub mod int16;
#[cfg(target_arch = "x86_64")]
pub mod tiles;

/// 32-bit numbers in a register.
pub const LANES: usize = 16;
/// Rows of 16-bit integers that are multiplied at once.
pub const ROW_GROUP: usize = 8;
/// Input rows that are multiplied with quantised tiles at once: the registers hold so many sums.
pub const INPUT_ROWS: usize = 12;
/// Query rows that attend at once: the registers hold their sums over 32 columns.
pub const QUERY_ROWS: usize = 12;

/// Two 16-bit numbers that are neighbours along a sum, in each of 16 columns.
pub type Pairs = [u32; LANES];
/// A 32-bit number in each of 16 columns.
pub type Numbers = [f32; LANES];

/// Where `int16::round_columns` writes.
pub struct ColumnsMut<'a> {
    /// (n/16, k/2)
    pub pairs: &'a mut [Pairs],
    /// (n/16): the value of 1 in each column.
    pub units: &'a mut [Numbers],
    /// (n/16): the factor from a column's numbers to its integers.
    pub scales: &'a mut [Numbers],
}

/// Call a kernel of this module, `on_avx512!(file::function(arguments))`.
///
/// The caller must have checked [`has_bf16`] or [`has_vnni`]; on other processors than x86-64 both are false, and the call
/// does not return.
#[cfg(target_arch = "x86_64")]
macro_rules! on_avx512 {
    ($file:ident::$function:ident $(::<$generic:tt>)? ($($argument:expr),* $(,)?)) => {{
        // Sound: the caller has checked the processor.
        #[allow(unsafe_code)]
        unsafe {
            $crate::avx512::$file::$function $(::<$generic>)? ($($argument),*)
        }
    }};
}
#[cfg(not(target_arch = "x86_64"))]
macro_rules! on_avx512 {
    ($file:ident::$function:ident $(::<$generic:tt>)? ($($argument:expr),* $(,)?)) => {{
        let _ = ($(&$argument,)*);
        $crate::avx512::not_compiled(stringify!($function))
    }};
}
pub(crate) use on_avx512;

/// What [`on_avx512!`] is on other processors. Its result has a type, so that the code behind a call is no dead code.
#[cfg(not(target_arch = "x86_64"))]
pub fn not_compiled<T>(kernel: &str) -> T {
    unreachable!("{kernel} runs on x86-64 only")
}

/// Whether the processor multiplies pairs of bf16 (AVX-512 BF16).
pub fn has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512bf16")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// Whether the processor multiplies pairs of 16-bit integers and fours of bytes (AVX-512 VNNI).
pub fn has_vnni() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// Whether the processor multiplies whole tiles (AMX).
pub fn has_amx() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::x86_64::__cpuid_count(7, 0).edx >> 25 & 1 == 1
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// Say on standard error, past the harness that captures it, that a test needs another processor.
#[cfg(test)]
pub fn say_skipped(test: &str, instructions: &str) {
    use std::io::Write;
    let _ = writeln!(
        std::io::stderr(),
        "skipped: {test}: this processor has no {instructions}"
    );
}
