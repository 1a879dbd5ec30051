//! Training: packed samples with their attention modes, the losses, and the stages of COOPER's recipe.
//!
//! Model weights that are `candle_core::Var`s make every operation choose its differentiable form.
//! Every stage is a [`Stage`] that [`run`] drives: it makes batches and computes their loss.

mod checkpoint;
mod collate;
mod draws;
pub mod grpo;
pub mod init;
mod jsonl;
mod jsonl_maps;
mod jsonl_reasoning;
mod losses;
mod mixture;
mod model_directory;
mod optimizer;
mod packing;
mod parameters;
mod run;
mod sample;
mod scene_source;
mod settings;
mod split;
pub mod supervised;
pub mod vae;
pub mod vit;

pub use checkpoint::newest as newest_checkpoint;
pub use collate::{Collated, Collator, Dropout, shifted_time};
pub use draws::{mixed, rng_at};
pub use jsonl::{GeneratedViews, JsonlRows, RowForm};
pub use jsonl_maps::{DepthDataset, DepthScale};
pub use losses::{cross_entropy, flow_error};
pub use mixture::{Mixture, Source, Weighted};
pub use model_directory::ModelDirectory;
pub use optimizer::{AdamW, Decay, Optimizer, Schedule};
pub use packing::{Hidden, Packed, Packer};
pub use parameters::Parameters;
pub use run::{Counts, Ended, Layout, LogLine, Metrics, RunConfig, Stage, run};
pub use sample::{Author, Part, Sample, Target};
pub use scene_source::SceneTasks;
pub use split::SplitMode;
