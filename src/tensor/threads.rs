//! How many threads a matrix product uses.

/// What candle and its matrix products ask for.
const VARIABLE: &str = "RAYON_NUM_THREADS";

/// Let matrix products use `n` threads (0: one for each core), unless the environment says how many.
///
/// Without it candle 0.11 reads `/proc/cpuinfo` before every product, which on a small model takes longer than the
/// product. Call it first thing in `main`: the environment may not change while other threads run.
pub fn use_threads(n: usize) {
    if std::env::var_os(VARIABLE).is_some() {
        return;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let n = if n == 0 { cores } else { n };
    // Sound as long as no other thread reads the environment meanwhile, hence the rule above.
    #[allow(unsafe_code)]
    unsafe {
        std::env::set_var(VARIABLE, n.to_string());
    }
}
