//! Scale and shift from points whose metres are known, and whether they can be trusted.
//!
//! Errors are shares of the true depth, as in AbsRel: a sensor and a drawn map are both worse far away.
//! The map's own noise is treated as if it were the reference's. That is right for predicting metres from this map,
//! and it means that a noisy map gets a flatter line than the scene would have.

use nalgebra::Vector2;

use super::affine::Affine;
use super::robust::{self, Tolerance};
use super::why_not::{WhyNot, ensure};

/// When a fit is good enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitSettings {
    /// The fewest points with a relative and a metric depth; at least 2.
    pub min_points: usize,
    /// The least range that nine tenths of the points span in relative depth, in (0, 1).
    pub min_spread: f64,
    /// A point fits when its metres are right to this share of the true depth, in (0, 0.5].
    pub inlier_error: f64,
    /// The least share of points that fit, in [0, 1].
    pub min_inlier_share: f64,
    /// The largest median error of the points that fit, as a share of the true depth.
    /// Above half of `inlier_error` it never refuses: errors without any order have that median.
    pub max_median_error: f64,
    /// The least correlation between relative and true depth of the points that fit, in [0, 1].
    pub min_correlation: f64,
}

impl Default for FitSettings {
    /// For drawn maps that are right to about 6 % of the depth, with up to half of the reference wrong.
    fn default() -> Self {
        Self {
            min_points: 50,
            min_spread: 0.02,
            inlier_error: 0.15,
            min_inlier_share: 0.5,
            max_median_error: 0.06,
            min_correlation: 0.5,
        }
    }
}

/// A line from relative depth to metres, with what speaks for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaleFit {
    /// The line; its scale is above 0.
    pub affine: Affine,
    /// Points that had both depths.
    pub n_points: usize,
    /// The share of them that fits, in [0, 1].
    pub inlier_share: f64,
    /// The median of |metres - true| / true of those that fit.
    pub median_error: f64,
    /// The root of the mean of (metres - true)² of those that fit.
    pub rms_m: f64,
    /// Between relative and true depth of those that fit, in [-1, 1].
    pub correlation: f64,
}

/// One point of the fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) relative: f64,
    pub(super) metres: f64,
}

/// Find scale and shift so that `scale * relative + shift` are the metres of most points.
///
/// `relative` in (0, 1) and `metres` above 0, point by point; other values say nothing and are left out. So are
/// relative depths of exactly 0 and 1, where the model's range is cut off. The same input gives the same bits.
///
/// # Errors
/// [`WhyNot`] when the lengths differ, there are too few points, they have no spread, or the fit is too bad.
pub fn fit_scale(
    relative: &[f32],
    metres: &[f32],
    settings: &FitSettings,
) -> Result<ScaleFit, WhyNot> {
    let sizes_differ = WhyNot::SizesDiffer {
        expected: metres.len(),
        found: relative.len(),
    };
    ensure(relative.len() == metres.len(), sizes_differ)?;
    let both = relative.iter().zip(metres);
    let known = both.filter(|(r, m)| is_inside(**r) && m.is_finite() && **m > 0.0);
    let pairs: Vec<Pair> = known
        .map(|(r, m)| Pair {
            relative: f64::from(*r),
            metres: f64::from(*m),
        })
        .collect();
    settings.ensure_enough(pairs.iter().map(|p| p.relative))?;
    let row = |p: &Pair| Vector2::new(p.relative, 1.0) / p.metres;
    let rows: Vec<_> = pairs.iter().map(row).collect();
    // Without any solution the points were all equally far.
    let line = robust::fit_ones(&rows, settings.tolerance(1.0), |_| true);
    let line = line.ok_or(WhyNot::NoSpread {
        spread: 0.0,
        needed: settings.min_spread,
    })?;
    let affine = Affine {
        scale: line[0],
        shift: line[1],
    };
    ScaleFit::judged(affine, &pairs, settings)
}

