//! COOPER: one model that reads an image, draws its depth and segmentation, and reasons about space.
//!
//! Start at [`Cooper`]: load a model directory, ask about an image, draw its maps. Behind it, from the bottom to the top:
//! [`flow`] (rectified flow without a network), [`model`] (the network), [`engine`] (contexts, text, latents),
//! [`perception`] (maps and regions), [`reasoning`] (the loop in turns), [`measure`] (typed questions).
//!
//! Knows neither ROS nor training. The model is BAGEL-7B-MoT as COOPER (arXiv 2512.04563) trains it, or a smaller one of
//! the same layout; all sizes come from the model directory.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
#![forbid(unsafe_code)]

mod cooper;
pub mod engine;
pub mod error;
pub mod flow;
pub mod measure;
pub mod model;
pub mod perception;
pub mod reasoning;

pub use cooper::Cooper;
pub use cooper_imaging::load_rgb;
pub use error::{Error, Result};
