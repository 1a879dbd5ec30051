//! Depth: how near a relative map comes to true metres, after the best scale and shift and as it is.

mod alignment;
mod baselines;
mod crop;
mod metrics;
mod report;
mod source;
mod task;

pub use alignment::fit_scale_shift;
pub use baselines::{MeanDepth, constant, gradient, plane};
pub use crop::{Crop, Window};
pub use metrics::{DepthScores, METRICS, Metric};
pub use report::{DepthRow, Method, depth_report};
pub use source::{DepthSample, DepthSource, DepthTruth};
pub use task::{DepthProtocol, DepthTask};
