//! The command line, run as a user runs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/evaluation.rs"]
mod evaluation_support;
#[path = "../common/training.rs"]
mod training_support;

mod bag;
mod cli;
mod docs;
mod doctor;
mod evaluation;
mod grpo;
mod quantized;
mod scenes;
mod shipped_model;
mod training;
mod training_dense;
mod training_errors;
mod training_rows;
