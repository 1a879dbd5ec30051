//! Training, evaluation and conformance of the COOPER model.
//!
//! - [`training`]: the stages of the recipe. Each is a [`training::Stage`] that [`training::run`] drives; start at
//!   [`training::supervised`]. A configuration is a struct of this crate, [`training::config_schema`] its JSON Schema.
//! - [`evaluation`]: metrics with intervals over data sets; start at [`evaluation::depth::DepthTask`].
//! - [`conformance`]: the whole model against the reference's tensors; start at [`conformance::run`], whose module says
//!   what is compared within which bound.
//!
//! It knows the model ([`cooper_model`]) and synthetic scenes ([`cooper_scenes`]), and never ROS, the command line or a
//! terminal: progress goes to callbacks, errors are values.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
#![forbid(unsafe_code)]

pub mod conformance;
pub mod evaluation;
mod json_lines;
mod scene_truth;
pub mod training;
