//! ConvPrecision of numbers that are rounded to 16-bit integers (AVX-512 VNNI): twice as fast as in f32, and nearer to it than
//! bf16.
//!
//! Each row of one matrix and each column of the other has a scale of its own. The scales are such that no sum can leave 32
//! bits: the product of two vectors, or of parts of them, is at most that of their lengths (Cauchy and Schwarz).

use std::arch::x86_64::*;

use crate::simd::{self, dispatch};
use crate::threads::{each, zeros};

/// Columns in a register; there are whole ones only.
pub const COLUMNS: usize = 16;
/// Rows that are multiplied at once; there are whole eights only.
pub const EIGHT: usize = 8;
/// Registers of columns that they are multiplied with at once: there are 32 for all sums.
const PANELS: usize = 3;

/// What a rounded column is long at most, so that none of its numbers is beyond 16 bits.
const COLUMN_LENGTH: f32 = 32_700.0;
/// What a rounded row is long at most. With the half that rounding may add to each number, products of up to 8192 stay
/// below 2³¹.
const ROW_LENGTH: f32 = 65_400.0;
/// What a number of a rounded row is at most.
const MOST: f32 = 32_767.0;
/// Numbers of a row or column at most.
const LONGEST: usize = 1 << 13;
/// What is shorter counts as nothing.
const LEAST: f32 = 1e-30;

/// Two numbers that are neighbours along a sum, in each of 16 columns.
type Pairs = [u32; COLUMNS];

/// Numbers of 16 columns.
type Numbers = [f32; COLUMNS];

/// Whether the processor has the instructions, and a matrix of such rows can be multiplied.
pub fn has_rounded_rows(m: usize, k: usize) -> bool {
    let has_instructions =
        is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni");
    has_instructions && m.is_multiple_of(EIGHT) && k.is_multiple_of(2) && k <= LONGEST
}

/// A matrix (m, k) in integers, a scale for each row.
#[derive(Debug)]
pub struct RoundedRows {
    /// (m/8, k/2): two neighbours of eight rows each.
    pairs: Vec<[u32; EIGHT]>,
    /// (m/8): what a row's integers are to be multiplied with.
    units: Vec<[f32; EIGHT]>,
}

/// Eight of its rows, which are to be written.
pub struct EightRows<'a> {
    pairs: &'a mut [[u32; EIGHT]],
    units: &'a mut [f32; EIGHT],
}

impl RoundedRows {
    /// Of rows of zeros.
    ///
    /// # Panics
    /// Where [`has_rounded_rows`] says no.
    pub fn zeros(m: usize, k: usize) -> Self {
        assert!(has_rounded_rows(m, k));
        Self {
            pairs: zeros(m / EIGHT * k / 2),
            units: vec![[0.0; EIGHT]; m / EIGHT],
        }
    }

    /// Of rows (m, k), rounded.
    ///
    /// # Panics
    /// Where [`has_rounded_rows`] says no, or there are not `m` rows.
    pub fn new(xs: &[f32], m: usize) -> Self {
        let k = xs.len() / m;
        let mut rows = Self::zeros(m, k);
        let eights = rows.eights().zip(xs.chunks_exact(EIGHT * k));
        each(eights.collect(), |_, (mut eight, xs)| {
            for (i, xs) in xs.chunks_exact(k).enumerate() {
                eight.set(i, xs);
            }
        });
        rows
    }

    /// Pairs of a row.
    fn half(&self) -> usize {
        self.pairs.len() / self.units.len().max(1)
    }

    /// Its rows by eights, to be written.
    pub fn eights(&mut self) -> impl Iterator<Item = EightRows<'_>> {
        let half = self.half();
        let rows = self.pairs.chunks_exact_mut(half).zip(&mut self.units);
        rows.map(|(pairs, units)| EightRows { pairs, units })
    }
}

impl EightRows<'_> {
    /// Make the `i`-th of them these numbers, rounded.
    ///
    /// # Panics
    /// If there is none, or it has another length.
    pub fn set(&mut self, i: usize, xs: &[f32]) {
        assert_eq!(xs.len(), 2 * self.pairs.len());
        let (length, most) = dispatch!((simd::dot(xs, xs).sqrt(), simd::most(xs)));
        let scale = (ROW_LENGTH / length.max(LEAST)).min(MOST / most.max(LEAST));
        self.units[i] = 1.0 / scale;
        for (pairs, xs) in self.pairs.chunks_mut(COLUMNS).zip(xs.chunks(2 * COLUMNS)) {
            // Sound: there are rows only where the processor has the instructions.
            #[allow(unsafe_code)]
            let rounded = unsafe { round(xs, scale) };
            for (pairs, rounded) in pairs.iter_mut().zip(rounded) {
                pairs[i] = rounded;
            }
        }
    }
}

