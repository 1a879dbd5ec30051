//! What memory the model needs in each number format.

use candle_core::DType;
use cooper_kernels::checkpoint::SafetensorsHeader;
use cooper_model::engine::{Format, MemoryPlan, Quantization, Workload};
use cooper_model::model::config::ModelConfig;
use serde::Serialize;

/// The rows of the table: how numbers and matrices are kept.
const FORMATS: [(&str, DType, Quantization); 7] = [
    ("f32", DType::F32, Quantization::None),
    ("bf16", DType::BF16, Quantization::None),
    ("f16", DType::F16, Quantization::None),
    ("f32+q8_0", DType::F32, Quantization::Q8_0),
    ("f16+q8_0", DType::F16, Quantization::Q8_0),
    ("f32+q4k", DType::F32, Quantization::Q4K),
    ("f16+q4k", DType::F16, Quantization::Q4K),
];

/// Bytes in one number format on a CPU, where the autoencoder works in f32.
#[derive(Debug, Serialize)]
pub(super) struct Need {
    pub(super) dtype: &'static str,
    /// With matrices that `cooper quantize` wrote, where they are quantised.
    pub(super) plan: MemoryPlan,
    /// All of it.
    pub(super) total_bytes: u64,
    /// What it takes more if matrices are quantised while loading.
    pub(super) more_while_loading_bytes: u64,
    /// Against the memory that is available here, if that is known.
    pub(super) fits: Option<bool>,
}

/// The headers of a model's files.
pub(super) struct Headers {
    pub(super) transformer: SafetensorsHeader,
    pub(super) vae: SafetensorsHeader,
}

/// The need in every number format; of a directory that is quantised already, in its own.
pub(super) fn needs(
    config: &ModelConfig,
    headers: &Headers,
    quantized: Option<&str>,
    image: (u32, u32),
    available: Option<u64>,
) -> Vec<Need> {
    FORMATS
        .into_iter()
        .filter(|(_, _, quantization)| quantized.is_none_or(|name| name == quantization.name()))
        .map(|(name, dtype, quantization)| {
            let plan = |is_in_file| {
                let format = Format {
                    dtype,
                    vae_dtype: DType::F32,
                    quantization,
                    is_in_file,
                };
                let work = Workload::question(image);
                MemoryPlan::new(config, &headers.transformer, &headers.vae, format, work)
            };
            let while_loading = plan(false).peak();
            let plan = plan(true);
            let total_bytes = plan.peak();
            Need {
                dtype: name,
                more_while_loading_bytes: while_loading.saturating_sub(total_bytes),
                plan,
                total_bytes,
                fits: available.map(|available| total_bytes <= available),
            }
        })
        .collect()
}
