//! Metres from relative depth: scale fits, camera calibration, organised clouds, boxes and a confidence.
//!
//! - A generated map is 0 near and 1 far; metres are `scale * relative + shift`. These two numbers come from a reference depth
//!   image ([`fit_scale`]) or from a known camera height over the floor ([`fit_floor`]), and from nowhere else: a bad fit is a
//!   [`WhyNot`], and then there is no metric depth.
//! - It knows maps as slices of numbers. It must never know the model, tensors, or ROS types.
//! - Start at [`ScaleTracker`], which decides for each frame whether it has metres; a [`ScaleFilter`] smooths the scale.
//!
//! Frames: the optical frame of REP 103, x right, y down, z ahead; lengths are metres, depth is z.
//! A pixel's centre has whole coordinates: the top left one is (0, 0), the image begins at (-0.5, -0.5).
//! Depth follows REP 118: `32FC1` is metres, `16UC1` is millimetres with 0 for none. Inside, NaN is none.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
#![forbid(unsafe_code)]

mod affine;
mod boxes;
mod cloud;
mod distortion;
mod filter;
mod fit;
mod floor;
mod intrinsics;
mod quantile;
mod reference;
mod robust;
mod spread;
mod tilt;
mod tracker;
mod why_not;

pub use affine::Affine;
pub use boxes::{Box3d, boxes};
pub use cloud::{Cloud, millimetres};
pub use distortion::Distortion;
pub use filter::{FilterSettings, ScaleFilter, Smoothed, Verdict};
pub use fit::{FitSettings, ScaleFit, fit_scale};
pub use floor::{FloorFit, FloorPrior, FloorSettings, fit_floor};
pub use intrinsics::{Intrinsics, Roi};
pub use quantile::{Interpolation, median, quantile};
pub use reference::{DepthBytes, ReferenceDepth};
pub use spread::{Spread, spread};
pub use tilt::Tilt;
pub use tracker::{NoScale, Observation, Scale, ScaleTracker};
pub use why_not::WhyNot;
