//! COOPER: one model that reads an image, draws its depth and segmentation, and reasons about space.
//!
//! Start at [`Cooper`]: load a model directory, ask about an image, draw its maps.
//!
//! | module | what it does | start at |
//! |---|---|---|
//! | [`measure`] | typed questions, answered in numbers and checked against maps | [`measure::observe`], [`measure::conclude`] |
//! | [`reasoning`] | questions in four modes; what answers say | [`reasoning::answer`], [`reasoning::answers`] |
//! | [`perception`] | depth maps, segmentations, regions | [`perception::estimate_depth`], [`perception::segment`] |
//! | [`engine`] | contexts, prefill, text generation, latents | [`engine::Engine`], [`engine::Control`] |
//! | [`model`] | the network | [`model::UnifiedModel`] |
//! | [`flow`] | rectified flow without a network | [`flow::sample`] |
//!
//! A layer uses only those below it.
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

pub use cooper::{Cooper, load_rgb};
pub use error::{Error, Result};
/// The crate of the images that go in and come out, so that a program need not name it beside this one: write
/// `cooper_model::image::RgbImage`.
#[doc(no_inline)]
pub use image;

/// The README's program, so that it compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
