//! Which rows of a matrix can have the largest product with a vector, told from half of its bytes.
//!
//! The rows are held once more in 8 bits, each with a bound on what that rounds away: |(w − w′)·h| ≤ ‖w − w′‖ ‖h‖. A row
//! whose product cannot reach what another one has for certain is out; of 32 thousand a few are left, and whoever asks
//! computes those. So the largest is found, not guessed.

use std::sync::Arc;

use half::bf16;

use super::simd::{self, Wide, dispatch};
use super::threads::each;

/// The rows in 8 bits.
#[derive(Clone, Debug)]
pub struct QuantizedLmHead {
    rows: Arc<[i8]>,
    scales: Arc<[Scale]>,
}

/// Of a row.
#[derive(Clone, Copy, Debug, Default)]
struct Scale {
    /// The value of 1.
    step: f32,
    /// How far a product can be off, per length of the vector: by rounding to 8 bits, and by that of sums in f32.
    slack: f32,
}

/// Rows of a part of the work: so many that asking for a part costs nothing, so few that no thread waits long for another.
const ROWS: usize = 128;
/// One in so many rows is worth computing after all; where it is more, all of them are.
const FEW: usize = 16;

impl QuantizedLmHead {
    /// Of rows of `c` numbers; none if they are not all finite.
    pub fn new(rows: &[bf16], c: usize) -> Option<Self> {
        let n = rows.len() / c.max(1);
        let (mut small, mut scales) = (vec![0; n * c], vec![Scale::default(); n]);
        let parts = rows.chunks(ROWS * c).zip(small.chunks_mut(ROWS * c));
        let parts = parts.zip(scales.chunks_mut(ROWS)).collect();
        each(parts, |_, ((rows, small), scales)| {
            let rows = rows.chunks_exact(c).zip(small.chunks_exact_mut(c));
            for ((row, small), scale) in rows.zip(scales) {
                *scale = rounded(row, small);
            }
        });
        let is_finite = scales.iter().all(|scale| scale.slack.is_finite());
        is_finite.then(|| Self {
            rows: small.into(),
            scales: scales.into(),
        })
    }

    /// Bytes for each number of rows of `c`.
    pub fn number(c: usize) -> f64 {
        (c + size_of::<Scale>()) as f64 / c as f64
    }

    /// Bytes of all.
    #[cfg(test)]
    pub fn bytes(&self) -> u64 {
        (size_of_val(&*self.rows) + size_of_val(&*self.scales)) as u64
    }

    /// Those of the first `n` rows that can have the largest product with `hidden`, in order; none if they are too many
    /// to be worth telling apart, or the bound says nothing, as for infinite numbers.
    pub fn shortlist(&self, hidden: &[f32], n: usize) -> Option<Vec<usize>> {
        // Not less than what keeps the smallest numbers' own rounding within the slack.
        let length = norm(hidden.iter().copied()).max(1e-10) as f32;
        let mut most = vec![0f32; n];
        let parts: Vec<_> = most.chunks_mut(ROWS).collect();
        let mut sure = vec![f32::NEG_INFINITY; parts.len()];
        each(
            parts.into_iter().zip(&mut sure).collect(),
            |part, (most, sure)| {
                self.products(part * ROWS, hidden, most);
                for (product, scale) in most.iter_mut().zip(&self.scales[part * ROWS..]) {
                    *sure = sure.max(*product - scale.slack * length);
                    *product += scale.slack * length;
                }
            },
        );
        let sure = sure.into_iter().fold(f32::NEG_INFINITY, f32::max);
        let can_be = |most: &f32| *most >= sure || most.is_nan();
        let rows: Vec<_> = (0..n).filter(|row| can_be(&most[*row])).collect();
        let says_something = sure.is_finite() && rows.len() <= n.div_ceil(FEW);
        says_something.then_some(rows)
    }

    /// The products of rows from `first` on, rounded.
    fn products(&self, first: usize, hidden: &[f32], products: &mut [f32]) {
        let c = hidden.len();
        dispatch!({
            for (i, product) in products.iter_mut().enumerate() {
                let row = &self.rows[(first + i) * c..][..c];
                *product = simd::dot_of_next(row, hidden) * self.scales[first + i].step;
            }
        });
    }
}

/// Round a row to 8 bits.
fn rounded(row: &[bf16], small: &mut [i8]) -> Scale {
    let most = row.iter().fold(0f32, |most, x| most.max(x.wide().abs()));
    let step = most / f32::from(i8::MAX);
    let inverse = if step > 0.0 { step.recip() } else { 0.0 };
    for (small, x) in small.iter_mut().zip(row) {
        *small = (x.wide() * inverse).round() as i8;
    }
    let lost = row.iter().zip(&*small);
    let lost = norm(lost.map(|(x, small)| x.wide() - f32::from(*small) * step));
    // Sums in f32 lose at most half of EPSILON per addition of what their terms' magnitudes add up to, which is at most
    // the product of lengths; this is for both sums, twofold.
    let sums = 2.0 * (row.len() + 4) as f64 * f64::from(f32::EPSILON);
    let slack = lost + sums * norm(row.iter().map(|x| x.wide()));
    Scale {
        step,
        slack: (slack * 1.0001 + 1e-30) as f32,
    }
}

/// √Σ x².
fn norm(xs: impl Iterator<Item = f32>) -> f64 {
    xs.map(|x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::Noise;

    #[test]
    fn no_product_is_off_by_more_than_its_bound() {
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
            let length = norm(hidden.iter().copied());
            let mut products = vec![0.0; n];
            quantized_lm_head.products(0, &hidden, &mut products);
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
            // Rounding errors point anywhere, so that they use a few √c-ths of a bound for the worst direction.
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
