//! Training, evaluation and conformance without the program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../../../tests/common/mod.rs"]
mod common;
#[path = "../../../../tests/common/evaluation.rs"]
mod evaluation_support;

mod conformance;
mod evaluation;
mod packing;
mod segmentation;
