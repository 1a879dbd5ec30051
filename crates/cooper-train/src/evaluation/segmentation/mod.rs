//! Segmentation: regions of the drawn colours against true regions.

mod boundary;
mod classes;
mod matching;
mod palette;
mod report;
mod source;

pub use boundary::{boundary_f, boundary_tolerance};
pub use classes::ClassCounts;
pub(crate) use cooper_model::perception::nearest_paint;
pub use matching::{Overlap, object_ious};
pub use palette::{PaletteScores, palette_scores, scene_palette};
pub use report::{SegmentationRow, segmentation_report};
pub use source::{SegmentationSample, SegmentationSource, SegmentationTruth};
