//! The ROS 2 node: topics, services, the action and parameters around the model's thread.
//!
//! Three kinds of threads that never wait for each other: one spins (`spin.rs`), tokio's run a small task per topic and
//! request, one owns the model ([`crate::pipeline::Worker`]).
//! Start at `node.rs`; `requests.rs` is the way from a request to the model and back.

mod actions;
mod cameras;
mod clock;
mod codes;
mod conclusion;
mod continuous;
mod convert;
mod diagnostics;
mod drawing;
mod feedback;
mod inbox;
mod label_info;
mod loading;
mod markers;
mod measure;
mod metric_maps;
mod node;
mod params;
mod remap;
mod requests;
mod results;
mod rosout;
mod scale_status;
mod scaling;
mod segment;
mod services;
mod silence;
mod spin;
mod status;
mod subscriptions;
mod tasks;
mod topics;

pub use node::run;
pub use rosout::{RosoutEvents, RosoutLayer, rosout};
