//! How good a model is: metrics, the data they are measured on, and tables with intervals.
//!
//! Nothing here loads or runs a model: the caller passes a drawn map or an answer and gets scores.
//! A data set is a list whose members are loaded one at a time; what cannot be read is a [`Broken`] member, not an end.
//!
//! Sources: COOPER's depth protocol (with predictions brought to the truth's size, not the truth to theirs),
//! VLMEvalKit's scoring of SIBench, Q-SpatialBench, MMVP and MMBench. Each function says where it differs.

mod cases;
pub mod depth;
pub(crate) mod files;
pub mod images;
mod npy;
pub mod qa;
mod scene_set;
pub mod segmentation;
mod statistics;
mod table;

pub use cases::cases;
pub use files::Broken;
pub use npy::{NpyArray, read_npy};
pub use scene_set::SceneSet;
pub use statistics::{Bootstrap, Estimate, mean};
pub use table::{Report, Table};
