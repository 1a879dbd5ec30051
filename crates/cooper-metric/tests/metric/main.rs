//! Scales, clouds and boxes in rendered rooms whose truth is known.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod boxes;
mod cloud;
mod rooms;
mod scale;
