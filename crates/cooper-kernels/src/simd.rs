//! Reductions in SIMD lanes. A compiler may not reorder a plain sum of floats, so it would run number by number.
//!
//! Functions here are `#[inline(always)]` for [`dispatch!`].

use half::bf16;

use super::threads::for_each;

const LANES: usize = 32;

/// Run a block as compiled for the widest vector unit of this processor.
///
/// Functions that the block calls must be `#[inline(always)]`, or they run without it. It is a macro, which repeats the block
/// for each unit, since the compiler does not inline a closure in several places.
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
fn fold_lanes(
    xs: impl Iterator<Item = [f32; LANES]>,
    start: f32,
    f: impl Fn(f32, f32) -> f32,
) -> f32 {
    let mut lanes = [start; LANES];
    for chunk in xs {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = f(*lane, x);
        }
    }
    combine_lanes(lanes, f)
}

/// Combine all lanes. Not inlined: otherwise the compiler splits the lanes of the loop before it into pairs, and the loop
/// takes four times as long.
#[inline(never)]
fn combine_lanes(mut lanes: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> f32 {
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
fn load(xs: &[f32]) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    lanes.copy_from_slice(xs);
    lanes
}

/// Σ x.
#[inline(always)]
pub fn sum(xs: &[f32]) -> f32 {
    let chunks = xs.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().sum();
    fold_lanes(chunks.map(load), 0.0, |a, x| a + x) + rest
}

/// Prefetch the cache line `n_bytes` behind `part`. For memory that is read once from end to end, this is up to three times
/// as fast as the processor's own prefetching.
#[inline(always)]
pub fn prefetch<T>(n_bytes: usize, part: &T) {
    let line = std::ptr::from_ref(part).cast::<i8>().wrapping_add(n_bytes);
    // Sound: a prefetch reads nothing, and every address is allowed.
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(line);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}

/// Exact conversion to f32.
pub trait Widen: Copy {
    /// The same in f32.
    fn widen(self) -> f32;
}

impl Widen for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}

impl Widen for bf16 {
    /// As `to_f32`, but for the payload of NaNs, so that it becomes vector code.
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}

impl Widen for i8 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from(self)
    }
}

/// How far ahead [`dot_prefetched`] prefetches, in bytes.
const AHEAD: usize = 4096;

/// [`dot`] of a row of a matrix that is read once, row by row.
#[inline(always)]
pub fn dot_prefetched<T: Widen>(row: &[T], ys: &[f32]) -> f32 {
    for line in row.chunks(64 / size_of::<T>()) {
        prefetch(AHEAD, &line[0]);
    }
    dot(row, ys)
}

/// Σ x·y, of slices of one length.
#[inline(always)]
pub fn dot<T: Widen>(xs: &[T], ys: &[f32]) -> f32 {
    let (x_chunks, y_chunks) = (xs.chunks_exact(LANES), ys.chunks_exact(LANES));
    let rest = x_chunks.remainder().iter().zip(y_chunks.remainder());
    let rest: f32 = rest.map(|(x, y)| x.widen() * y).sum();
    let products = x_chunks.zip(y_chunks).map(|(x, y)| {
        let mut products = load(y);
        for (y, x) in products.iter_mut().zip(x) {
            *y *= x.widen();
        }
        products
    });
    fold_lanes(products, 0.0, |a, x| a + x) + rest
}

/// Σ x·y·z, of slices of one length.
#[inline(always)]
pub fn dot3(xs: &[f32], ys: &[f32], zs: &[f32]) -> f32 {
    let n = xs.len().min(ys.len()).min(zs.len()) / LANES * LANES;
    let products = (0..n).step_by(LANES).map(|i| {
        let (mut x, y, z) = (
            load(&xs[i..i + LANES]),
            load(&ys[i..i + LANES]),
            load(&zs[i..i + LANES]),
        );
        for ((x, y), z) in x.iter_mut().zip(y).zip(z) {
            *x *= y * z;
        }
        x
    });
    let rest: f32 = (n..xs.len()).map(|i| xs[i] * ys[i] * zs[i]).sum();
    fold_lanes(products, 0.0, |a, x| a + x) + rest
}

/// Σ (x − center)².
#[inline(always)]
pub fn squared_deviations(xs: &[f32], center: f32) -> f32 {
    let square = |x: f32| (x - center) * (x - center);
    let chunks = xs.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().map(|x| square(*x)).sum();
    fold_lanes(chunks.map(|xs| load(xs).map(square)), 0.0, |a, x| a + x) + rest
}

/// The maximum; −∞ of an empty slice.
#[inline(always)]
pub fn max(xs: &[f32]) -> f32 {
    let chunks = xs.chunks_exact(LANES);
    let rest = chunks.remainder().iter().copied();
    let rest = rest.fold(f32::NEG_INFINITY, f32::max);
    fold_lanes(chunks.map(load), f32::NEG_INFINITY, f32::max).max(rest)
}

/// The largest magnitude; 0 of an empty slice.
#[inline(always)]
pub fn max_abs(xs: &[f32]) -> f32 {
    let chunks = xs.chunks_exact(LANES);
    let rest = chunks.remainder().iter().copied().map(f32::abs);
    let rest = rest.fold(0.0, f32::max);
    fold_lanes(chunks.map(|xs| load(xs).map(f32::abs)), 0.0, f32::max).max(rest)
}

/// Numbers in a part of the work.
const PART: usize = 1 << 14;

/// Call `change` with the index of each row of `width` numbers and the row, on all [`threads`](super::threads).
pub fn for_each_row(xs: &mut [f32], width: usize, change: impl Fn(usize, &mut [f32]) + Sync) {
    let width = width.max(1);
    let n_rows = PART.div_ceil(width);
    for_each(xs.chunks_mut(n_rows * width).collect(), |part, rows| {
        for (i, row) in rows.chunks_exact_mut(width).enumerate() {
            change(part * n_rows + i, row);
        }
    });
}

/// Call `change` with the start of each part of `xs` and the part, on all [`threads`](super::threads).
pub fn for_each_part<T: Send>(xs: &mut [T], change: impl Fn(usize, &mut [T]) + Sync) {
    let len = (PART * size_of::<f32>()).div_ceil(size_of::<T>());
    for_each(xs.chunks_mut(len).collect(), |i, part| {
        change(i * len, part)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_changed_once_with_its_index() {
        for n_rows in [1, 3, 1000] {
            let mut xs = vec![0.5; n_rows * 33];
            for_each_row(&mut xs, 33, |i, row| {
                row.iter_mut().for_each(|x| *x += i as f32);
            });
            let mut rows = xs.chunks_exact(33).enumerate();
            assert!(rows.all(|(i, row)| row.iter().all(|x| *x == i as f32 + 0.5)));
        }
    }

    #[test]
    fn every_part_is_changed_once() {
        let mut xs = vec![1.0; 2 * PART + 7];
        for_each_part(&mut xs, |start, part| {
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
                max_abs(&xs),
                xs.iter().copied().map(f32::abs).fold(0.0, f32::max)
            );
        }
    }
}
