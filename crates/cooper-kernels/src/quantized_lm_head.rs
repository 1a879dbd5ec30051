//! A shortlist of the rows of a matrix that can have the largest dot product with a vector, from half of its bytes.
//!
//! A copy of the rows in 8 bits has a bound on each row's rounding error: |(w − w′)·h| ≤ ‖w − w′‖ ‖h‖. Rows whose upper bound is
//! below another row's lower bound drop out. A few of 32 thousand remain, whose exact products give the exact argmax.

use std::sync::Arc;

use half::bf16;

use super::simd::{self, Widen, dispatch};
use super::threads::for_each;

/// The rows in 8 bits with their error bounds.
#[derive(Clone, Debug)]
pub struct QuantizedLmHead {
    rows: Arc<[i8]>,
    scales: Arc<[Scale]>,
}

/// The scale of a row and its error.
#[derive(Clone, Copy, Debug, Default)]
struct Scale {
    /// The value of 1.
    step: f32,
    /// The largest error of a dot product per length of the vector: by rounding to 8 bits, and by sums in f32.
    slack: f32,
}

/// Rows in a part of the work: enough to hide the cost of a part, few enough to balance the threads.
const ROWS: usize = 128;
/// A shortlist is useful up to one row in this many.
const FEW: usize = 16;

impl QuantizedLmHead {
    /// Quantise rows of `c` numbers; none if a number is not finite.
    pub fn new(rows: &[bf16], c: usize) -> Option<Self> {
        let n = rows.len() / c.max(1);
        let (mut small, mut scales) = (vec![0; n * c], vec![Scale::default(); n]);
        let parts = rows.chunks(ROWS * c).zip(small.chunks_mut(ROWS * c));
        let parts = parts.zip(scales.chunks_mut(ROWS)).collect();
        for_each(parts, |_, ((rows, small), scales)| {
            let rows = rows.chunks_exact(c).zip(small.chunks_exact_mut(c));
            for ((row, small), scale) in rows.zip(scales) {
                *scale = quantize_row(row, small);
            }
        });
        let is_finite = scales.iter().all(|scale| scale.slack.is_finite());
        is_finite.then(|| Self {
            rows: small.into(),
            scales: scales.into(),
        })
    }

    /// Bytes for each number, in rows of `c`.
    pub fn bytes_per_number(c: usize) -> f64 {
        (c + size_of::<Scale>()) as f64 / c as f64
    }

    /// Bytes of all.
    #[cfg(test)]
    pub fn bytes(&self) -> u64 {
        (size_of_val(&*self.rows) + size_of_val(&*self.scales)) as u64
    }

    /// Those of the first `n` rows that can have the largest dot product with `hidden`, in order. None if they are too many to
    /// be useful, or the bound is not finite.
    pub fn shortlist(&self, hidden: &[f32], n: usize) -> Option<Vec<usize>> {
        // At least 1e-10, so that the rounding of the smallest numbers stays within the slack.
        let length = l2_norm(hidden.iter().copied()).max(1e-10) as f32;
        let mut upper = vec![0f32; n];
        let parts: Vec<_> = upper.chunks_mut(ROWS).collect();
        let mut lower = vec![f32::NEG_INFINITY; parts.len()];
        for_each(
            parts.into_iter().zip(&mut lower).collect(),
            |part, (upper, lower)| {
                self.approximate_products(part * ROWS, hidden, upper);
                for (product, scale) in upper.iter_mut().zip(&self.scales[part * ROWS..]) {
                    *lower = lower.max(*product - scale.slack * length);
                    *product += scale.slack * length;
                }
            },
        );
        let lower = lower.into_iter().fold(f32::NEG_INFINITY, f32::max);
        let can_be_largest = |upper: &f32| *upper >= lower || upper.is_nan();
        let rows: Vec<_> = (0..n).filter(|row| can_be_largest(&upper[*row])).collect();
        let is_useful = lower.is_finite() && rows.len() <= n.div_ceil(FEW);
        is_useful.then_some(rows)
    }

