//! How many threads a matrix product uses, how long they wait for the next, and our own work on them.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use bytemuck::Zeroable;
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

/// `n` numbers, each `len` of which are a part of some work as of [`each_with`]; it finds zeros there. They are zeroed by
/// the thread that works on them, just before: one thread alone takes long to do that for a large image.
pub fn made<T: Zeroable + Copy + Send, O: Default>(
    n: usize,
    len: usize,
    work: impl Fn(&mut O, usize, &mut [T]) + Sync,
) -> Vec<T> {
    let mut numbers = Vec::with_capacity(n);
    let parts = numbers.spare_capacity_mut()[..n].chunks_mut(len.max(1));
    each_with(parts.collect(), |own, i, part| {
        part.fill(MaybeUninit::new(T::zeroed()));
        // Sound: all of it was written in the line above.
        #[allow(unsafe_code)]
        let part = unsafe { std::slice::from_raw_parts_mut(part.as_mut_ptr().cast(), part.len()) };
        work(own, i, part);
    });
    // Sound: there is room for so many, and the parts were all of them; a part that panics never gets here.
    #[allow(unsafe_code)]
    unsafe {
        numbers.set_len(n);
    }
    numbers
}

/// The parts of `len` numbers of all planes: first all planes' first ones.
pub fn in_parts<'a>(
    planes: impl Iterator<Item = &'a mut [f32]>,
    len: usize,
) -> Vec<Vec<&'a mut [f32]>> {
    let mut parts = Vec::new();
    for plane in planes {
        for (i, part) in plane.chunks_mut(len).enumerate() {
            if i == parts.len() {
                parts.push(Vec::new());
            }
            parts[i].push(part);
        }
    }
    parts
}

/// `n` zeros, from all threads.
pub fn zeros<T: Zeroable + Copy + Send>(n: usize) -> Vec<T> {
    made(n, ZEROS, |(): &mut (), _, _| ())
}

/// Zeros that are worth a thread.
const ZEROS: usize = 1 << 16;

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

    #[test]
    fn numbers_are_made_part_by_part_from_zeros() {
        for (n, len) in [(0, 5), (7, 10), (1000, 9)] {
            let made = made(n, len, |(): &mut (), i, part| {
                part.iter_mut().for_each(|x: &mut f32| *x += i as f32);
            });
            assert_eq!(made.len(), n);
            let mut all = made.iter().enumerate();
            assert!(all.all(|(i, x)| *x == (i / len) as f32));
        }
        assert_eq!(zeros::<u8>(ZEROS + 3), vec![0; ZEROS + 3]);
    }
}
