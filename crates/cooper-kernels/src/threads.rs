//! The threads of matmuls: how many there are, how long they spin, and our own work on them.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use bytemuck::Zeroable;
use candle_core::utils::barrier_pool;

/// The variable from which candle and its matmuls take the number of threads.
const VARIABLE: &str = "RAYON_NUM_THREADS";
/// How often candle's threads for quantised matmuls spin before they sleep: the variable, and our number.
///
/// With candle's own number, which is far larger, its threads hold cores that other matmuls and other programs need. With
/// ours a token of the 335 M model of `cooper bench` in q4k takes 10 ms for 12 on two idle cores, and about 40 for 156
/// where another program has one of them.
const SPINS: (&str, &str) = ("CANDLE_BARRIER_POOL_SPIN_LIMIT", "500");

/// Let matmuls use `n` threads (0: one for each core), unless the environment sets a number.
///
/// Without it candle 0.11 reads `/proc/cpuinfo` before every matmul, which on a small model takes longer than the matmul. Call it first thing in `main`: the environment may not change while other threads run.
pub fn use_threads(n: usize) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let n = if n == 0 { cores } else { n };
    for (variable, value) in [(VARIABLE, n.to_string()), (SPINS.0, SPINS.1.into())] {
        if std::env::var_os(variable).is_none() {
            // Sound as long as no other thread reads the environment, hence the rule above.
            #[allow(unsafe_code)]
            unsafe {
                std::env::set_var(variable, value);
            }
        }
    }
}

/// The number of threads of matmuls. With one thread, work stays on the caller's thread and no pool is used.
pub fn n_threads() -> usize {
    rayon::current_num_threads()
}

/// Call `work` with the number of each part and the part, on all threads of matmuls. These spin for a while, so that sharing
/// pays from a few microseconds of work on. `work` must not call this function in turn.
pub fn for_each<T: Send>(parts: Vec<T>, work: impl Fn(usize, T) + Sync) {
    for_each_with(parts, |(): &mut (), i, part| work(i, part));
}

/// [`for_each`], with a scratch value that each thread keeps from part to part.
pub fn for_each_with<T: Send, O: Default>(parts: Vec<T>, work: impl Fn(&mut O, usize, T) + Sync) {
    if n_threads() == 1 || parts.len() < 2 {
        let scratch = &mut O::default();
        let parts = parts.into_iter().enumerate();
        return parts.for_each(|(i, part)| work(scratch, i, part));
    }
    let parts: Vec<_> = parts
        .into_iter()
        .map(|part| Mutex::new(Some(part)))
        .collect();
    let next = AtomicUsize::new(0);
    barrier_pool().execute(|_| {
        let scratch = &mut O::default();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(part) = parts.get(i) else {
                break;
            };
            let part = part.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(part) = part {
                work(scratch, i, part);
            }
        }
    });
}

/// A vector of `n` numbers, written in parts of `len` numbers as by [`for_each_with`]; each part begins as zeros. Each thread
/// zeroes its own parts, since one thread alone takes long for a large image.
pub fn parallel_vec<T: Zeroable + Copy + Send, O: Default>(
    n: usize,
    len: usize,
    work: impl Fn(&mut O, usize, &mut [T]) + Sync,
) -> Vec<T> {
    let mut numbers = Vec::with_capacity(n);
    let parts = numbers.spare_capacity_mut()[..n].chunks_mut(len.max(1));
    for_each_with(parts.collect(), |scratch, i, part| {
        part.fill(MaybeUninit::new(T::zeroed()));
        // Sound: all of it was written in the line above.
        #[allow(unsafe_code)]
        let part = unsafe { std::slice::from_raw_parts_mut(part.as_mut_ptr().cast(), part.len()) };
        work(scratch, i, part);
    });
    // Sound: there is capacity for `n` numbers, and the parts have written all of them. A panic does not get here.
    #[allow(unsafe_code)]
    unsafe {
        numbers.set_len(n);
    }
    numbers
}

/// Split planes into parts of `len` numbers: first the first parts of all planes, then the second ones.
pub fn split_planes<'a>(
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

/// `n` zeros, written by all threads.
pub fn zeros<T: Zeroable + Copy + Send>(n: usize) -> Vec<T> {
    parallel_vec(n, ZEROS, |(): &mut (), _, _| ())
}

/// Zeros in a part of the work.
const ZEROS: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_done_once_with_its_number() {
        for n in [0, 1, 2, 1000] {
            let mut done = vec![0; n];
            for_each(done.iter_mut().collect(), |i, part| *part += i + 1);
            assert!(done.iter().enumerate().all(|(i, part)| *part == i + 1));
        }
    }

    #[test]
    fn a_vector_is_written_in_parts_of_zeros() {
        for (n, len) in [(0, 5), (7, 10), (1000, 9)] {
            let numbers = parallel_vec(n, len, |(): &mut (), i, part| {
                part.iter_mut().for_each(|x: &mut f32| *x += i as f32);
            });
            assert_eq!(numbers.len(), n);
            let mut all = numbers.iter().enumerate();
            assert!(all.all(|(i, x)| *x == (i / len) as f32));
        }
        assert_eq!(zeros::<u8>(ZEROS + 3), vec![0; ZEROS + 3]);
    }
}
