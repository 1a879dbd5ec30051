//! What the node `cooper_node` and the command line `cooper` share.
//!
//! - [`config`]: the node's parameters and interfaces, as tables and as types.
//! - [`pipeline`]: the thread that owns the model, the queue before it, frames and requests.
//! - [`trace`]: a question and its result as a folder; written, read, compared.
//!
//! The model itself is the crate `cooper-model`. This library never knows ROS (`src/ros`) or a terminal (`src/cli`).
//! Start at [`pipeline::Worker`]; `docs/architecture.md` is the map of the whole workspace.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
#![forbid(unsafe_code)]

pub mod config;
pub mod pipeline;
pub mod trace;
