//! Segmentation: regions of the drawn colours against true regions.

mod boundary;
mod matching;
mod palette;
mod report;
mod source;

pub use boundary::{boundary_f, boundary_tolerance};
pub use matching::{Overlap, object_ious};
pub(crate) use palette::nearest_paint;
pub use palette::{PaletteScores, palette_scores, scene_palette};
pub use report::{SegmentationRow, segmentation_report};
pub use source::{SegmentationSample, SegmentationSource, SegmentationTruth};
