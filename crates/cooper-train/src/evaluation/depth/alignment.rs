//! The scale and the shift that bring a relative map nearest to true metres.

/// (scale, shift) that minimise Σ (scale·p + shift − g)² over (p, g); (0, mean of g) if all `p` are equal.
///
/// On depth, not on its reciprocal. Source: COOPER's depth evaluation, after Marigold's.
pub fn fit_scale_shift(pairs: impl Iterator<Item = (f64, f64)> + Clone) -> (f64, f64) {
    let n = pairs.clone().count().max(1) as f64;
    let (sum_p, sum_g) = pairs
        .clone()
        .fold((0.0, 0.0), |(sum_p, sum_g), (p, g)| (sum_p + p, sum_g + g));
    let (mean_p, mean_g) = (sum_p / n, sum_g / n);
    // Around the means: the sums of squares of large depths would cancel each other.
    let (variance, covariance) = pairs.fold((0.0, 0.0), |(variance, covariance), (p, g)| {
        let p = p - mean_p;
        (variance + p * p, covariance + p * (g - mean_g))
    });
    let scale = if variance > f64::EPSILON * n * mean_p * mean_p {
        covariance / variance
    } else {
        0.0
    };
    (scale, mean_g - scale * mean_p)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pairs: &[(f64, f64)], scale: f64, shift: f64) {
        let (s, b) = fit_scale_shift(pairs.iter().copied());
        assert!(
            (s - scale).abs() < 1e-9 && (b - shift).abs() < 1e-9,
            "{s} {b}"
        );
    }

    #[test]
    fn fits_by_hand() {
        check(&[(0.0, 1.0), (0.5, 3.5), (1.0, 6.0)], 5.0, 1.0);
        // (0, 0), (1, 1), (2, 1): scale 1/2, shift 1/6.
        check(&[(0.0, 0.0), (1.0, 1.0), (2.0, 1.0)], 0.5, 1.0 / 6.0);
        check(&[(0.3, 1.0), (0.3, 3.0)], 0.0, 2.0);
        check(&[(0.0, 1.0), (0.0, 3.0)], 0.0, 2.0);
        check(&[], 0.0, 0.0);
    }

    #[test]
    fn a_small_slope_far_from_zero_is_found() {
        let pairs = [(1000.0, 1.0), (1000.5, 2.0), (1001.0, 3.0)];
        check(&pairs, 2.0, -1999.0);
    }
}
