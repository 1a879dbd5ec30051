//! What memory the model needs in each number format.

use candle_core::DType;
use cooper_kernels::SafetensorsHeader;
use cooper_model::engine::{Format, MatrixSource, MemoryPlan, Quantization, Workload};
use cooper_model::model::config::ModelConfig;
use serde::Serialize;

/// The rows of the table: the number format of plain weights, and the matrices' quantisation.
fn formats() -> impl Iterator<Item = (DType, Quantization)> {
    Quantization::ALL.into_iter().flat_map(|quantization| {
        let dtypes: &[DType] = match quantization {
            Quantization::None => &[DType::F32, DType::BF16, DType::F16],
            _ => &[DType::F32, DType::F16],
        };
        dtypes.iter().map(move |dtype| (*dtype, quantization))
    })
}

/// Bytes in one number format on a CPU, where the autoencoder works in f32.
#[derive(Debug, Serialize)]
pub(super) struct Need {
    pub(super) dtype: String,
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
    formats()
        .filter(|(_, quantization)| quantized.is_none_or(|name| name == quantization.name()))
        .map(|(dtype, quantization)| {
            let plan = |quantized_from| {
                let format = Format {
                    dtype,
                    vae_dtype: DType::F32,
                    quantization,
                    quantized_from,
                };
                let work = Workload::question(image);
                MemoryPlan::new(config, &headers.transformer, &headers.vae, format, work)
            };
            let while_loading = plan(MatrixSource::Weights).peak();
            let plan = plan(MatrixSource::File);
            let total_bytes = plan.peak();
            Need {
                dtype: match quantization {
                    Quantization::None => dtype.as_str().to_owned(),
                    _ => format!("{}+{}", dtype.as_str(), quantization.name()),
                },
                more_while_loading_bytes: while_loading.saturating_sub(total_bytes),
                plan,
                total_bytes,
                fits: available.map(|available| total_bytes <= available),
            }
        })
        .collect()
}
