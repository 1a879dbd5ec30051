//! A model directory becomes an engine: everything checked first, every problem told at once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::DType;
use cooper_kernels::{
    DeviceChoice, DtypeChoice, GgufFile, Matrices, MatrixSource, Quantization, give_back_memory,
    stored_tensors, use_large_pages,
};
use cooper_kernels::{SafetensorsHeader, TensorInfo};
use safetensors::Dtype;

use super::available::available_memory;
use super::format::Format;
use super::loaded::{Engine, check_vocabulary};
use super::memory_check::check_memory;
use super::plan::{MemoryPlan, Workload};
use super::prefix_cache::PrefixCache;
use crate::error::{Error, Result};
use crate::model::{FluxVae, ModelConfig, Tokenizer, UnifiedModel, inventory};

/// File names of the transformer's weights, in the order in which they are looked for.
pub const WEIGHTS_NAMES: [&str; 2] = ["ema.safetensors", "model.safetensors"];
/// File name of quantised matrices, beside the rest of the transformer's weights.
pub const QUANTIZED_NAME: &str = "transformer.gguf";
/// File name of the autoencoder's weights.
pub const VAE_NAME: &str = "ae.safetensors";

/// Which model to load, and how.
#[derive(Clone, Debug, Default)]
pub struct ModelOptions {
    /// A released model directory: configs, tokenizer, `ae.safetensors`, and weights unless named apart.
    pub dir: PathBuf,
    /// The transformer's weights, if they lie elsewhere (COOPER's over BAGEL's configs).
    pub weights: Option<PathBuf>,
    /// Where to compute.
    pub device: DeviceChoice,
    /// In which number format.
    pub dtype: DtypeChoice,
    /// How the transformer's matrices are quantised while loading, if they are not already.
    pub quantization: Quantization,
    /// Load a model even if less memory is available than it will take.
    pub ignores_memory: bool,
}

impl ModelOptions {
    /// The transformer's weights file.
    ///
    /// # Errors
    /// [`Error::Weights`] if there is none.
    pub fn weights_file(&self) -> Result<PathBuf> {
        if let Some(file) = &self.weights {
            return Ok(file.clone());
        }
        WEIGHTS_NAMES
            .iter()
            .map(|name| self.dir.join(name))
            .find(|file| file.exists())
            .ok_or_else(|| Error::Weights {
                path: self.dir.clone(),
                why: format!("expected {}, got neither", WEIGHTS_NAMES.join(" or ")),
            })
    }
}

impl Engine {
    /// Check and read a model directory.
    ///
    /// # Errors
    /// [`Error::Weights`] with every missing file, or every missing, unexpected and misshapen tensor, or with what
    /// memory it takes if that is more than there is; [`Error::Model`] if the device cannot be had.
    pub fn load(options: &ModelOptions) -> Result<Self> {
        let dir = &options.dir;
        if !dir.is_dir() {
            return Err(Error::weights(
                dir,
                "expected a model directory, found none",
            ));
        }
        let config = ModelConfig::load(dir).map_err(|why| Error::weights(dir, why))?;
        let tokenizer = Tokenizer::load(dir)?;
        check_vocabulary(dir, &tokenizer, &config)?;
        let transformer = Transformer::open(options, &config)?;
        let vae_file = dir.join(VAE_NAME);
        let vae_header = read_vae_header(&vae_file, &config)?;
        let device = options.device.open()?;
        let dtype = options.dtype.on(&device);
        let format = Format {
            dtype,
            // Convolutions in 16 bits are slower and coarser than in 32 on a CPU.
            vae_dtype: if device.is_cpu() { DType::F32 } else { dtype },
            quantization: transformer.quantization,
            quantized_from: transformer.quantized_from(),
        };
        let work = Workload::question(Workload::USUAL_IMAGE);
        let plan_in =
            |format| MemoryPlan::new(&config, &transformer.header, &vae_header, format, work);
        let plan = plan_in(format);
        if device.is_cpu()
            && !options.ignores_memory
            && let Some(available) = available_memory()
        {
            check_memory(dir, (&plan, format, work), available, plan_in)?;
        }
        let sides = inventory::PositionSides::new(&config, &transformer.header);
        let weights = stored_tensors(&transformer.weights, dtype, &device)?;
        let (control, matrices) = (tokenizer.control, &transformer.matrices);
        let model = UnifiedModel::new(&config, sides, control, weights, matrices)?;
        let weights = stored_tensors(&vae_file, format.vae_dtype, &device)?;
        let vae = FluxVae::new(&config.vae, format.vae_precision(), weights)?;
        // Memory that was freed while weights were read is not to become large pages.
        give_back_memory();
        use_large_pages();
        let mut engine = Self::from_parts(model, vae, tokenizer, config, dir)?;
        engine.memory_bytes = plan.weights();
        engine.quantization = transformer.quantization;
        engine.keep_at_most(PrefixCache::default_limit(engine.memory_bytes));
        Ok(engine)
    }
}

