//! Limits in time and memory. A binary of its own: nothing else may load the machine meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;

mod budget;
mod memory;