    /// The dot products of the rows from `first` on, in 8 bits.
    fn approximate_products(&self, first: usize, hidden: &[f32], products: &mut [f32]) {
        let c = hidden.len();
        dispatch!({
            for (i, product) in products.iter_mut().enumerate() {
                let row = &self.rows[(first + i) * c..][..c];
                *product = simd::dot_prefetched(row, hidden) * self.scales[first + i].step;
            }
        });
    }
}

/// Round a row to 8 bits.
fn quantize_row(row: &[bf16], small: &mut [i8]) -> Scale {
    let most = row.iter().fold(0f32, |most, x| most.max(x.widen().abs()));
    let step = most / f32::from(i8::MAX);
    let inverse = if step > 0.0 { step.recip() } else { 0.0 };
    for (small, x) in small.iter_mut().zip(row) {
        *small = (x.widen() * inverse).round() as i8;
    }
    let lost = row.iter().zip(&*small);
    let lost = l2_norm(lost.map(|(x, small)| x.widen() - f32::from(*small) * step));
    // A sum in f32 has an error of at most half of EPSILON per addition, times the sum of its terms' magnitudes, which is at
    // most the product of the lengths. This bound counts both sums, twofold.
    let sums = 2.0 * (row.len() + 4) as f64 * f64::from(f32::EPSILON);
    let slack = lost + sums * l2_norm(row.iter().map(|x| x.widen()));
    Scale {
        step,
        slack: (slack * 1.0001 + 1e-30) as f32,
    }
}

/// √Σ x².
fn l2_norm(xs: impl Iterator<Item = f32>) -> f64 {
    xs.map(|x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::Noise;

    #[test]
    fn no_product_errs_by_more_than_its_bound() {
        for (c, outlier) in [(64, 1.0), (1024, 1.0), (1000, 50.0)] {
            let mut noise = Noise::seeded(3);
            let mut normal = |n: usize| {
                let normal = noise.normal((n,), &Device::Cpu).unwrap();
                normal.to_vec1::<f32>().unwrap()
            };
            let n = 2 * ROWS + 7;
            let (mut rows, hidden) = (normal(n * c), normal(c));
            rows.iter_mut().step_by(97).for_each(|x| *x *= outlier);
            let rows: Vec<_> = rows.into_iter().map(bf16::from_f32).collect();
            let quantized_lm_head = QuantizedLmHead::new(&rows, c).unwrap();
            let length = l2_norm(hidden.iter().copied());
            let mut products = vec![0.0; n];
            quantized_lm_head.approximate_products(0, &hidden, &mut products);
            let mut worst = 0f64;
            for ((row, product), scale) in rows
                .chunks(c)
                .zip(&products)
                .zip(quantized_lm_head.scales.iter())
            {
                let exact: f64 = row
                    .iter()
                    .zip(&hidden)
                    .map(|(x, y)| f64::from(x.to_f32()) * f64::from(*y))
                    .sum();
                let bound = f64::from(scale.slack) * length;
                worst = worst.max((exact - f64::from(*product)).abs() / bound);
            }
            // Rounding errors have random directions: they use a few √c-ths of the bound for the worst one.
            let usual = 1.0 / (c as f64).sqrt();
            assert!(
                worst < 1.0 && worst > usual,
                "{worst} of the bound, {c} numbers"
            );
        }
    }

    #[test]
    fn a_shortlist_is_short_and_has_the_largest() {
        let (n, c) = (20_000, 256);
        let mut noise = Noise::seeded(4);
        let mut normal = |n: usize| {
            let normal = noise.normal((n,), &Device::Cpu).unwrap();
            normal.to_vec1::<f32>().unwrap()
        };
        let rows: Vec<_> = normal(n * c).into_iter().map(bf16::from_f32).collect();
        let quantized_lm_head = QuantizedLmHead::new(&rows, c).unwrap();
        for _ in 0..10 {
            let hidden = normal(c);
            let product = |row: &[bf16]| simd::dot(row, &hidden);
            let products: Vec<_> = rows.chunks(c).map(product).collect();
            let best = (0..n).max_by(|a, b| products[*a].total_cmp(&products[*b]));
            let shortlist = quantized_lm_head.shortlist(&hidden, n).unwrap();
            assert!(shortlist.contains(&best.unwrap()) && shortlist.len() < n / 200);
        }
    }
}