/// Whether a relative depth says where something is: at the ends of the range, only that it is not nearer or farther.
pub(super) fn is_inside(relative: f32) -> bool {
    relative > 0.0 && relative < 1.0
}

impl FitSettings {
    /// Refuse too few points or points without spread.
    pub(super) fn ensure_enough(
        &self,
        relative: impl ExactSizeIterator<Item = f64>,
    ) -> Result<(), WhyNot> {
        let too_few = WhyNot::TooFewPoints {
            found: relative.len(),
            needed: self.min_points.max(2),
        };
        ensure(relative.len() >= self.min_points.max(2), too_few)?;
        self.ensure_spread(relative)
    }

    fn ensure_spread(&self, relative: impl Iterator<Item = f64>) -> Result<(), WhyNot> {
        let mut values: Vec<f64> = relative.collect();
        let mut quantile = |share| robust::quantile(&mut values, share).unwrap_or(0.0);
        let spread = quantile(0.95) - quantile(0.05);
        let needed = self.min_spread;
        ensure(spread >= needed, WhyNot::NoSpread { spread, needed })
    }

    pub(super) fn tolerance(&self, excess_cost: f64) -> Tolerance {
        Tolerance {
            error: self.inlier_error,
            excess_cost,
        }
    }
}

impl ScaleFit {
    /// Compare a line with all points.
    pub(super) fn judged(
        affine: Affine,
        pairs: &[Pair],
        settings: &FitSettings,
    ) -> Result<Self, WhyNot> {
        let error = |p: &Pair| (affine.at(p.relative) / p.metres - 1.0).abs();
        let fits = |p: &&Pair| error(p) <= settings.inlier_error;
        let inliers: Vec<Pair> = pairs.iter().filter(fits).copied().collect();
        let mut errors: Vec<f64> = inliers.iter().map(error).collect();
        let squares = inliers.iter().map(|p| (error(p) * p.metres).powi(2));
        let fit = Self {
            affine,
            n_points: pairs.len(),
            inlier_share: inliers.len() as f64 / pairs.len() as f64,
            median_error: robust::quantile(&mut errors, 0.5).unwrap_or(f64::NAN),
            rms_m: (squares.sum::<f64>() / inliers.len() as f64).sqrt(),
            correlation: correlation(&inliers),
        };
        let share = WhyNot::FewInliers {
            share: fit.inlier_share,
            needed: settings.min_inlier_share,
        };
        ensure(fit.inlier_share >= settings.min_inlier_share, share)?;
        // Of the inliers once more: all points together may be spread by outliers alone.
        settings.ensure_spread(inliers.iter().map(|p| p.relative))?;
        fit.ensure_good(settings)?;
        Ok(fit)
    }

    fn ensure_good(&self, settings: &FitSettings) -> Result<(), WhyNot> {
        let scale = self.affine.scale;
        ensure(scale > 0.0, WhyNot::NotPositive { scale })?;
        let median_error = self.median_error;
        let limit = settings.max_median_error;
        let large = WhyNot::LargeResidual {
            median_error,
            limit,
        };
        ensure(median_error <= limit, large)?;
        let correlation = self.correlation;
        let needed = settings.min_correlation;
        let uncorrelated = WhyNot::Uncorrelated {
            correlation,
            needed,
        };
        ensure(correlation >= needed, uncorrelated)
    }
}

