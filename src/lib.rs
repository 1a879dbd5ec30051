//! What the node `cooper_node` and the command line `cooper` share: settings, the thread that owns the model, traces.
//!
//! The model itself is `cooper-model`. Nothing here knows ROS or a terminal: the node is `src/ros`, the command line
//! `src/cli`. Start at [`pipeline::Worker`]; `docs/architecture.md` is the map of the whole workspace.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
#![forbid(unsafe_code)]

pub mod config;
pub mod pipeline;
pub mod trace;
