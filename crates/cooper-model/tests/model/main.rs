//! The model as a library: contexts, answers, measurements, work done.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../../../tests/common/mod.rs"]
mod common;

mod autoencoder;
mod engine;
mod measure;
mod observe;
mod reasoning;
mod work;
