//! Generation: contexts grow, text is generated, images are drawn. Knows nothing of questions or answers.
//!
//! ```
//! # let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/cooper-nano");
//! use cooper_model::image;
//! use cooper_model::engine::{Control, Engine, KvContext, ModelOptions, Noise, SamplingParams, Views};
//!
//! let engine = Engine::load(&ModelOptions {
//!     dir: dir.into(),
//!     ..ModelOptions::default()
//! })?;
//! let image = image::RgbImage::from_pixel(128, 96, image::Rgb([90, 90, 90]));
//! let mut context = KvContext::default();
//! engine.prefill_image(&mut context, &image, Views::Vit, &mut Noise::seeded(0))?;
//! engine.prefill_text(&mut context, "How many boxes are there?")?;
//! let sampling = SamplingParams {
//!     max_new_tokens: 8,
//!     ..SamplingParams::default()
//! };
//! let generation = engine.generate_text(&context, &sampling, 0, &mut Control::unattended())?;
//! println!("{}", generation.text);
//! # Ok::<(), cooper_model::Error>(())
//! ```

mod available;
mod context;
mod control;
mod flow_params;
mod format;
mod frame;
mod generation;
mod identity;
mod latent;
mod load;
mod loaded;
mod memory_check;
mod plan;
mod prefix_cache;
mod quantize;
mod speed;
mod weight_bytes;
mod work;

pub use available::{available_memory, meminfo_bytes};
pub use context::{Images, Views};
pub use control::{Cancel, Control, Evidence, MapKind, Progress, Stage, Stop};
pub use cooper_kernels::{
    DeviceChoice, DtypeChoice, GgufFile, MatrixSource, Noise, Quantization, give_back_memory,
};
pub use flow_params::{FlowParams, FlowProfile, MIN_FITTED_STEPS};
pub use format::Format;
pub use generation::{Generation, SamplingParams};
pub use identity::ModelIdentity;
pub use latent::{GuidanceContexts, SampledLatent};
pub use load::{
    ModelOptions, QUANTIZED_NAME, VAE_NAME, WEIGHTS_NAMES, add_matrices, quantized_beside,
};
pub use loaded::Engine;
pub use plan::{MemoryPlan, Workload};
pub use quantize::{Quantized, quantize};
pub use speed::{Part, Speed};
pub use work::WorkDone;

pub use crate::model::KvContext;
