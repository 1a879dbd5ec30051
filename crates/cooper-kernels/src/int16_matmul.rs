//! Matmul of numbers that are rounded to 16-bit integers (AVX-512 VNNI): twice as fast as in f32, and nearer to it than bf16.
//!
//! Each row of one matrix and each column of the other has a scale of its own. The scales keep every sum within 32 bits: the
//! dot product of two vectors, or of parts of them, is at most the product of their lengths (Cauchy and Schwarz).

use super::avx512::{ColumnsMut, LANES, Numbers, Pairs, ROW_GROUP, has_vnni, on_avx512};
use super::simd::{self, dispatch};
use super::threads::{for_each, zeros};

/// Columns that are multiplied at once; matrices have multiples of it.
pub const COLUMNS: usize = LANES;
/// Registers of columns that are multiplied at once: the processor has 32 for all sums.
const PANELS: usize = 3;

/// The largest length of a row of integers. Rounding adds at most a half to each number, so sums over up to 8192 products
/// stay below 2³¹.
const ROW_LENGTH: f32 = 65_400.0;
/// The largest integer of a row.
const MOST: f32 = 32_767.0;
/// The most numbers of a row or column.
const LONGEST: usize = 1 << 13;
/// A shorter row counts as zero.
const LEAST: f32 = 1e-30;

/// Whether the processor has the instructions, and the shape (m, k) fits them.
pub fn has_int16_matmul(m: usize, k: usize) -> bool {
    has_vnni() && m.is_multiple_of(ROW_GROUP) && k.is_multiple_of(2) && k <= LONGEST
}

/// A matrix (m, k) in integers with a scale for each row.
#[derive(Debug)]
pub struct Int16Rows {
    /// (m/8, k/2): two neighbours of eight rows each.
    pairs: Vec<[u32; ROW_GROUP]>,
    /// (m/8): the value of 1 in each row.
    units: Vec<[f32; ROW_GROUP]>,
}

/// Eight rows of a matrix, to write.
pub struct RowGroup<'a> {
    pairs: &'a mut [[u32; ROW_GROUP]],
    units: &'a mut [f32; ROW_GROUP],
}

impl Int16Rows {
    /// Rows of zeros.
    ///
    /// # Panics
    /// If [`has_int16_matmul`] is false.
    pub fn zeros(m: usize, k: usize) -> Self {
        assert!(has_int16_matmul(m, k));
        Self {
            pairs: zeros(m / ROW_GROUP * k / 2),
            units: vec![[0.0; ROW_GROUP]; m / ROW_GROUP],
        }
    }

    /// Round rows (m, k).
    ///
    /// # Panics
    /// If [`has_int16_matmul`] is false, or there are not `m` rows.
    pub fn new(xs: &[f32], m: usize) -> Self {
        let k = xs.len() / m;
        let mut rows = Self::zeros(m, k);
        let groups = rows.row_groups().zip(xs.chunks_exact(ROW_GROUP * k));
        for_each(groups.collect(), |_, (mut group, xs)| {
            for (i, xs) in xs.chunks_exact(k).enumerate() {
                group.set(i, xs);
            }
        });
        rows
    }

    /// Pairs of integers in a row.
    fn pairs_per_row(&self) -> usize {
        self.pairs.len() / self.units.len().max(1)
    }

    /// The rows by groups of eight, to write.
    pub fn row_groups(&mut self) -> impl Iterator<Item = RowGroup<'_>> {
        let half = self.pairs_per_row();
        let rows = self.pairs.chunks_exact_mut(half).zip(&mut self.units);
        rows.map(|(pairs, units)| RowGroup { pairs, units })
    }
}

impl RowGroup<'_> {
    /// Set the `i`-th row to these numbers, rounded.
    ///
    /// # Panics
    /// If there is no such row, or it has another length.
    pub fn set(&mut self, i: usize, xs: &[f32]) {
        assert_eq!(xs.len(), 2 * self.pairs.len());
        let (length, most) = dispatch!((simd::dot(xs, xs).sqrt(), simd::max_abs(xs)));
        let scale = (ROW_LENGTH / length.max(LEAST)).min(MOST / most.max(LEAST));
        self.units[i] = 1.0 / scale;
        for (pairs, xs) in self.pairs.chunks_mut(COLUMNS).zip(xs.chunks(2 * COLUMNS)) {
            // There are rows only where the processor has the instructions.
            let rounded: Pairs = on_avx512!(int16::round(xs, scale));
            for (pairs, rounded) in pairs.iter_mut().zip(rounded) {
                pairs[i] = rounded;
            }
        }
    }
}

/// Columns of a matrix in integers; its memory is reused.
#[derive(Debug, Default)]
pub struct Int16Columns {
    /// (n/16, k/2)
    pairs: Vec<Pairs>,
    /// (n/16): the value of 1 in each column.
    units: Vec<Numbers>,
    /// (n/16): the factor from a column's numbers to its integers.
    scales: Vec<Numbers>,
}