/// Up to 32 numbers as integers, two neighbours in one; what is missing is 0.
#[inline]
#[target_feature(enable = "avx512f")]
fn round(xs: &[f32], scale: f32) -> Pairs {
    let mut numbers = [[0f32; COLUMNS]; 2];
    numbers.as_flattened_mut()[..xs.len()].copy_from_slice(xs);
    let scale = _mm512_set1_ps(scale);
    bytemuck::cast(numbers.map(|numbers| {
        let integers = _mm512_cvtps_epi32(_mm512_mul_ps(bytemuck::cast(numbers), scale));
        _mm512_cvtsepi32_epi16(integers)
    }))
}

/// Columns of a matrix in integers; memory that products use again.
#[derive(Debug, Default)]
pub struct RoundedColumns {
    /// (n/16, k/2)
    pairs: Vec<Pairs>,
    /// (n/16): what a column's integers are to be multiplied with.
    units: Vec<Numbers>,
    /// (n/16): what a column's numbers were multiplied with.
    scales: Vec<Numbers>,
}

impl RoundedColumns {
    /// Make them those of `xs` (k, n), rounded.
    ///
    /// # Panics
    /// Where [`has_rounded_rows`] says no, or `n` is no multiple of 16.
    pub fn set(&mut self, xs: &[f32], k: usize, n: usize) {
        assert!(has_rounded_rows(EIGHT, k) && xs.len() == k * n && n.is_multiple_of(COLUMNS));
        self.pairs.resize(n / COLUMNS * k / 2, [0; COLUMNS]);
        for numbers in [&mut self.units, &mut self.scales] {
            numbers.clear();
            numbers.resize(n / COLUMNS, [0.0; COLUMNS]);
        }
        // Sound: the instructions are there, see above.
        #[allow(unsafe_code)]
        unsafe {
            self.round(xs.as_chunks().0);
        }
    }

    /// Round numbers (k, n/16).
    #[target_feature(enable = "avx512f,avx512bw")]
    fn round(&mut self, xs: &[Numbers]) {
        let n_panels = self.units.len();
        let half = self.pairs.len() / n_panels;
        // Line by line, as they lie in memory; first the squares of the lengths.
        for line in xs.chunks_exact(n_panels) {
            for (sum, x) in self.units.iter_mut().zip(line) {
                let (x, before) = (bytemuck::cast(*x), bytemuck::cast(*sum));
                *sum = bytemuck::cast(_mm512_fmadd_ps(x, x, before));
            }
        }
        let most = _mm512_set1_ps(COLUMN_LENGTH);
        for (unit, scale) in self.units.iter_mut().zip(&mut self.scales) {
            let length = _mm512_sqrt_ps(bytemuck::cast(*unit));
            // In this order what is no number stays so.
            let length = _mm512_max_ps(_mm512_set1_ps(LEAST), length);
            *scale = bytemuck::cast(_mm512_div_ps(most, length));
            *unit = bytemuck::cast(_mm512_div_ps(length, most));
        }
        let low = _mm512_set1_epi32(0xffff);
        for (i, lines) in xs.chunks_exact(2 * n_panels).enumerate() {
            let (first, second) = lines.split_at(n_panels);
            let second = &second[..n_panels];
            for (p, scale) in self.scales.iter().enumerate() {
                let scale = bytemuck::cast(*scale);
                let [x, y] = [first[p], second[p]].map(bytemuck::cast);
                let x = _mm512_cvtps_epi32(_mm512_mul_ps(x, scale));
                let y = _mm512_cvtps_epi32(_mm512_mul_ps(y, scale));
                let both = _mm512_or_si512(_mm512_and_si512(x, low), _mm512_slli_epi32::<16>(y));
                self.pairs[p * half + i] = bytemuck::cast(both);
            }
        }
    }
}

/// ConvPrecision of rows `first` and on, as many as `out` has room for, with columns: `out` (rows, n).
///
/// # Panics
/// If sizes do not fit, or `first` is no multiple of 8.
pub fn rounded_product(
    out: &mut [f32],
    rows: &RoundedRows,
    first: usize,
    columns: &RoundedColumns,
) {
    let (n_panels, half) = (columns.units.len(), rows.half());
    let n = n_panels * COLUMNS;
    assert!(columns.pairs.len() == half * n_panels);
    assert!(out.len().is_multiple_of(EIGHT * n) && first.is_multiple_of(EIGHT));
    let first = first / EIGHT;
    let rows = rows.pairs[first * half..]
        .chunks_exact(half)
        .zip(&rows.units[first..]);
    for p in (0..n_panels).step_by(PANELS) {
        let panels = p..n_panels.min(p + PANELS);
        let columns = (
            &columns.pairs[panels.start * half..panels.end * half],
            &columns.units[panels],
        );
        for (rows, out) in rows.clone().zip(out.chunks_exact_mut(EIGHT * n)) {
            let out = &mut out[p * COLUMNS..];
            // Sound: there are rows only where the processor has the instructions.
            #[allow(unsafe_code)]
            unsafe {
                match columns.1.len() {
                    PANELS => multiply::<PANELS>(rows, columns, out, n),
                    2 => multiply::<2>(rows, columns, out, n),
                    _ => multiply::<1>(rows, columns, out, n),
                }
            }
        }
    }
}

