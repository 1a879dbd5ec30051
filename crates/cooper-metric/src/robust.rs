//! Robust linear fits with one right side: find `x` so that `row · x` is 1 for most rows.
//!
//! All fits of this layer have this form, and then `row · x - 1` is an error relative to the depth itself, so far
//! points count as much as near ones. Random samples find where most rows agree (RANSAC with the truncated squares
//! of MSAC, Torr and Zisserman 2000); reweighted least squares with Tukey's weights go on from there.
//! Everything is a pure function: the samples come from one seed.

use nalgebra::{SMatrix, SVector};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::quantile::{Interpolation, quantile};

/// Of all samples.
const SEED: u64 = 0x636f_6f70_6572;
/// With 4 in 10 rows wrong, 3 of 500 samples of three rows would do; with 7 in 10 wrong there are still a dozen.
const SAMPLES: usize = 500;
/// Rows on which a sample is judged.
const JUDGED_ROWS: usize = 1000;
/// Rows of the least squares; neighbouring pixels say the same, so more only cost time.
const MOST_ROWS: usize = 50_000;
/// Rounds of reweighting at most.
const ROUNDS: usize = 30;
/// Tukey's constant: 95 % of the efficiency of least squares when errors are normal.
const TUKEY: f64 = 4.685;
/// From the median of absolute errors to the standard deviation when errors are normal.
const MAD_TO_SIGMA: f64 = 1.4826;

/// What counts as fitting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerance {
    /// A row fits when `|row · x - 1|` is at most this, in (0, 0.5].
    pub(super) error: f64,
    /// What a row costs that is above 1 by more than that; one below 1 costs 1.
    pub(super) excess_cost: f64,
}

/// The `x` for which `row · x` is nearest to 1, outliers aside; none when no possible `x` was found.
///
/// Rows must be finite.
pub(super) fn fit_ones<const N: usize>(
    rows: &[SVector<f64, N>],
    tolerance: Tolerance,
    is_possible: impl Fn(&SVector<f64, N>) -> bool,
) -> Option<SVector<f64, N>> {
    let start = best_sample(rows, tolerance, &is_possible)?;
    let x = refine(&thinned(rows, MOST_ROWS), start, tolerance.error);
    // The refinement may leave the possible range.
    is_possible(&x).then_some(x)
}

/// The solution of N random rows that most other rows agree with.
fn best_sample<const N: usize>(
    rows: &[SVector<f64, N>],
    tolerance: Tolerance,
    is_possible: impl Fn(&SVector<f64, N>) -> bool,
) -> Option<SVector<f64, N>> {
    if rows.is_empty() {
        return None;
    }
    let judged = thinned(rows, JUDGED_ROWS);
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut best = None;
    for _ in 0..SAMPLES {
        let sample: [usize; N] = std::array::from_fn(|_| rng.random_range(0..rows.len()));
        let square = SMatrix::<f64, N, N>::from_fn(|i, j| rows[sample[i]][j]);
        let Some(inverse) = square.try_inverse() else {
            continue;
        };
        let x = inverse * SVector::<f64, N>::repeat(1.0);
        if !x.iter().all(|v| v.is_finite()) || !is_possible(&x) {
            continue;
        }
        let cost: f64 = judged.iter().map(|row| cost(row.dot(&x), tolerance)).sum();
        if best.is_none_or(|(least, _)| cost < least) {
            best = Some((cost, x));
        }
    }
    best.map(|(_, x)| x)
}

/// The cost of a row with `row · x = ratio`.
fn cost(ratio: f64, tolerance: Tolerance) -> f64 {
    let error = (ratio - 1.0) / tolerance.error;
    if error.abs() <= 1.0 {
        error * error
    } else if error > 0.0 {
        tolerance.excess_cost
    } else {
        1.0
    }
}

/// Reweighted least squares from a good start.
fn refine<const N: usize>(
    rows: &[SVector<f64, N>],
    start: SVector<f64, N>,
    error: f64,
) -> SVector<f64, N> {
    // Above 0.5 a weight could belong to a ratio near 0, by which is divided.
    let widest = error.min(0.5);
    let (mut x, mut cutoff) = (start, widest);
    for _ in 0..ROUNDS {
        let Some(next) = weighted(rows, &x, cutoff) else {
            break;
        };
        let change = (next - x).norm() / x.norm();
        x = next;
        if change < 1e-9 {
            break;
        }
        let errors = rows.iter().map(|row| (row.dot(&x) - 1.0).abs());
        let mut fitting: Vec<f64> = errors.filter(|e| *e <= widest).collect();
        let Some(median) = quantile(&mut fitting, 0.5, Interpolation::Nearest) else {
            break;
        };
        // Not below a share of the tolerance: exact data would shut out everything but rounding errors.
        cutoff = (TUKEY * MAD_TO_SIGMA * median)
            .max(widest / 20.0)
            .min(widest);
    }
    x
}

