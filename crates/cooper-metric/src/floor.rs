//! Scale and shift from a known height of the camera over a flat floor.
//!
//! A pixel with ray `d` (one metre along z) shows the point `depth * d`. With the unit vector `down` to the floor, a
//! point is on the floor when `depth * (down · d) = height`, and depth is `scale * relative + shift`. So each floor
//! pixel says
//!
//! `(scale * relative + shift) * (down · d) = height`
//!
//! with four unknowns: scale, shift, and the two angles of `down`. In principle an image of a floor has them all:
//! `1 / (scale * relative + shift)` is linear in the pixel's coordinates for one shift only. But a wrong shift bends
//! it so little, and a wrong pitch undoes most of the rest, that nothing is left of this in practice: with 1 % of
//! noise in each pixel, depth was wrong by 5 % in the median of 40 synthetic floors and by 73 % in the worst, with 5 %
//! of noise by 69 % in the median. So something else must be known, and [`FloorPrior`] says what.
//! The largest error between 1 and 6 m in 60 generated rooms (`tests/metric/scale.rs`), median (worst), offset 0 given:
//!
//! | the map's flaw | `Offset` | `Tilt` | `Both` |
//! |---|---|---|---|
//! | noise of 2 % | 0.2 % (2 %) | 0.8 % (4 %) | 0.2 % (1 %) |
//! | noise of 5 % | 0.5 % (4 %) | 6 % (17 %) | 0.6 % (2 %) |
//! | noise of 2 %, waves of up to 4 % over the image | 3 % (6 %) | 5 % (15 %) | 1 % (3 %) |
//! | noise of 2 %, relative depth to the power of 1.1 | 18 % (22 %) | 6 % (14 %) | 10 % (14 %) |
//! | noise of 2 %, the given pitch off by 1° | 0.2 % (2 %) | 6 % (9 %) | 3 % (4 %) |
//! | rooms refused | 10 to 11 | 2 | 2 |
//!
//! `Tilt` finds too small a scale in a noisy map, as every fit of a line to noisy positions does.
//! The floor is looked for in the lower part of the image, by robust fits that leave furniture and walls aside.

use nalgebra::{SVector, Vector1, Vector2, Vector3};

use super::affine::Affine;
use super::fit::{FitSettings, Pair, ScaleFit, is_inside};
use super::intrinsics::Intrinsics;
use super::robust::fit_ones;
use super::tilt::Tilt;
use super::why_not::{WhyNot, ensure};

/// What a pixel below the plane costs against one above it: furniture stands above a floor, and nothing is below.
const BELOW_COST: f64 = 3.0;

/// What is known besides the camera's height.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FloorPrior {
    /// `shift / scale`: metres are `scale * (relative + offset)`. It is 0 for maps that are proportional to depth,
    /// as COOPER's are: its ranges begin at a millimetre at most. The tilt is found.
    Offset(f64),
    /// The camera's tilt, from its mounting; scale and shift are found.
    Tilt(Tilt),
    /// Both; only the scale is found. The most reliable where the tilt is known to a degree.
    Both {
        /// As in [`FloorPrior::Offset`].
        offset: f64,
        /// As in [`FloorPrior::Tilt`].
        tilt: Tilt,
    },
}

/// Where the floor is looked for, and when it is good enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FloorSettings {
    /// About the pixels of the lower part; an inlier is a floor pixel.
    pub fit: FitSettings,
    /// The least share of floor pixels from which a tilt is found, in [0, 1]; it holds for [`FloorPrior::Offset`]
    /// besides `fit.min_inlier_share`. From less, a noisy map gives a plane through floor and walls.
    pub min_share_to_tilt: f64,
    /// The share of the image's rows, from below, in which the floor is looked for, in (0, 1].
    pub lower_share: f64,
    /// The least `down · d` of a floor pixel, so that the floor is no farther than `height / min_slope`; above 0.
    pub min_slope: f64,
    /// The largest angle between a floor that is found and one seen by a level camera, in radians, below π / 2.
    pub max_tilt: f64,
    /// The largest share of the lower part that may lie below the floor, in [0, 1].
    pub max_below_share: f64,
}

impl Default for FloorSettings {
    fn default() -> Self {
        Self {
            fit: FitSettings {
                min_points: 100,
                inlier_error: 0.1,
                min_inlier_share: 0.2,
                max_median_error: 0.045,
                ..FitSettings::default()
            },
            min_share_to_tilt: 0.45,
            lower_share: 0.5,
            min_slope: 0.1,
            max_tilt: 45f64.to_radians(),
            max_below_share: 0.1,
        }
    }
}

/// A scale with the floor that it comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FloorFit {
    /// The scale; its points are the pixels that look down, its inliers the floor.
    pub fit: ScaleFit,
    /// The camera's tilt against the floor, found or as given.
    pub tilt: Tilt,
}

/// A pixel of the lower part.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    relative: f64,
    ray: Vector3<f64>,
}

