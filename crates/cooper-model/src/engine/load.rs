//! A model directory becomes an engine: everything checked first, every problem told at once.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use candle_core::DType;
use candle_core::quantized::GgmlDType;
use cooper_imaging::ResizeRule;
use cooper_kernels::checkpoint::{SafetensorsHeader, TensorInfo};
use cooper_kernels::{
    DeviceChoice, DtypeChoice, GgufFile, Matrices, Quantization, give_back_memory, stored_tensors,
    use_large_pages,
};
use safetensors::Dtype;

use super::available::available_memory;
use super::frame::{WorkDone, kept_bytes};
use super::plan::{Format, MemoryPlan, Refusal, Workload};
use super::prefix_cache::PrefixCache;
use super::speed::Speed;
use crate::error::{Error, Result};
use crate::model::pixels::Normalization;
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

/// The loaded model with all that it needs to read and to draw.
#[derive(Debug)]
pub struct Engine {
    pub(super) model: UnifiedModel,
    pub(super) vae: FluxVae,
    pub(super) tokenizer: Tokenizer,
    pub(super) config: ModelConfig,
    dir: PathBuf,
    memory_bytes: u64,
    quantization: Quantization,
    /// Openings and images. The model has no state; this is beside it, and changes no result.
    pub(super) kept: Mutex<PrefixCache>,
    pub(super) work: Mutex<WorkDone>,
    pub(super) speed: Mutex<Speed>,
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
        let vae_file = dir.join(VAE_NAME);
        let transformer = Transformer::open(options, &config)?;
        let vae_header =
            SafetensorsHeader::read(&vae_file).map_err(|why| Error::weights(&vae_file, why))?;
        let mismatch = inventory::check_vae(&config.vae, &vae_header);
        if !mismatch.is_empty() {
            return Err(Error::weights(&vae_file, mismatch.to_string()));
        }
        let device = options.device.open()?;
        let dtype = options.dtype.on(&device);
        // Convolutions in 16 bits are slower and coarser than in 32 on a CPU.
        let vae_dtype = if device.is_cpu() { DType::F32 } else { dtype };
        let format = Format {
            dtype,
            vae_dtype,
            quantization: transformer.quantization,
            is_in_file: matches!(transformer.matrices, Matrices::Gguf(_)),
        };
        let work = Workload::question(Workload::USUAL_IMAGE);
        let plan =
            |format| MemoryPlan::new(&config, &transformer.header, &vae_header, format, work);
        if device.is_cpu() && !options.ignores_memory {
            check_memory(dir, format, work, plan)?;
        }
        let memory_bytes = plan(format).weights();
        let sides = inventory::PositionSides::new(&config, &transformer.header);
        let model = UnifiedModel::new(
            &config,
            sides,
            tokenizer.control,
            stored_tensors(&transformer.weights, dtype, &device)?,
            &transformer.matrices,
        )?;
        let vae_weights = stored_tensors(&vae_file, vae_dtype, &device)?;
        let vae = FluxVae::new(&config.vae, format.vae_products(), vae_weights)?;
        // Of what passed by while weights were read, nothing is to become large pages.
        give_back_memory();
        use_large_pages();
        Ok(Self {
            model,
            vae,
            tokenizer,
            config,
            dir: dir.clone(),
            memory_bytes,
            quantization: transformer.quantization,
            kept: Mutex::new(PrefixCache::new(kept_bytes(memory_bytes))),
            work: Mutex::default(),
            speed: Mutex::default(),
        })
    }

    /// An engine of parts that exist already, such as a model on weights that are being trained.
    /// The memory is theirs, so [`Self::memory_bytes`] is 0. Nothing that it reads is kept: the weights may change.
    ///
    /// # Errors
    /// [`Error::Weights`] if the tokenizer has more tokens than the model.
    pub fn of_parts(
        model: UnifiedModel,
        vae: FluxVae,
        tokenizer: Tokenizer,
        config: ModelConfig,
        dir: &Path,
    ) -> Result<Self> {
        check_vocabulary(dir, &tokenizer, &config)?;
        Ok(Self {
            model,
            vae,
            tokenizer,
            config,
            dir: dir.into(),
            memory_bytes: 0,
            quantization: Quantization::None,
            kept: Mutex::new(PrefixCache::new(0)),
            work: Mutex::default(),
            speed: Mutex::default(),
        })
    }

    /// The model directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `cpu`, `cuda:0` or `metal:0`.
    pub fn device_name(&self) -> String {
        match self.model.device().location() {
            candle_core::DeviceLocation::Cpu => "cpu".into(),
            candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
            candle_core::DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
        }
    }

    /// `f32`, `bf16` or `f16`; with quantised matrices also their type, as in `f32+q8_0`.
    pub fn dtype_name(&self) -> String {
        let dtype = self.model.dtype().as_str();
        match self.quantization {
            Quantization::None => dtype.into(),
            quantization => format!("{dtype}+{}", quantization.name()),
        }
    }

    /// How the transformer's matrices are quantised.
    pub fn quantization(&self) -> Quantization {
        self.quantization
    }

    /// Bytes of all weights as loaded.
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// The network.
    pub fn model(&self) -> &UnifiedModel {
        &self.model
    }

    /// The autoencoder.
    pub fn vae(&self) -> &FluxVae {
        &self.vae
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// All sizes.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The size rule that every image goes through first.
    pub fn vae_rule(&self) -> ResizeRule {
        self.config.vae_rule()
    }

    /// The size rule for the vision encoder, applied to the result of the first.
    pub fn vit_rule(&self) -> ResizeRule {
        self.config.vit_rule()
    }

    /// How channels are normalised.
    pub fn normalization(&self) -> Normalization {
        self.config.normalization()
    }
}

