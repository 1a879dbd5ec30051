//! What the node and the command line share, and rules of the source tree.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;

mod architecture;
mod bag;
mod fuzz;
mod properties;
mod step_cache;
mod trace;
mod worker;
