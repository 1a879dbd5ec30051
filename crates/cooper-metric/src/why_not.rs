//! Why there is no metric depth. Diagnostics and replies contain these texts.

/// Why a scale cannot be trusted. An outcome, not an error: the image was fine and the relative map is too.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum WhyNot {
    /// A map and what it is compared with are of different sizes.
    #[error("expected a relative map of {expected} values, got {found}")]
    SizesDiffer {
        /// Values of the other side.
        expected: usize,
        /// Values of the map.
        found: usize,
    },
    /// Too few points have both a relative and a metric depth.
    #[error("too few points with depth: expected at least {needed}, got {found}")]
    TooFewPoints {
        /// Points that can be used.
        found: usize,
        /// The setting `min_points`.
        needed: usize,
    },
    /// Everything is equally far, which does not determine scale and shift.
    #[error("no spread: the relative depths span {spread:.3}, expected at least {needed}")]
    NoSpread {
        /// Between the 5 % and the 95 % quantile of relative depth.
        spread: f64,
        /// The setting `min_spread`.
        needed: f64,
    },
    /// No line fits enough points.
    #[error("{:.0} % of the points fit one scale, expected at least {:.0} %", 100.0 * share, 100.0 * needed)]
    FewInliers {
        /// In [0, 1].
        share: f64,
        /// The setting `min_inlier_share`.
        needed: f64,
    },
    /// The best line falls.
    #[error(
        "the scale is {scale:.3} m, expected above 0: the map says near where it should say far"
    )]
    NotPositive {
        /// Metres from relative 0 to relative 1.
        scale: f64,
    },
    /// Even the points that fit do not fit well.
    #[error("the median error is {:.1} %, expected at most {:.1} %", 100.0 * median_error, 100.0 * limit)]
    LargeResidual {
        /// Of the inliers, as a share of the true depth.
        median_error: f64,
        /// The setting `max_median_error`.
        limit: f64,
    },
    /// The points lie on the line only because all of them are about equally far.
    #[error("relative and true depth correlate by {correlation:.2}, expected at least {needed}")]
    Uncorrelated {
        /// Of the inliers, in [-1, 1].
        correlation: f64,
        /// The setting `min_correlation`.
        needed: f64,
    },
    /// The camera's height is no height.
    #[error("camera height: expected above 0 m, got {height_m} m")]
    NoHeight {
        /// As given.
        height_m: f64,
    },
    /// No plane that could be a floor goes through the lower part of the image.
    #[error("no plane in the lower part of the image is flat enough to be the floor")]
    NoFloor,
    /// What was taken for the floor has too much below it: a table, a bed.
    #[error("{:.0} % of the lower part of the image lies below the floor that was found, expected at most {:.0} %", 100.0 * share, 100.0 * limit)]
    BelowFloor {
        /// In [0, 1].
        share: f64,
        /// The setting `max_below_share`.
        limit: f64,
    },
}

/// Return an error unless a condition holds. Comparisons with NaN are false, so NaN is refused.
macro_rules! ensure {
    ($condition:expr, $why_not:expr) => {
        let holds: bool = $condition;
        if !holds {
            return Err($why_not);
        }
    };
}
pub(crate) use ensure;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_say_what_was_expected_and_what_was_found() {
        let share = WhyNot::FewInliers {
            share: 0.314,
            needed: 0.5,
        };
        let words = "31 % of the points fit one scale, expected at least 50 %";
        assert_eq!(share.to_string(), words);
        let residual = WhyNot::LargeResidual {
            median_error: 0.0871,
            limit: 0.08,
        };
        let words = "the median error is 8.7 %, expected at most 8.0 %";
        assert_eq!(residual.to_string(), words);
    }
}