/// Pearson's, between relative and true depth; 0 where one of them is constant.
fn correlation(pairs: &[Pair]) -> f64 {
    let n = pairs.len().max(1) as f64;
    let point = |p: &Pair| Vector2::new(p.relative, p.metres);
    let mean = pairs.iter().map(point).sum::<Vector2<f64>>() / n;
    let (mut squares, mut product) = (Vector2::zeros(), 0.0);
    for pair in pairs {
        let d = point(pair) - mean;
        squares += d.component_mul(&d);
        product += d.x * d.y;
    }
    let spread = (squares.x * squares.y).sqrt();
    if spread > 0.0 { product / spread } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    const PLANTED: Affine = Affine {
        scale: 6.0,
        shift: 0.8,
    };

    /// What is wrong with a wrong point.
    #[derive(Clone, Copy, Debug)]
    enum Wrong {
        /// Any depth up to 20 m.
        Anywhere,
        /// Half of the true depth, as when a sensor sees through to something nearer: all to one side.
        Halved,
        /// All on one surface.
        AtOnePlace,
    }

    /// `n` points on the planted line with normal noise of a share of the depth, some of them wrong.
    fn planted(n: usize, noise: f64, wrong: (f64, Wrong), seed: u64) -> (Vec<f32>, Vec<f32>) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut point = |_| {
            let relative = rng.random_range(0.02..0.98);
            let error: f64 = StandardNormal.sample(&mut rng);
            let right = PLANTED.at(relative);
            let metres = if !rng.random_bool(wrong.0) {
                right * (1.0 + noise * error)
            } else {
                match wrong.1 {
                    Wrong::Anywhere => rng.random_range(0.1..20.0),
                    Wrong::Halved => 0.5 * right,
                    Wrong::AtOnePlace => 1.0,
                }
            };
            (relative as f32, metres as f32)
        };
        (0..n).map(&mut point).unzip()
    }

    /// The largest error of scale, shift and metres in the range, as a share.
    fn off(affine: &Affine) -> [f64; 3] {
        let share = |got: f64, expected: f64| (got / expected - 1.0).abs();
        let metres = [0.1, 0.5, 0.9].map(|r| share(affine.at(r), PLANTED.at(r)));
        [
            share(affine.scale, PLANTED.scale),
            share(affine.shift, PLANTED.shift),
            metres.into_iter().fold(0.0, f64::max),
        ]
    }

    #[track_caller]
    fn fitted(points: &(Vec<f32>, Vec<f32>)) -> ScaleFit {
        fit_scale(&points.0, &points.1, &FitSettings::default()).unwrap()
    }

    #[track_caller]
    fn refused(relative: &[f32], metres: &[f32]) -> String {
        let fit = fit_scale(relative, metres, &FitSettings::default());
        fit.unwrap_err().to_string()
    }

    #[test]
    fn a_planted_line_is_found_among_outliers() {
        for wrong in [Wrong::Anywhere, Wrong::Halved, Wrong::AtOnePlace] {
            for share in [0.0, 0.3, 0.4] {
                let fit = fitted(&planted(20_000, 0.02, (share, wrong), 1));
                let off = off(&fit.affine);
                assert!(off.iter().all(|e| *e < 0.01), "{wrong:?} {share}: {off:?}");
                assert!((fit.inlier_share - (1.0 - share)).abs() < 0.1, "{fit:?}");
                // The median of the absolute value of a normal number is 0.6745 sigma.
                assert!((fit.median_error - 0.0135).abs() < 0.004, "{fit:?}");
                assert!(fit.correlation > 0.98 && fit.rms_m < 0.5, "{fit:?}");
            }
        }
    }

    #[test]
    fn two_hundred_exact_points_are_enough() {
        for seed in 0..50 {
            for share in [0.3, 0.4] {
                let fit = fitted(&planted(200, 0.0, (share, Wrong::Anywhere), seed));
                let off = off(&fit.affine);
                assert!(off.iter().all(|e| *e < 0.003), "{seed} {share}: {off:?}");
            }
        }
    }

    #[test]
    fn a_fit_is_the_same_every_time() {
        let points = planted(3000, 0.05, (0.3, Wrong::Halved), 7);
        assert_eq!(fitted(&points), fitted(&points));
    }

    #[test]
    fn what_says_nothing_does_not_count() {
        let (mut relative, mut metres) = planted(500, 0.0, (0.0, Wrong::Anywhere), 3);
        let exact = fitted(&(relative.clone(), metres.clone()));
        relative.extend([0.0, 1.0, f32::NAN, 0.5, 0.5, 0.5, 0.5, f32::INFINITY, -1.0]);
        let none = [3.0, 30.0, 1.0, 0.0, -1.0, f32::NAN, f32::INFINITY, 1.0, 1.0];
        metres.extend(none);
        assert_eq!(fitted(&(relative, metres)), exact);
        assert_eq!(exact.n_points, 500);
    }

    #[test]
    fn refusals_have_words() {
        let ramp: Vec<f32> = (1..200).map(|i| i as f32 / 200.0).collect();
        let line = |scale: f32, shift: f32| -> Vec<f32> {
            ramp.iter().map(|r| scale * r + shift).collect()
        };
        let check = |words: String, expected: &str| assert!(words.contains(expected), "{words}");
        check(refused(&[], &[]), "expected at least 50, got 0");
        check(refused(&ramp, &[1.0]), "of 1 values, got 199");
        check(refused(&ramp, &[f32::NAN; 199]), "got 0");
        check(refused(&[0.4; 199], &line(5.0, 1.0)), "no spread");
        check(refused(&ramp, &line(-5.0, 6.0)), "above 0");
        // Ten points of the line in noise: most fit nothing.
        let mut rng = StdRng::seed_from_u64(5);
        let noise: Vec<f32> = ramp.iter().map(|_| rng.random_range(0.3..30.0)).collect();
        check(refused(&ramp, &noise), "fit one scale");
        // A wall in the reference where the map sees a room.
        let wall: Vec<f32> = ramp.iter().map(|_| rng.random_range(2.7..3.3)).collect();
        for wall in [&wall[..], &[3.0; 199]] {
            let why_not = fit_scale(&ramp, wall, &FitSettings::default()).unwrap_err();
            let flat = matches!(
                why_not,
                WhyNot::Uncorrelated { .. } | WhyNot::NotPositive { .. }
            );
            assert!(flat, "{why_not}");
        }
        // Noise of 15 % in all points: those within 15 % are off by 6.5 % in the median.
        let settings = FitSettings {
            min_inlier_share: 0.3,
            ..FitSettings::default()
        };
        let (relative, metres) = planted(5000, 0.15, (0.0, Wrong::Anywhere), 6);
        let why_not = fit_scale(&relative, &metres, &settings).unwrap_err();
        check(why_not.to_string(), "the median error");
    }

    #[test]
    fn outliers_alone_make_no_spread() {
        let (mut relative, mut metres) = (vec![0.5; 140], vec![3.0; 140]);
        for i in 0..60 {
            relative.push((i as f32 * 0.618).fract());
            metres.push(20.0 - (i as f32 * 0.414).fract() * 19.0);
        }
        let words = refused(&relative, &metres);
        assert!(words.contains("no spread"), "{words}");
    }

    #[test]
    fn nothing_panics_on_anything() {
        let strange = [
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            0.0,
            -0.0,
            1.0,
            -1.0,
            f32::MAX,
            f32::MIN_POSITIVE,
            f32::from_bits(1),
            0.5,
        ];
        let mut rng = StdRng::seed_from_u64(8);
        for round in 0..300 {
            let n = rng.random_range(0..200);
            let mut value = || match rng.random_range(0..3) {
                0 => strange[rng.random_range(0..strange.len())],
                _ => rng.random(),
            };
            let (relative, metres): (Vec<f32>, Vec<f32>) =
                (0..n).map(|_| (value(), value())).unzip();
            let setting = [0.0, f64::NAN, f64::INFINITY, -1.0, 0.3, 1e-300][round % 6];
            let settings = FitSettings {
                min_points: round % 5,
                min_spread: setting,
                inlier_error: [0.1, setting][round % 2],
                min_inlier_share: 0.0,
                ..FitSettings::default()
            };
            if let Ok(fit) = fit_scale(&relative, &metres, &settings) {
                assert!(
                    fit.affine.scale.is_finite() && fit.affine.shift.is_finite(),
                    "{fit:?}"
                );
            }
        }
    }
}