/// One round of least squares with the weights that `x` gives.
fn weighted<const N: usize>(
    rows: &[SVector<f64, N>],
    x: &SVector<f64, N>,
    cutoff: f64,
) -> Option<SVector<f64, N>> {
    let mut normal = SMatrix::<f64, N, N>::zeros();
    let mut right = SVector::<f64, N>::zeros();
    for row in rows {
        let ratio = row.dot(x);
        let share = (ratio - 1.0) / cutoff;
        if share.abs() < 1.0 {
            // A row is divided by the measured depth, whose noise would pull the solution down by twice its
            // variance; dividing by the ratio makes it the fitted depth, which has hardly any.
            let weight = ((1.0 - share * share) / ratio).powi(2);
            normal += row * row.transpose() * weight;
            right += row * weight;
        }
    }
    let next = normal.cholesky()?.solve(&right);
    next.iter().all(|v| v.is_finite()).then_some(next)
}

/// At most `most` items, one at a random place of each of as many equal parts, so that no grid of pixels shows in the sample.
pub(super) fn thinned<T: Copy>(items: &[T], most: usize) -> Vec<T> {
    if items.len() <= most {
        return items.to_vec();
    }
    let mut rng = StdRng::seed_from_u64(SEED);
    let part = items.len() as f64 / most as f64;
    let place = |i: usize| ((i as f64 + rng.random::<f64>()) * part) as usize;
    let last = items.len() - 1;
    (0..most).map(place).map(|at| items[at.min(last)]).collect()
}

#[cfg(test)]
mod tests {
    use nalgebra::Vector2;

    use super::*;

    const TOLERANCE: Tolerance = Tolerance {
        error: 0.1,
        excess_cost: 1.0,
    };

    /// Rows of the line 4 r + 1 through `n` points, each third one wrong.
    fn rows(n: usize) -> Vec<Vector2<f64>> {
        let row = |i: usize| {
            let r = (i as f64 * 0.618).fract();
            let metres = if i.is_multiple_of(3) {
                9.0
            } else {
                4.0 * r + 1.0
            };
            Vector2::new(r, 1.0) / metres
        };
        (0..n).map(row).collect()
    }

    #[test]
    fn most_rows_win() {
        for n in [12, 300, 70_000] {
            let x = fit_ones(&rows(n), TOLERANCE, |_| true).unwrap();
            assert!((x - Vector2::new(4.0, 1.0)).norm() < 1e-3, "{n}: {x}");
        }
    }

    #[test]
    fn what_is_impossible_is_not_found() {
        assert_eq!(
            fit_ones(&rows(30), TOLERANCE, |x| x[0] < 0.0 && x[1] < 0.0),
            None
        );
        assert_eq!(fit_ones::<2>(&[], TOLERANCE, |_| true), None);
        let all_the_same = [Vector2::new(0.5, 1.0); 9];
        assert_eq!(fit_ones(&all_the_same, TOLERANCE, |_| true), None);
    }

    #[test]
    fn rows_above_one_can_cost_more() {
        // 6 rows say 1 and 4 say 0.5: the x that is right for the 4 leaves nothing above 1.
        let rows: Vec<_> = (0..10)
            .map(|i| SVector::<f64, 1>::new(if i < 6 { 1.0 } else { 2.0 }))
            .collect();
        let x = |excess_cost| {
            let tolerance = Tolerance {
                excess_cost,
                ..TOLERANCE
            };
            fit_ones(&rows, tolerance, |_| true).unwrap()[0]
        };
        assert!((x(1.0) - 1.0).abs() < 1e-9);
        assert!((x(3.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn thinning_keeps_the_order_and_the_whole_range() {
        let items: Vec<usize> = (0..1000).collect();
        let thin = thinned(&items, 100);
        assert_eq!(thin.len(), 100);
        assert!(thin.is_sorted() && thin[0] < 10 && thin[99] >= 990);
        assert_eq!(thinned(&items, 1000), items);
        assert!(thinned(&items[..0], 5).is_empty());
    }
}
