//! Training: packed samples with their attention modes, the losses, and the stages of COOPER's recipe.
//!
//! Model weights that are `candle_core::Var`s make every operation choose its differentiable form.
//! Every stage is a [`Stage`] that [`run`] drives: it makes batches and computes their loss.

mod checkpoint;
mod checks;
mod collate;
mod dense;
mod dense_tasks;
mod draws;
pub mod grpo;
pub mod init;
mod jsonl;
mod losses;
mod mixture;
mod model_directory;
mod optimizer;
mod packing;
mod parameters;
mod run;
mod run_config;
mod sample;
mod sample_builder;
mod scene_source;
mod schema;
mod settings;
mod source_counts;
mod split;
mod stage;
pub mod supervised;
mod task;
pub mod vae;
pub mod vit;

pub use checkpoint::newest as newest_checkpoint;
pub use collate::{Collated, Collator, Dropout, shifted_time};
pub use dense::{
    Augmentation, DenseData, DenseImage, DenseTarget, DenseWeighted, DepthUnit, RgbdFiles,
    ValidationSet,
};
pub use dense_tasks::DenseTasks;
pub use draws::{mixed, rng_at};
pub use jsonl::{DepthDataset, DepthScale, GeneratedViews, JsonlRows, RowForm};
pub use losses::{cross_entropy, flow_error};
pub use mixture::{Mixture, Source, Weighted};
pub use model_directory::ModelDirectory;
pub use optimizer::{AdamW, Decay, Optimizer, Schedule};
pub use packing::{Hidden, Packed, Packer};
pub use parameters::Parameters;
pub use run::{LogLine, RunOutcome, run};
pub use run_config::RunConfig;
pub use sample::{Author, Part, Sample, Target, Visibility};
pub use scene_source::SceneTasks;
pub use schema::config_schema;
pub use source_counts::SourceCounts;
pub use split::SplitMode;
pub use stage::{Counts, Layout, Metrics, Stage};
pub use task::TaskWeights;
