//! How many threads a matrix product uses, and how long they wait for the next.

/// What candle and its matrix products ask for.
const VARIABLE: &str = "RAYON_NUM_THREADS";
/// How often candle's threads for quantised products look for the next one before they sleep, and our number.
///
/// Candle's own is larger by far: its threads then hold cores that other products, and other programs, wait for. With
/// ours a token of the 335 M model of `cooper bench` in q4k takes 10 ms for 12 on two idle cores, and about 40 for 156
/// where another program has one of them.
const SPINS: (&str, &str) = ("CANDLE_BARRIER_POOL_SPIN_LIMIT", "500");

/// Let matrix products use `n` threads (0: one for each core), unless the environment says how many.
///
/// Without it candle 0.11 reads `/proc/cpuinfo` before every product, which on a small model takes longer than the
/// product. Call it first thing in `main`: the environment may not change while other threads run.
pub fn use_threads(n: usize) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let n = if n == 0 { cores } else { n };
    for (variable, value) in [(VARIABLE, n.to_string()), (SPINS.0, SPINS.1.into())] {
        if std::env::var_os(variable).is_none() {
            // Sound as long as no other thread reads the environment meanwhile, hence the rule above.
            #[allow(unsafe_code)]
            unsafe {
                std::env::set_var(variable, value);
            }
        }
    }
}