/// ConvPrecision of eight rows with `P` panels of columns, to the beginnings of rows of `n`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn multiply<const P: usize>(
    (pairs, row_units): (&[[u32; EIGHT]], &[f32; EIGHT]),
    (panels, units): (&[Pairs], &[Numbers]),
    out: &mut [f32],
    n: usize,
) {
    let half = pairs.len();
    // Told once, so that nothing is checked within the loop.
    let mut panels = panels.chunks_exact(half);
    let panels = [(); P].map(|()| panels.next().map_or(&[][..], |panel| &panel[..half]));
    let mut sums = [[_mm512_setzero_si512(); P]; EIGHT];
    for (i, rows) in pairs.iter().enumerate() {
        let columns = panels.map(|panel| bytemuck::cast(panel[i]));
        for m in 0..EIGHT {
            let row = _mm512_set1_epi32(rows[m] as i32);
            for p in 0..P {
                sums[m][p] = _mm512_dpwssd_epi32(sums[m][p], row, columns[p]);
            }
        }
    }
    for m in 0..EIGHT {
        let unit = _mm512_set1_ps(row_units[m]);
        let out = out[m * n..].as_chunks_mut().0;
        for p in 0..P {
            let product = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[m][p]), unit);
            let product = _mm512_mul_ps(product, bytemuck::cast(units[p]));
            out[p] = bytemuck::cast::<_, Numbers>(product);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in (−1, 1), of which every seventh row is small.
    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        let number = |i: usize| ((i * 7919 + seed * 31 + i / 7) % 2003) as f32 / 1001.5 - 1.0;
        (0..n).map(number).collect()
    }

    #[test]
    fn products_are_as_near_as_rounding_lets_them_be() {
        for (m, k, n) in [(8, 2, 16), (24, 34, 32), (16, 128, 48), (8, 512, 112)] {
            if !has_rounded_rows(m, k) {
                return;
            }
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let rows = RoundedRows::new(&a, m);
            let mut columns = RoundedColumns::default();
            columns.set(&b, k, n);
            let first = m / 2 / 8 * 8;
            let mut out = vec![f32::NAN; (m - first) * n];
            rounded_product(&mut out, &rows, first, &columns);
            for (i, out) in out.chunks_exact(n).enumerate() {
                let row = &a[(first + i) * k..][..k];
                for (j, got) in out.iter().enumerate() {
                    let column = || b[j..].iter().step_by(n);
                    let expected: f32 = row.iter().zip(column()).map(|(x, y)| x * y).sum();
                    let length = |square: f32| square.sqrt();
                    let lengths = length(row.iter().map(|x| x * x).sum())
                        * length(column().map(|x| x * x).sum());
                    // Half a unit in each number, of which there are k in either.
                    let error = (got - expected).abs() / lengths;
                    let bound = (k as f32).sqrt() * 0.5 * (1.0 / 32_700.0 + 1.0 / 65_400.0);
                    assert!(error <= bound + 1e-6, "{m}x{k}x{n}: {error} > {bound}");
                }
            }
        }
    }

    #[test]
    fn the_longest_vectors_stay_within_32_bits() {
        let k = LONGEST;
        if !has_rounded_rows(8, k) {
            return;
        }
        for x in [1.0, -1.0, 1e-15, 1e15] {
            let rows = RoundedRows::new(&vec![x; 8 * k], 8);
            let mut columns = RoundedColumns::default();
            columns.set(&vec![x; 16 * k], k, 16);
            let mut out = vec![f32::NAN; 8 * 16];
            rounded_product(&mut out, &rows, 0, &columns);
            for got in out {
                assert!((got / (k as f32 * x * x) - 1.0).abs() < 1e-3, "{got}");
            }
        }
    }

    #[test]
    fn nothing_gives_nothing_and_what_is_no_number_stays_so() {
        if !has_rounded_rows(8, 32) {
            return;
        }
        for (x, is_number) in [(0.0, true), (f32::NAN, false), (f32::INFINITY, false)] {
            let rows = RoundedRows::new(&[0.5; 8 * 32], 8);
            let mut columns = RoundedColumns::default();
            columns.set(&[x; 32 * 16], 32, 16);
            let mut out = vec![1.0; 8 * 16];
            rounded_product(&mut out, &rows, 0, &columns);
            let expected = |x: &f32| if is_number { *x == 0.0 } else { !x.is_finite() };
            assert!(out.iter().all(expected), "{x}: {out:?}");
        }
    }
}
