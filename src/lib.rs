#![doc = include_str!("ARCHITECTURE.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod bag;
pub mod cli;
pub mod config;
pub mod conformance;
pub mod engine;
pub mod error;
pub mod evaluation;
pub mod flow;
pub mod imaging;
pub mod measure;
pub mod metric;
pub mod model;
pub mod perception;
pub mod pipeline;
pub mod reasoning;
#[cfg(feature = "ros")]
pub mod ros;
pub mod scenes;
pub mod tensor;
pub mod trace;
pub mod training;

pub use error::{Error, Result};