impl Int16Columns {
    /// Set them to the columns of `xs` (k, n), rounded.
    ///
    /// # Panics
    /// If [`has_int16_matmul`] is false, or `n` is no multiple of 16.
    pub fn set(&mut self, xs: &[f32], k: usize, n: usize) {
        assert!(has_int16_matmul(ROW_GROUP, k) && xs.len() == k * n && n.is_multiple_of(COLUMNS));
        self.pairs.resize(n / COLUMNS * k / 2, [0; COLUMNS]);
        for numbers in [&mut self.units, &mut self.scales] {
            numbers.clear();
            numbers.resize(n / COLUMNS, [0.0; COLUMNS]);
        }
        let columns = ColumnsMut {
            pairs: &mut self.pairs,
            units: &mut self.units,
            scales: &mut self.scales,
        };
        let (numbers, _) = xs.as_chunks::<COLUMNS>();
        on_avx512!(int16::round_columns(numbers, columns))
    }
}

/// The matmul of the rows from `first` on, as many as `out` has room for, with columns: `out` (rows, n).
///
/// # Panics
/// If sizes do not fit, or `first` is no multiple of 8.
pub fn matmul_int16(out: &mut [f32], rows: &Int16Rows, first: usize, columns: &Int16Columns) {
    let (n_panels, half) = (columns.units.len(), rows.pairs_per_row());
    let n = n_panels * COLUMNS;
    assert!(columns.pairs.len() == half * n_panels);
    assert!(out.len().is_multiple_of(ROW_GROUP * n) && first.is_multiple_of(ROW_GROUP));
    let first = first / ROW_GROUP;
    let rows = rows.pairs[first * half..]
        .chunks_exact(half)
        .zip(&rows.units[first..]);
    for p in (0..n_panels).step_by(PANELS) {
        let panels = p..n_panels.min(p + PANELS);
        let columns = (
            &columns.pairs[panels.start * half..panels.end * half],
            &columns.units[panels],
        );
        for (rows, out) in rows.clone().zip(out.chunks_exact_mut(ROW_GROUP * n)) {
            let out = &mut out[p * COLUMNS..];
            // There are rows only where the processor has the instructions.
            match columns.1.len() {
                PANELS => on_avx512!(int16::multiply::<PANELS>(rows, columns, out, n)),
                2 => on_avx512!(int16::multiply::<2>(rows, columns, out, n)),
                _ => on_avx512!(int16::multiply::<1>(rows, columns, out, n)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avx512::say_skipped;

    /// Numbers in (−1, 1), of which every seventh row is small.
    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        let number = |i: usize| ((i * 7919 + seed * 31 + i / 7) % 2003) as f32 / 1001.5 - 1.0;
        (0..n).map(number).collect()
    }

    #[test]
    fn int16_matmul_is_within_its_rounding_error() {
        for (m, k, n) in [(8, 2, 16), (24, 34, 32), (16, 128, 48), (8, 512, 112)] {
            if !has_int16_matmul(m, k) {
                return say_skipped("int16_matmul_is_within_its_rounding_error", "AVX-512 VNNI");
            }
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let rows = Int16Rows::new(&a, m);
            let mut columns = Int16Columns::default();
            columns.set(&b, k, n);
            let first = m / 2 / 8 * 8;
            let mut out = vec![f32::NAN; (m - first) * n];
            matmul_int16(&mut out, &rows, first, &columns);
            for (i, out) in out.chunks_exact(n).enumerate() {
                let row = &a[(first + i) * k..][..k];
                for (j, got) in out.iter().enumerate() {
                    let column = || b[j..].iter().step_by(n);
                    let expected: f32 = row.iter().zip(column()).map(|(x, y)| x * y).sum();
                    let length = |square: f32| square.sqrt();
                    let lengths = length(row.iter().map(|x| x * x).sum())
                        * length(column().map(|x| x * x).sum());
                    // Half a step in each of the k numbers of either vector.
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
        if !has_int16_matmul(8, k) {
            return say_skipped("the_longest_vectors_stay_within_32_bits", "AVX-512 VNNI");
        }
        for x in [1.0, -1.0, 1e-15, 1e15] {
            let rows = Int16Rows::new(&vec![x; 8 * k], 8);
            let mut columns = Int16Columns::default();
            columns.set(&vec![x; 16 * k], k, 16);
            let mut out = vec![f32::NAN; 8 * 16];
            matmul_int16(&mut out, &rows, 0, &columns);
            for got in out {
                assert!((got / (k as f32 * x * x) - 1.0).abs() < 1e-3, "{got}");
            }
        }
    }

    #[test]
    fn zeros_stay_zeros_and_nan_stays_nan() {
        if !has_int16_matmul(8, 32) {
            return say_skipped("zeros_stay_zeros_and_nan_stays_nan", "AVX-512 VNNI");
        }
        for (x, is_number) in [(0.0, true), (f32::NAN, false), (f32::INFINITY, false)] {
            let rows = Int16Rows::new(&[0.5; 8 * 32], 8);
            let mut columns = Int16Columns::default();
            columns.set(&[x; 32 * 16], 32, 16);
            let mut out = vec![1.0; 8 * 16];
            matmul_int16(&mut out, &rows, 0, &columns);
            let expected = |x: &f32| if is_number { *x == 0.0 } else { !x.is_finite() };
            assert!(out.iter().all(expected), "{x}: {out:?}");
        }
    }
}