/// Find scale and shift from the floor. `relative` is a map of the size of `intrinsics`, `height_m` the distance
/// from the camera to the floor, along its normal.
///
/// # Errors
/// [`WhyNot`] when no floor is found, or the fit is too bad.
pub fn fit_floor(
    relative: &[f32],
    intrinsics: &Intrinsics,
    height_m: f64,
    prior: &FloorPrior,
    settings: &FloorSettings,
) -> Result<FloorFit, WhyNot> {
    let n_pixels = intrinsics.width as usize * intrinsics.height as usize;
    let sizes_differ = WhyNot::SizesDiffer {
        expected: n_pixels,
        found: relative.len(),
    };
    ensure!(relative.len() == n_pixels, sizes_differ);
    ensure!(
        height_m > 0.0 && height_m.is_finite(),
        WhyNot::NoHeight { height_m }
    );
    let mut candidates = candidates(relative, intrinsics, settings.lower_share);
    if let FloorPrior::Tilt(tilt) | FloorPrior::Both { tilt, .. } = prior {
        let down = tilt.down();
        candidates.retain(|c| down.dot(&c.ray) >= settings.min_slope);
    }
    settings
        .fit
        .ensure_enough(candidates.iter().map(|c| c.relative))?;
    let (affine, tilt) = solve(&candidates, height_m, prior, settings).ok_or(WhyNot::NoFloor)?;
    let fit = check_fit(&affine, &tilt, &candidates, height_m, settings)?;
    if let FloorPrior::Offset(_) = prior {
        let (share, needed) = (fit.inlier_share, settings.min_share_to_tilt);
        ensure!(share >= needed, WhyNot::FewInliers { share, needed });
    }
    Ok(FloorFit { fit, tilt })
}

/// The pixels of the lower part whose depth is known.
fn candidates(relative: &[f32], intrinsics: &Intrinsics, lower_share: f64) -> Vec<Candidate> {
    let width = intrinsics.width as usize;
    let first = (f64::from(intrinsics.height) * (1.0 - lower_share)) as usize;
    let pixels = relative
        .iter()
        .enumerate()
        .skip(first.saturating_mul(width));
    let known = pixels.filter(|(_, r)| is_inside(**r));
    let candidate = |(at, r): (usize, &f32)| Candidate {
        relative: f64::from(*r),
        ray: intrinsics.ray((at % width) as f64, (at / width) as f64),
    };
    known
        .map(candidate)
        .filter(|candidate| candidate.ray.x.is_finite())
        .collect()
}

/// The line and the floor that most candidates agree with; each prior makes the equation linear in what is left.
fn solve(
    candidates: &[Candidate],
    height_m: f64,
    prior: &FloorPrior,
    settings: &FloorSettings,
) -> Option<(Affine, Tilt)> {
    match *prior {
        FloorPrior::Offset(offset) => {
            // In scale * down / height.
            let row = |c: &Candidate| c.ray * (c.relative + offset);
            let least_cos = settings.max_tilt.cos();
            // A wall's normal points ahead, a floor's down.
            let is_flat = |x: &Vector3<f64>| x.y >= least_cos * x.norm();
            let x = plane(candidates, row, settings, is_flat)?;
            Some((
                proportional(height_m * x.norm(), offset),
                Tilt::from_down(&x),
            ))
        }
        FloorPrior::Tilt(tilt) => {
            // In scale and shift.
            let down = tilt.down();
            let row = |c: &Candidate| Vector2::new(c.relative, 1.0) * (down.dot(&c.ray) / height_m);
            let x = plane(candidates, row, settings, |_| true)?;
            let affine = Affine {
                scale: x[0],
                shift: x[1],
            };
            Some((affine, tilt))
        }
        FloorPrior::Both { offset, tilt } => {
            // In the scale.
            let down = tilt.down();
            let row =
                |c: &Candidate| Vector1::new((c.relative + offset) * down.dot(&c.ray) / height_m);
            let x = plane(candidates, row, settings, |_| true)?;
            Some((proportional(x[0], offset), tilt))
        }
    }
}

fn plane<const N: usize>(
    candidates: &[Candidate],
    row: impl Fn(&Candidate) -> SVector<f64, N>,
    settings: &FloorSettings,
    is_possible: impl Fn(&SVector<f64, N>) -> bool,
) -> Option<SVector<f64, N>> {
    let rows: Vec<_> = candidates.iter().map(row).collect();
    fit_ones(&rows, settings.fit.tolerance(BELOW_COST), is_possible)
}

fn proportional(scale: f64, offset: f64) -> Affine {
    Affine {
        scale,
        shift: offset * scale,
    }
}

/// Compare the line with the floor's depth, and check that nothing is below the floor.
fn check_fit(
    affine: &Affine,
    tilt: &Tilt,
    candidates: &[Candidate],
    height_m: f64,
    settings: &FloorSettings,
) -> Result<ScaleFit, WhyNot> {
    let down = tilt.down();
    let looking_down = candidates
        .iter()
        .map(|c| (c, down.dot(&c.ray)))
        .filter(|(_, slope)| *slope >= settings.min_slope);
    let pairs: Vec<Pair> = looking_down
        .map(|(c, slope)| Pair {
            relative: c.relative,
            metres: height_m / slope,
        })
        .collect();
    let fit = ScaleFit::check(*affine, &pairs, &settings.fit)?;
    let farthest = 1.0 + settings.fit.inlier_error;
    let is_below = |p: &&Pair| affine.at(p.relative) > farthest * p.metres;
    let share = pairs.iter().filter(is_below).count() as f64 / pairs.len() as f64;
    let limit = settings.max_below_share;
    ensure!(share <= limit, WhyNot::BelowFloor { share, limit });
    Ok(fit)
}

#[cfg(test)]
mod tests;
