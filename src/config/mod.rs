//! What can be configured: the node's parameters and interfaces, as plain data and as types.

mod choices;
mod file;
pub mod interfaces;
mod names;
mod node;
mod parameter_set;
mod parameters;
mod scale;
mod value;

pub use choices::{DepthEncoding, ScaleSource, Transport};
pub use file::{parse_yaml, read_yaml};
pub use node::{CameraConfig, NodeConfig, flow_of_model, settings, shipped_model, trace_limits};
pub use parameter_set::ParameterSet;
pub use parameters::{Changes, MAX_SAMPLES, MAX_TURNS, Parameter, camera_parameters, parameters};
pub use scale::{DepthConfig, ScaleConfig};
pub use value::{Accepts, Value};
