//! Sums in many lanes: a compiler may not reorder a plain sum of floats, so it runs one by one otherwise.

use half::bf16;

use super::threads::each;

const LANES: usize = 32;

/// A block as compiled for the widest vector unit of this processor.
///
/// Only what is inlined into it counts: functions that it calls are to be `#[inline(always)]`. The compiler leaves closures
/// where they are if there are several places to inline them to, so this is a macro, which writes the block down for each
/// unit.
macro_rules! dispatch {
    ($block:expr) => {
        match pulp::Arch::new() {
            #[cfg(target_arch = "x86_64")]
            pulp::Arch::V4(unit) => pulp::Simd::vectorize(unit, || $block),
            #[cfg(target_arch = "x86_64")]
            pulp::Arch::V3(unit) => pulp::Simd::vectorize(unit, || $block),
            _ => $block,
        }
    };
}
pub(crate) use dispatch;

#[inline(always)]
fn folded(xs: impl Iterator<Item = [f32; LANES]>, start: f32, f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; LANES];
    for chunk in xs {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = f(*lane, x);
        }
    }
    halved(lanes, f)
}

/// Halves onto halves. Apart from the loop before it: where the compiler sees both, it splits the lanes of both into
/// pairs, and the loop takes four times as long.
#[inline(never)]
fn halved(mut lanes: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut n = LANES;
    while n > 1 {
        n /= 2;
        for i in 0..n {
            lanes[i] = f(lanes[i], lanes[i + n]);
        }
    }
    lanes[0]
}

#[inline(always)]
fn chunk(xs: &[f32]) -> [f32; LANES] {
    let mut chunk = [0.0; LANES];
    chunk.copy_from_slice(xs);
    chunk
}

/// Σ x.
#[inline(always)]
pub fn sum(xs: &[f32]) -> f32 {
    let chunks = xs.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().sum();
    folded(chunks.map(chunk), 0.0, |a, x| a + x) + rest
}

/// Ask for what lies so many bytes behind this. Where something is read once from one end to the other, it comes from
/// memory as fast as it is asked for: up to three times as fast as the processor finds out by itself.
#[inline(always)]
pub fn fetch_ahead<T>(n_bytes: usize, part: &T) {
    let line = std::ptr::from_ref(part).cast::<i8>().wrapping_add(n_bytes);
    // Sound: it reads nothing, and every address may be asked for.
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(line);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}

/// Numbers that become f32 without loss.
pub trait Wide: Copy {
    /// The same in f32.
    fn wide(self) -> f32;
}

impl Wide for f32 {
    #[inline(always)]
    fn wide(self) -> f32 {
        self
    }
}

