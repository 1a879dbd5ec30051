//! Images with truth in every pixel: where they come from, and how they are varied.

mod augmentation;
mod cells;
mod fill;
mod image;
mod images;
mod palette;
mod questions;
mod readout;
mod rgbd;
mod source;
mod target;
mod validation;
mod warp;

pub use augmentation::Augmentation;
pub use image::{DenseImage, DepthUnit};
pub use rgbd::RgbdFiles;
pub use source::{DenseData, DenseWeighted};
pub use target::DenseTarget;
pub use validation::ValidationSet;

pub(super) use cells::{CELLS, CellTensors, Cells, Shows};
pub(super) use images::DenseImages;
pub(super) use palette::ClassSet;
pub(super) use readout::{CellReading, Readout};
pub(super) use source::DenseSources;
