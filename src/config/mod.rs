//! What can be configured: the node's parameters and interfaces, as plain data and as types.

pub mod interfaces;
mod node;
mod parameters;
mod value;

pub use node::{CameraConfig, NodeConfig, Transport, settings, shipped_model};
pub use parameters::{Changes, MAX_TURNS, Parameter, ParameterSet, camera_parameters, parameters};
pub use value::{Accepts, Value};
