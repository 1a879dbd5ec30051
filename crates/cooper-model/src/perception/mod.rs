//! What the model draws, as robots use it: relative depth, and regions of flat colour.

mod depth;
mod map;
mod raster;
mod segmentation;
mod tracker;

pub use depth::{DepthMap, estimate_depth};
pub use map::{DrawnMap, MapRequest, MapSpec, cache_error_of, draw_map, draw_map_of, stage_of};
pub use segmentation::{BoundingBox, Region, Segmentation, UNLABELED, segment};
pub use tracker::RegionTracker;