/// Hold what the work takes in a format against what is available, where that is known.
fn check_memory(
    dir: &Path,
    format: Format,
    work: Workload,
    plan: impl Fn(Format) -> MemoryPlan,
) -> Result<()> {
    let Some(available) = available_memory() else {
        return Ok(());
    };
    let quantized = |quantization| Format {
        quantization,
        is_in_file: true,
        ..format
    };
    let others = [
        (
            "dtype f16",
            Format {
                dtype: DType::F16,
                ..format
            },
        ),
        ("cooper quantize --type q8_0", quantized(Quantization::Q8_0)),
        ("cooper quantize --type q4k", quantized(Quantization::Q4K)),
    ];
    let others = others.map(|(name, format)| (name, plan(format).peak()));
    let refusal = Refusal {
        plan: plan(format),
        available,
        work,
        others: others.into(),
    };
    refusal.check(dir)
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
}

/// Where the quantised matrices of a weights file are, if there are any.
pub fn quantized_beside(weights: &Path) -> PathBuf {
    weights.with_file_name(QUANTIZED_NAME)
}

/// Add the tensors of a file of quantised matrices to the header of the others, and tell how they are quantised.
///
/// # Errors
/// If a tensor is in both.
pub fn add_matrices(
    header: &mut SafetensorsHeader,
    gguf: &GgufFile,
) -> std::result::Result<Quantization, String> {
    let mut found = Quantization::Q8_0;
    for (name, dtype, shape) in gguf.tensors() {
        if dtype == GgmlDType::Q4K {
            found = Quantization::Q4K;
        }
        let info = TensorInfo {
            // Whatever counts as floating point: the quantised type is not one of this format.
            dtype: Dtype::F32,
            shape: shape.into(),
        };
        if header.tensors.insert(name.into(), info).is_some() {
            return Err(format!(
                "{name} is in the weights file, too: expected it in one of them (remove {QUANTIZED_NAME} for plain weights)"
            ));
        }
    }
    Ok(found)
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

fn check_vocabulary(dir: &Path, tokenizer: &Tokenizer, config: &ModelConfig) -> Result<()> {
    let (tokens, rows) = (tokenizer.len(), config.llm.vocab_size);
    if tokens <= rows {
        return Ok(());
    }
    Err(Error::Weights {
        path: dir.into(),
        why: format!("tokenizer: expected at most vocab_size {rows} tokens, got {tokens}"),
    })
}
