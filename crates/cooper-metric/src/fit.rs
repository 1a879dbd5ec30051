//! Scale and shift from points with known metres, and whether the fit is good.
//!
//! Errors are shares of the true depth, as in AbsRel: a sensor and a drawn map are both worse far away.
//! The map's own noise is treated as if it were the reference's. That is right for predicting metres from this map,
//! and it means that a noisy map gets a flatter line than the scene would have.

use nalgebra::Vector2;

use super::affine::Affine;
use super::quantile::{Interpolation, quantile};
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

/// A line from relative depth to metres, with the quality of its fit.
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
/// `relative` is in (0, 1) and `metres` above 0, point by point; other values are ignored, among them relative depths of exactly
/// 0 and 1, where the model's range is cut off. The same input gives the same bits.
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
    ensure!(relative.len() == metres.len(), sizes_differ);
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
    ScaleFit::check(affine, &pairs, settings)
}

/// Whether a relative depth is a position: at the ends of the range, the true depth may be nearer or farther.
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
        ensure!(relative.len() >= self.min_points.max(2), too_few);
        self.ensure_spread(relative)
    }

    fn ensure_spread(&self, relative: impl Iterator<Item = f64>) -> Result<(), WhyNot> {
        let mut values: Vec<f64> = relative.collect();
        let mut at = |share| quantile(&mut values, share, Interpolation::Nearest).unwrap_or(0.0);
        let spread = at(0.95) - at(0.05);
        let needed = self.min_spread;
        ensure!(spread >= needed, WhyNot::NoSpread { spread, needed });
        Ok(())
    }

    pub(super) fn tolerance(&self, excess_cost: f64) -> Tolerance {
        Tolerance {
            error: self.inlier_error,
            excess_cost,
        }
    }
}

impl ScaleFit {
    /// Compare a line with all points, and refuse a bad fit.
    pub(super) fn check(
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
            median_error: quantile(&mut errors, 0.5, Interpolation::Nearest).unwrap_or(f64::NAN),
            rms_m: (squares.sum::<f64>() / inliers.len() as f64).sqrt(),
            correlation: correlation(&inliers),
        };
        let share = WhyNot::FewInliers {
            share: fit.inlier_share,
            needed: settings.min_inlier_share,
        };
        ensure!(fit.inlier_share >= settings.min_inlier_share, share);
        // Of the inliers once more: all points together may be spread by outliers alone.
        settings.ensure_spread(inliers.iter().map(|p| p.relative))?;
        fit.ensure_good(settings)?;
        Ok(fit)
    }

    fn ensure_good(&self, settings: &FitSettings) -> Result<(), WhyNot> {
        let scale = self.affine.scale;
        ensure!(scale > 0.0, WhyNot::NotPositive { scale });
        let median_error = self.median_error;
        let limit = settings.max_median_error;
        let large = WhyNot::LargeResidual {
            median_error,
            limit,
        };
        ensure!(median_error <= limit, large);
        let correlation = self.correlation;
        let needed = settings.min_correlation;
        let uncorrelated = WhyNot::Uncorrelated {
            correlation,
            needed,
        };
        ensure!(correlation >= needed, uncorrelated);
        Ok(())
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
mod tests;
