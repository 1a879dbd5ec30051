//! What training needs of the model directory that it begins with.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use cooper_kernels::SafetensorsHeader;
use cooper_kernels::with_slices;
use cooper_kernels::{ConvPrecision, Matrices};
use cooper_model::engine::{ModelOptions, VAE_NAME};
use cooper_model::model::{FluxVae, ModelConfig, Tokenizer, UnifiedModel, inventory};
use cooper_model::{Error, Result};

/// A model directory whose sizes are known and whose files are there.
#[derive(Debug)]
pub struct ModelDirectory {
    /// All sizes.
    pub config: ModelConfig,
    /// Text to ids and back.
    pub tokenizer: Tokenizer,
    dir: PathBuf,
    weights: PathBuf,
    sides: inventory::PositionSides,
}

impl ModelDirectory {
    /// Read everything but the weights.
    ///
    /// # Errors
    /// [`Error::Weights`] with what is missing or does not fit.
    pub fn read(dir: &Path) -> Result<Self> {
        let config = ModelConfig::load(dir).map_err(|why| Error::weights(dir, why))?;
        let options = ModelOptions {
            dir: dir.into(),
            ..ModelOptions::default()
        };
        let weights = options.weights_file()?;
        let header =
            SafetensorsHeader::read(&weights).map_err(|why| Error::weights(&weights, why))?;
        let mismatch = inventory::check(&config, &header);
        if !mismatch.is_empty() {
            return Err(Error::weights(&weights, mismatch.to_string()));
        }
        Ok(Self {
            sides: inventory::PositionSides::new(&config, &header),
            tokenizer: Tokenizer::load(dir)?,
            config,
            dir: dir.into(),
            weights,
        })
    }

    /// The transformer's weights.
    ///
    /// # Errors
    /// [`Error::Weights`] if the file cannot be read.
    pub fn weights(&self) -> Result<HashMap<String, Tensor>> {
        load_finite(&self.weights)
    }

    /// The transformer on these weights.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn model(&self, weights: VarBuilder) -> Result<UnifiedModel> {
        let control = self.tokenizer.control;
        Ok(UnifiedModel::new(
            &self.config,
            self.sides,
            control,
            weights,
            &Matrices::default(),
        )?)
    }

    /// The autoencoder, which no stage but its own trains.
    ///
    /// # Errors
    /// [`Error::Weights`] if the file cannot be read.
    pub fn vae(&self) -> Result<FluxVae> {
        let weights = load_finite(&self.dir.join(VAE_NAME))?;
        let builder = VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu);
        Ok(FluxVae::new(&self.config.vae, ConvPrecision::F32, builder)?)
    }
}

/// The tensors of a file, all numbers of which are finite: training would spread the others everywhere.
///
/// # Errors
/// [`Error::Weights`] if the file cannot be read, or with the tensor that is not finite.
pub fn load_finite(file: &Path) -> Result<HashMap<String, Tensor>> {
    let weights = candle_core::safetensors::load(file, &Device::Cpu);
    let weights = weights.map_err(|e| Error::weights(file, e.to_string()))?;
    let mut broken = Vec::new();
    for (name, tensor) in &weights {
        let tensor = tensor.to_dtype(DType::F32)?;
        if !with_slices([&tensor], |[numbers]| numbers.iter().all(|x| x.is_finite()))? {
            broken.push(name);
        }
    }
    match broken.into_iter().min() {
        Some(name) => Err(Error::weights(
            file,
            format!("{name}: expected finite numbers, got NaN or infinity"),
        )),
        None => Ok(weights),
    }
}
