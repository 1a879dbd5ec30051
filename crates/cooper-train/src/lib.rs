//! Training, evaluation and conformance of the COOPER model.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
#![forbid(unsafe_code)]

pub mod conformance;
pub mod evaluation;
mod json_lines;
pub mod training;
