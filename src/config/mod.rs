//! What can be configured: the node's parameters and interfaces, as plain data and as types.

mod file;
pub mod interfaces;
mod node;
mod parameters;
mod value;

pub use file::{parse_yaml, read_yaml};
pub use node::{CameraConfig, NodeConfig, Transport, flow_of_model, settings, shipped_model};
pub use parameters::{Changes, MAX_TURNS, Parameter, ParameterSet, camera_parameters, parameters};
pub use value::{Accepts, Value};
