//! Maps that the model draws: relative depth, and regions of flat colour.
//!
//! Depth is 0 near to 1 far, without metres; regions have ids by size and no classes. All maps come at the source
//! image's size, in its rows and columns.

mod depth;
mod map;
mod paints;
mod raster;
mod segmentation;
mod tracker;

pub use depth::{DepthMap, estimate_depth};
pub use map::{
    DrawnMap, MapPixels, MapRequest, MapSpec, cache_error_of, draw_map, draw_map_of, stage_of,
};
pub use paints::nearest_paint;
pub use segmentation::{BoundingBox, Region, Segmentation, UNLABELED, segment};
pub use tracker::RegionTracker;
