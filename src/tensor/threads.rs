//! How many threads a matrix product uses, how long they wait for the next, and our own work on them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use candle_core::utils::barrier_pool;

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

/// Threads of matrix products. Where it is one, callers have threads of their own, which must not meet in one pool.
pub fn n_threads() -> usize {
    rayon::current_num_threads()
}

/// Do the parts of some work, given their numbers, on all threads of matrix products: candle's own, which wait awake for
/// a while, so that work of some microseconds is worth sharing. Parts must not share work of their own in turn.
pub fn each<T: Send>(parts: Vec<T>, work: impl Fn(usize, T) + Sync) {
    each_with(parts, |(): &mut (), i, part| work(i, part));
}

/// [`each`], with something that a thread has for itself from part to part.
pub fn each_with<T: Send, O: Default>(parts: Vec<T>, work: impl Fn(&mut O, usize, T) + Sync) {
    if n_threads() == 1 || parts.len() < 2 {
        let own = &mut O::default();
        let parts = parts.into_iter().enumerate();
        return parts.for_each(|(i, part)| work(own, i, part));
    }
    let parts: Vec<_> = parts
        .into_iter()
        .map(|part| Mutex::new(Some(part)))
        .collect();
    let next = AtomicUsize::new(0);
    barrier_pool().execute(|_| {
        let own = &mut O::default();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(part) = parts.get(i) else {
                break;
            };
            let part = part.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(part) = part {
                work(own, i, part);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_done_once_under_its_number() {
        for n in [0, 1, 2, 1000] {
            let mut done = vec![0; n];
            each(done.iter_mut().collect(), |i, part| *part += i + 1);
            assert!(done.iter().enumerate().all(|(i, part)| *part == i + 1));
        }
    }
}