impl Wide for bf16 {
    /// As `to_f32`, but for the payload of NaNs, so that it becomes vector code.
    #[inline(always)]
    fn wide(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}

impl Wide for i8 {
    #[inline(always)]
    fn wide(self) -> f32 {
        f32::from(self)
    }
}

/// How far ahead [`dot_of_next`] asks for rows, in bytes.
const AHEAD: usize = 4096;

/// [`dot`] of a row that is read once, and of which the next ones follow in memory and in the work.
#[inline(always)]
pub fn dot_of_next<T: Wide>(row: &[T], ys: &[f32]) -> f32 {
    for line in row.chunks(64 / size_of::<T>()) {
        fetch_ahead(AHEAD, &line[0]);
    }
    dot(row, ys)
}

/// Σ x·y of equally many.
#[inline(always)]
pub fn dot<T: Wide>(xs: &[T], ys: &[f32]) -> f32 {
    let (x_chunks, y_chunks) = (xs.chunks_exact(LANES), ys.chunks_exact(LANES));
    let rest = x_chunks.remainder().iter().zip(y_chunks.remainder());
    let rest: f32 = rest.map(|(x, y)| x.wide() * y).sum();
    let products = x_chunks.zip(y_chunks).map(|(x, y)| {
        let mut products = chunk(y);
        for (y, x) in products.iter_mut().zip(x) {
            *y *= x.wide();
        }
        products
    });
    folded(products, 0.0, |a, x| a + x) + rest
}

/// Σ x·y·z of equally many.
#[inline(always)]
pub fn dot3(xs: &[f32], ys: &[f32], zs: &[f32]) -> f32 {
    let n = xs.len().min(ys.len()).min(zs.len()) / LANES * LANES;
    let products = (0..n).step_by(LANES).map(|i| {
        let (mut x, y, z) = (
            chunk(&xs[i..i + LANES]),
            chunk(&ys[i..i + LANES]),
            chunk(&zs[i..i + LANES]),
        );
        for ((x, y), z) in x.iter_mut().zip(y).zip(z) {
            *x *= y * z;
        }
        x
    });
    let rest: f32 = (n..xs.len()).map(|i| xs[i] * ys[i] * zs[i]).sum();
    folded(products, 0.0, |a, x| a + x) + rest
}

/// Σ (x − center)².
#[inline(always)]
pub fn squares_around(xs: &[f32], center: f32) -> f32 {
    let square = |x: f32| (x - center) * (x - center);
    let chunks = xs.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().map(|x| square(*x)).sum();
    folded(chunks.map(|xs| chunk(xs).map(square)), 0.0, |a, x| a + x) + rest
}

/// The greatest, −∞ of none.
#[inline(always)]
pub fn max(xs: &[f32]) -> f32 {
    let chunks = xs.chunks_exact(LANES);
    let rest = chunks.remainder().iter().copied();
    let rest = rest.fold(f32::NEG_INFINITY, f32::max);
    folded(chunks.map(chunk), f32::NEG_INFINITY, f32::max).max(rest)
}

/// The greatest magnitude, 0 of none.
#[inline(always)]
pub fn most(xs: &[f32]) -> f32 {
    let chunks = xs.chunks_exact(LANES);
    let rest = chunks.remainder().iter().copied().map(f32::abs);
    let rest = rest.fold(0.0, f32::max);
    folded(chunks.map(|xs| chunk(xs).map(f32::abs)), 0.0, f32::max).max(rest)
}

/// Numbers that are worth a thread of their own.
const WORTH_A_THREAD: usize = 1 << 14;

/// Change each row of `width` numbers, given its index; on all threads of matrix products (see [`super::threads`]).
pub fn each_row(xs: &mut [f32], width: usize, change: impl Fn(usize, &mut [f32]) + Sync) {
    let width = width.max(1);
    let n_rows = WORTH_A_THREAD.div_ceil(width);
    each(xs.chunks_mut(n_rows * width).collect(), |part, rows| {
        for (i, row) in rows.chunks_exact_mut(width).enumerate() {
            change(part * n_rows + i, row);
        }
    });
}

/// Change parts of `xs`, given where each begins; on all threads of matrix products.
pub fn each_part<T: Send>(xs: &mut [T], change: impl Fn(usize, &mut [T]) + Sync) {
    let worth = (WORTH_A_THREAD * size_of::<f32>()).div_ceil(size_of::<T>());
    each(xs.chunks_mut(worth).collect(), |i, part| {
        change(i * worth, part)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_changed_once_with_its_index() {
        for n_rows in [1, 3, 1000] {
            let mut xs = vec![0.5; n_rows * 33];
            each_row(&mut xs, 33, |i, row| {
                row.iter_mut().for_each(|x| *x += i as f32);
            });
            let mut rows = xs.chunks_exact(33).enumerate();
            assert!(rows.all(|(i, row)| row.iter().all(|x| *x == i as f32 + 0.5)));
        }
    }

    #[test]
    fn every_part_is_changed_once() {
        let mut xs = vec![1.0; 2 * WORTH_A_THREAD + 7];
        each_part(&mut xs, |start, part| {
            let numbers = part.iter_mut().enumerate();
            numbers.for_each(|(i, x)| *x += (start + i) as f32);
        });
        let mut all = xs.iter().enumerate();
        assert!(all.all(|(i, x)| *x == i as f32 + 1.0));
    }

    #[test]
    fn lanes_give_what_plain_sums_give() {
        for n in [0, 1, 15, 16, 17, 100] {
            let xs: Vec<f32> = (0..n).map(|i| (i * 7 % 13) as f32 - 6.0).collect();
            assert_eq!(sum(&xs), xs.iter().sum::<f32>());
            assert_eq!(dot(&xs, &xs), xs.iter().map(|x| x * x).sum::<f32>());
            assert_eq!(
                dot3(&xs, &xs, &xs),
                xs.iter().map(|x| x * x * x).sum::<f32>()
            );
            assert_eq!(
                max(&xs),
                xs.iter().copied().fold(f32::NEG_INFINITY, f32::max)
            );
            assert_eq!(
                most(&xs),
                xs.iter().copied().map(f32::abs).fold(0.0, f32::max)
            );
        }
    }
}
