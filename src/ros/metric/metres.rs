//! Depth in metres.

use cooper_metric::Scale;
use cooper_perception::config::DepthConfig;

use crate::convert::Calibration;

/// A value that needs metres, or why there is none.
pub type MetricResult<T> = std::result::Result<T, String>;

/// A depth map in metres.
#[derive(Debug)]
pub struct MetricDepth {
    /// Row-major, along z; NaN where there are none.
    pub values: Vec<f32>,
    /// The scale that they come from.
    pub scale: Scale,
    /// The image's calibration.
    pub calibration: MetricResult<Calibration>,
    /// How they are published.
    pub config: DepthConfig,
    /// What is missing or doubtful.
    pub remark: Option<String>,
}
