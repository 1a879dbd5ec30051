//! Scenes and their questions against their truth.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod questions;
mod scene;
