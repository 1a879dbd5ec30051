//! Generation: contexts grow, text is written, pictures are drawn. Knows nothing of questions or answers.

mod available;
mod context;
mod control;
mod flow_params;
mod frame;
mod identity;
mod kept;
mod load;
mod picture;
mod plan;
mod quantize;
mod speed;
mod text;

pub use available::{available_memory, meminfo_bytes};
pub use context::{Pictures, Views};
pub use control::{Cancel, Control, Evidence, MapKind, Progress, Stage, Stop};
pub use cooper_kernels::{
    DeviceChoice, DtypeChoice, GgufFile, Noise, Quantization, give_back_memory,
};
pub use flow_params::{FlowParams, FlowProfile, MIN_FITTED_STEPS};
pub use frame::WorkDone;
pub use identity::ModelIdentity;
pub use load::{
    Engine, ModelOptions, QUANTIZED_NAME, VAE_NAME, WEIGHTS_NAMES, add_matrices, quantized_beside,
};
pub use picture::{DrawnLatent, GuidanceContexts};
pub use plan::{Format, MemoryPlan, Work};
pub use quantize::{Quantized, quantize};
pub use speed::{Part, Speed};
pub use text::{SamplingParams, Speech};

pub use crate::model::KvContext;
