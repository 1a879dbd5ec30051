//! One camera's way from relative depth to metres, and what is published of it.

mod maps;
mod metres;
mod scale;
mod status;

pub use maps::{MetricMaps, NO_CAMERA, boxes, fit, points};
pub use metres::{MetricDepth, MetricResult};
pub use scale::MetricScale;
pub use status::ScaleStatus;
