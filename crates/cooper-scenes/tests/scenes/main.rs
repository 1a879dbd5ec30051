//! Scenes and their questions against their truth.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod furnished;
mod questions;
mod scene;