fn read_vae_header(file: &Path, config: &ModelConfig) -> Result<SafetensorsHeader> {
    let header = SafetensorsHeader::read(file).map_err(|why| Error::weights(file, why))?;
    let mismatch = inventory::check_vae(&config.vae, &header);
    match mismatch.is_empty() {
        true => Ok(header),
        false => Err(Error::weights(file, mismatch.to_string())),
    }
}

/// The transformer's files, checked but not read.
pub(super) struct Transformer {
    pub(super) weights: PathBuf,
    /// Of all tensors, those of the quantised matrices included.
    pub(super) header: SafetensorsHeader,
    pub(super) matrices: Matrices,
    quantization: Quantization,
}

impl Transformer {
    pub(super) fn open(options: &ModelOptions, config: &ModelConfig) -> Result<Self> {
        let weights = options.weights_file()?;
        let mut header =
            SafetensorsHeader::read(&weights).map_err(|why| Error::weights(&weights, why))?;
        let gguf_path = quantized_beside(&weights);
        let (mut matrices, mut quantization) =
            (Matrices::Stored(options.quantization), options.quantization);
        if gguf_path.exists() {
            let gguf = GgufFile::open(&gguf_path).map_err(|why| Error::weights(&gguf_path, why))?;
            quantization = add_matrices(&mut header, &gguf)
                .and_then(|found| agreed(options.quantization, found))
                .map_err(|why| Error::weights(&gguf_path, why))?;
            matrices = Matrices::Gguf(Arc::new(gguf));
        }
        let mismatch = inventory::check(config, &header);
        if !mismatch.is_empty() {
            return Err(Error::weights(&weights, mismatch.to_string()));
        }
        Ok(Self {
            weights,
            header,
            matrices,
            quantization,
        })
    }

    fn quantized_from(&self) -> MatrixSource {
        match self.matrices {
            Matrices::Gguf(_) => MatrixSource::File,
            Matrices::Stored(_) => MatrixSource::Weights,
        }
    }
}

/// Where the quantised matrices of a weights file are, if there are any.
pub fn quantized_beside(weights: &Path) -> PathBuf {
    weights.with_file_name(QUANTIZED_NAME)
}

/// Add the tensors of a file of quantised matrices to the header of the others; returns how they are quantised.
///
/// # Errors
/// If a tensor is in both, or the matrices are not of one quantisation.
pub fn add_matrices(
    header: &mut SafetensorsHeader,
    gguf: &GgufFile,
) -> std::result::Result<Quantization, String> {
    for (name, _, shape) in gguf.tensors() {
        let info = TensorInfo {
            // Any floating point type: the quantised one is not of this format.
            dtype: Dtype::F32,
            shape: shape.into(),
        };
        if header.tensors.insert(name.into(), info).is_some() {
            return Err(format!(
                "{name} is in the weights file, too: expected it in one of them (remove {QUANTIZED_NAME} for plain weights)"
            ));
        }
    }
    gguf.quantization()
}

fn agreed(asked: Quantization, found: Quantization) -> std::result::Result<Quantization, String> {
    if asked != Quantization::None && asked != found {
        let (asked, found) = (asked.name(), found.name());
        return Err(format!(
            "expected {asked} as asked for, got matrices in {found}: quantise the original"
        ));
    }
    Ok(found)
}
